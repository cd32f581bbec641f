//! Binding in the real root: the agent is run with a list of what is in use there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::preview::known::{self, Known};
use crate::storage::protected::Scope;
use anyhow::{Context, Result, bail};
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::report;

use super::{plan, turn};

/// Where the agent is: beside this program, or where it is installed.
#[must_use]
pub fn agent() -> PathBuf {
    let beside = std::env::current_exe().map(|own| own.with_file_name("vfio-bind-agent"));
    let beside = beside.ok().filter(|agent| agent.exists());
    beside.unwrap_or_else(|| PathBuf::from("/usr/bin/vfio-bind-agent"))
}

/// Binds what the kernel command line, the policy file and modprobe.d of the system at `root` ask for,
/// and leaves alone what the image of this boot knew to be needed and what is in use now. With `dry_run`
/// it only shows that. Gives the agent's exit status.
///
/// # Errors
/// Where the list cannot be made or be handed over, or the agent cannot be run: then nothing is done.
pub fn bind(root: &Path, agent: &Path, dry_run: bool) -> Result<u8> {
    if dry_run {
        let known = known::gather(root, Scope::Now)?;
        return plan::show(&plan::open(root)?, root, None, &known);
    }
    let ran = run(root, agent, None)?;
    match &ran.record {
        Some(record) => eprintln!("vfio-bind: the record of this run is {}", record.display()),
        None if ran.exit == 0 => eprintln!("vfio-bind: nothing is asked for"),
        None => {}
    }
    Ok(ran.exit)
}

/// What a run of the agent came to.
pub(super) struct Ran {
    /// Its exit status.
    pub exit: u8,
    /// Its record, if it left one.
    pub record: Option<PathBuf>,
}

/// Runs the agent for all that is asked for, or for `only` one function, as soon as no other run is under
/// way.
///
/// # Errors
/// As those of [`bind`].
pub(super) fn run(root: &Path, agent: &Path, only: Option<Address>) -> Result<Ran> {
    let _turn = turn::wait(root)?;
    let known = known::gather(root, Scope::Now)?;
    for told in &known.told {
        eprintln!("vfio-bind: {told}");
    }
    let directory = hand_over(root, &known)?;
    let ran = Command::new(agent)
        .args(["apply", "--with"])
        .arg(&directory)
        .args(
            only.iter()
                .flat_map(|only| ["--only".to_owned(), only.to_string()]),
        )
        .status();
    let record = Some(directory.join(report::FILE)).filter(|report| report.exists());
    if record.is_none() {
        // What was handed over explains no record. It is no loss where it stays.
        let _ = fs::remove_dir_all(&directory);
    }
    let status = ran.with_context(|| format!("run({})", agent.display()))?;
    let Some(code) = status.code() else {
        bail!("{}: {status}", agent.display());
    };
    let exit = u8::try_from(code).with_context(|| format!("{}: {status}", agent.display()))?;
    Ok(Ran { exit, record })
}

/// Puts list and policy into a directory of this run, where its record goes as well.
fn hand_over(root: &Path, known: &Known) -> Result<PathBuf> {
    let directory =
        new_directory(root).with_context(|| format!("mkdir below {}/run", root.display()))?;
    let write = |file: &str, text: &[u8]| {
        let path = directory.join(file.rsplit('/').next().unwrap_or(file));
        fs::write(&path, text).with_context(|| format!("write({})", path.display()))
    };
    write(PROTECTED, known.protected.as_bytes())?;
    if let Some(policy) = &known.policy {
        write(POLICY, policy)?;
    }
    Ok(directory)
}

fn new_directory(root: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(root.join(report::DIRECTORY))?;
    for number in 1..=report::MOST_RUNS {
        let directory = root.join(report::directory_of_run(number).as_str());
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "there are {} records of runs; remove some",
        report::MOST_RUNS
    )))
}

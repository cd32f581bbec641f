//! Binding in the real root: the agent is run with a list of what is in use there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::preview::known::{self, Known};
use crate::storage::protected::Scope;
use anyhow::{Context, Result, bail};
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED};
use vfio_bind_agent::record::report;

use super::plan;

/// How many runs of one boot have a record each.
const MOST_RUNS: u32 = 1000;

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
    let known = known::gather(root, Scope::Now)?;
    if dry_run {
        return plan::show(&plan::open(root)?, root, None, &known);
    }
    for told in &known.told {
        eprintln!("vfio-bind: {told}");
    }
    let directory = hand_over(root, &known)?;
    let ran = Command::new(agent)
        .args(["apply", "--with"])
        .arg(&directory)
        .status();
    let report = directory.join(report::FILE);
    if report.exists() {
        eprintln!("vfio-bind: the record of this run is {}", report.display());
    } else {
        // What was handed over explains no record. It is no loss where it stays.
        let _ = fs::remove_dir_all(&directory);
    }
    let status = ran.with_context(|| format!("run({})", agent.display()))?;
    let Some(code) = status.code() else {
        bail!("{}: {status}", agent.display());
    };
    if code == 0 && !report.exists() {
        eprintln!("vfio-bind: nothing is asked for");
    }
    u8::try_from(code).with_context(|| format!("{}: {status}", agent.display()))
}

/// Puts list and policy into a directory of this run, where its record goes as well.
fn hand_over(root: &Path, known: &Known) -> Result<PathBuf> {
    let parent = root.join(report::DIRECTORY);
    let directory =
        new_directory(&parent).with_context(|| format!("mkdir below {}", parent.display()))?;
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

/// Where the run of this number since the boot has its record, in the directory of that of the boot.
pub(super) fn directory_of_run(parent: &Path, number: u32) -> PathBuf {
    parent.join(format!("run-{number}"))
}

fn new_directory(parent: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(parent)?;
    for number in 1..=MOST_RUNS {
        let directory = directory_of_run(parent, number);
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "there are {MOST_RUNS} records of runs; remove some"
    )))
}

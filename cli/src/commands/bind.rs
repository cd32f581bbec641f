//! Binding in the real root: the agent is run with a list of what is in use there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::preview::known::{self, Known};
use crate::preview::taken::{self, Keep};
use crate::storage::protected::Scope;
use anyhow::{Context, Result, bail};
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::{EXIT_DONE, report};
use vfio_bind_report::{Fate, Report};

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

/// What is to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that is asked for.
    All,
    /// What the boot tried, and did not end on its driver. Nothing makes this take what is in use.
    Unfinished,
}

/// Binds what the kernel command line, the policy file and modprobe.d of the system at `root` ask for,
/// and leaves alone what the image of this boot knew to be needed and what is in use now. With `dry_run`
/// it only shows that. Gives the agent's exit status.
///
/// # Errors
/// Where the list cannot be made or be handed over, or the agent cannot be run: then nothing is done.
pub fn bind(root: &Path, agent: &Path, extent: Extent, dry_run: bool) -> Result<u8> {
    let unfinished = match extent {
        Extent::All => None,
        Extent::Unfinished => Some(unfinished(root)?),
    };
    if unfinished.as_ref().is_some_and(Vec::is_empty) {
        eprintln!("vfio-bind: the boot left nothing unfinished");
        return Ok(EXIT_DONE);
    }
    let mut known = known::gather(root, Scope::Now)?;
    let (tree, line) = (plan::open(root)?, known::command_line(root)?);
    let (wanted, keep) = match &unfinished {
        None => (None, Keep::Protected),
        Some(wanted) => (Some(&**wanted), Keep::Excluded),
    };
    taken::keep(&mut known, &tree, root, &line, wanted, keep);
    if dry_run {
        return plan::show(&tree, root, None, &known);
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

/// What the boot tried to bind, by its record: what was refused, or given back for the root file system, it
/// did not miss.
fn unfinished(root: &Path) -> Result<Vec<Address>> {
    let path = root.join(report::DIRECTORY).join(report::FILE);
    let text = known::read(&path)?
        .with_context(|| format!("{}: the boot left no record", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let report =
        Report::parse(&text).with_context(|| format!("{}: it is no record", path.display()))?;
    let tried = report
        .functions
        .iter()
        .filter(|function| matches!(function.outcome, Fate::Failed | Fate::Returned | Fate::Held));
    let addresses = tried.filter_map(|function| Address::parse(function.address.as_bytes()));
    Ok(addresses.collect())
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

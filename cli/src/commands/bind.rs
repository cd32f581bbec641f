//! Binding in the real root: the agent is run with a list of what is in use there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::preview::known::{self, Known};
use crate::preview::taken::{self, Keep, Meant};
use crate::runs;
use crate::storage::protected::Scope;
use anyhow::{Context, Result, bail};
use clap::Args;
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::{EXIT_DONE, report};
use vfio_bind_report::{Fate, Report};

use super::{plan, turn};

/// Bind what the policy asks for, now, and leave alone what is in use.
///
/// Runs the agent with the kernel command line, /etc/vfio-bind/policy.conf and modprobe.d. What
/// the image of this boot knew to be needed, and what is in use now, is protected: mounted, swapped to,
/// in a pool, on the way of a network, or with a device that a process has open. The exit status is the
/// agent's.
#[derive(Debug, Args)]
pub struct Options {
    /// Show what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only what the boot tried and did not bind, by its record; never what is in use.
    #[arg(long)]
    unfinished: bool,
    /// The agent to run, in place of the installed one.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`bind`].
    pub fn run(self) -> Result<u8> {
        let extent = match self.unfinished {
            true => Extent::Unfinished,
            false => Extent::All,
        };
        let agent = self.agent.unwrap_or_else(agent);
        bind(Path::new("/"), &agent, extent, self.dry_run)
    }
}

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
    /// A function that has come, with its IOMMU group.
    Late(Address),
}

/// Binds what the kernel command line, the policy file and modprobe.d of the system at `root` ask for,
/// and leaves alone what the image of this boot knew to be needed and what is in use now. With `dry_run`
/// it only shows that. Gives the agent's exit status.
///
/// # Errors
/// Where the list cannot be made or be handed over, or the agent cannot be run: then nothing is done.
pub fn bind(root: &Path, agent: &Path, extent: Extent, dry_run: bool) -> Result<u8> {
    if dry_run {
        return match known_now(root, extent)? {
            Some(known) => plan::show(&plan::open(root)?, root, None, &known),
            None => Ok(EXIT_DONE),
        };
    }
    let ran = run(root, agent, extent)?;
    match &ran.record {
        Some(record) => eprintln!("vfio-bind: the record of this run is {}", record.display()),
        None if ran.exit == EXIT_DONE && extent == Extent::All => {
            eprintln!("vfio-bind: nothing is asked for");
        }
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

/// Runs the agent, as soon as no other run is under way.
///
/// # Errors
/// As those of [`bind`].
pub(super) fn run(root: &Path, agent: &Path, extent: Extent) -> Result<Ran> {
    let _turn = turn::wait(root)?;
    let Some(known) = known_now(root, extent)? else {
        return Ok(Ran {
            exit: EXIT_DONE,
            record: None,
        });
    };
    for told in &known.told {
        eprintln!("vfio-bind: {told}");
    }
    let directory = hand_over(root, &known)?;
    let mut command = Command::new(agent);
    command.args(["apply", "--with"]).arg(&directory);
    if let Extent::Late(only) = extent {
        command.args(["--only", &only.to_string()]);
    }
    let ran = command.status();
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

/// What a run is to know; `None`, which is told, where there is nothing for it to do.
fn known_now(root: &Path, extent: Extent) -> Result<Option<Known>> {
    let unfinished = match extent {
        Extent::Unfinished => unfinished(root)?,
        Extent::All | Extent::Late(_) => Vec::new(),
    };
    let (meant, keep) = match extent {
        Extent::All => (Meant::All, Keep::Protected),
        Extent::Late(function) => (Meant::GroupOf(function), Keep::Protected),
        Extent::Unfinished if unfinished.is_empty() => {
            eprintln!("vfio-bind: the boot left nothing unfinished");
            return Ok(None);
        }
        Extent::Unfinished => (Meant::These(&unfinished), Keep::Excluded),
    };
    let mut known = known::gather(root, Scope::Now)?;
    taken::keep(&mut known, &plan::open(root)?, root, meant, keep)?;
    Ok(Some(known))
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
    let directory =
        runs::new_directory(root).with_context(|| format!("mkdir below {}/run", root.display()))?;
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

//! Binding in the real root: the agent is run with a list of what is in use there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::device::chosen::{self, Choice, Found};
use crate::preview::functions::{self, Function};
use crate::preview::known::{self, Informed, Known};
use crate::preview::taken::{self, Keep, Meant};
use crate::records;
use crate::storage::protected::Scope;
use crate::terminal::{self, json};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_POLICY, report};
use vfio_bind_agent::run;
use vfio_bind_report::Fate;

use super::{plan, turn};

/// Bind what the policy asks for, now, and leave alone what is in use.
///
/// With devices, bind these and their IOMMU groups alone, whether the policy asks for them or not: the rest of it
/// holds. Runs the agent with the kernel command line, /etc/vfio-bind/policy.conf and modprobe.d. What
/// the image of this boot knew to be needed, and what is in use now, is protected: mounted, swapped to,
/// in a pool, on the way of a network, or with a device that a process has open. The exit status is the
/// agent's.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these: addresses or other selectors of the policy.
    #[arg(value_name = "DEVICE", conflicts_with = "unfinished")]
    devices: Vec<String>,
    /// Show what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: a captured tree with the `sys`, `proc` and `etc` of another system.
    #[arg(long, value_name = "DIR", default_value = "/", requires = "dry_run")]
    root: PathBuf,
    /// One object for programs.
    #[arg(long)]
    json: bool,
    /// Only what the boot or a later run tried and did not bind, by the records; never what is in use.
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
        let extent = match (self.unfinished, &self.devices[..]) {
            (true, _) => Extent::Unfinished,
            (false, []) => Extent::All,
            (false, words) => Extent::These(words),
        };
        let agent = self.agent.unwrap_or_else(agent);
        if !self.json {
            return bind(&self.root, &agent, extent, self.dry_run);
        }
        let told = match self.dry_run {
            true => rehearse(&self.root, extent)?,
            false => perform(&self.root, &agent, extent)?,
        };
        if let Some(told) = told {
            json::write("bind", &told)?;
            return Ok(told.exit);
        }
        Ok(EXIT_POLICY)
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
pub enum Extent<'a> {
    /// All that is asked for.
    All,
    /// What a run since the boot tried, and no run ended on its driver. Nothing makes this take what is in use.
    Unfinished,
    /// A function that has come, with its IOMMU group.
    Late(Address),
    /// What these selectors mean, with its IOMMU groups.
    These(&'a [String]),
}

/// Binds what the kernel command line, the policy file and modprobe.d of the system at `root` ask for,
/// and leaves alone what the image of this boot knew to be needed and what is in use now. With `dry_run`
/// it only shows that. Gives the agent's exit status.
///
/// # Errors
/// Where the list cannot be made or be handed over, or the agent cannot be run: then nothing is done.
pub fn bind(root: &Path, agent: &Path, extent: Extent<'_>, dry_run: bool) -> Result<u8> {
    if dry_run {
        return match known_now(root, extent, true)? {
            Now::Known(known) => plan::show(&plan::open(root)?, root, None, &known),
            Now::Nothing(exit) => Ok(exit),
        };
    }
    let ran = run_agent(root, agent, extent)?;
    match &ran.record {
        Some(record) => terminal::tell(format_args!(
            "vfio-bind: the record of this run is {}",
            record.display()
        )),
        None if ran.exit == EXIT_DONE && extent == Extent::All => {
            terminal::tell(format_args!("vfio-bind: nothing is asked for"));
        }
        None => {}
    }
    Ok(ran.exit)
}

/// What a run did, or would do, for programs.
#[derive(Debug, Serialize)]
struct Told {
    dry_run: bool,
    /// What was said beside it.
    notes: Vec<String>,
    functions: Vec<Function>,
    /// Where the record is.
    record: Option<String>,
    exit: u8,
}

/// What a run would do; none where the words mean nothing, which is told.
fn rehearse(root: &Path, extent: Extent<'_>) -> Result<Option<Told>> {
    let mut told = Told {
        dry_run: true,
        notes: Vec::new(),
        functions: Vec::new(),
        record: None,
        exit: EXIT_DONE,
    };
    let known = match known_now(root, extent, true)? {
        Now::Known(known) => known,
        Now::Nothing(EXIT_POLICY) => return Ok(None),
        Now::Nothing(_) => return Ok(Some(told)),
    };
    let tree = plan::open(root)?;
    let line = known::command_line(root)?;
    let informed = Informed {
        tree: &tree,
        known: &known,
    };
    told.exit = run::rehearse(&informed, &line, run::Extent::Whole, &mut |record| {
        told.functions = functions::of_plan(record);
        record.exit()
    });
    told.notes = known.told;
    Ok(Some(told))
}

/// What a run has done; none where the words mean nothing, which is told.
fn perform(root: &Path, agent: &Path, extent: Extent<'_>) -> Result<Option<Told>> {
    let ran = run_agent(root, agent, extent)?;
    if ran.exit == EXIT_POLICY && ran.record.is_none() {
        return Ok(None);
    }
    let functions = match &ran.record {
        Some(path) => functions::of_report(records::read_record(path)?),
        None => Vec::new(),
    };
    Ok(Some(Told {
        dry_run: false,
        notes: ran.told,
        functions,
        record: ran.record.map(|path| path.display().to_string()),
        exit: ran.exit,
    }))
}

/// What a run of the agent came to.
pub(super) struct Ran {
    /// Its exit status.
    pub exit: u8,
    /// Its record, if it left one.
    pub record: Option<PathBuf>,
    /// What was said before it.
    pub told: Vec<String>,
}

/// Runs the agent, as soon as no other run is under way.
///
/// # Errors
/// As those of [`bind`].
pub(super) fn run_agent(root: &Path, agent: &Path, extent: Extent<'_>) -> Result<Ran> {
    let _turn = turn::wait(root)?;
    let known = match known_now(root, extent, false)? {
        Now::Known(known) => known,
        Now::Nothing(exit) => {
            return Ok(Ran {
                exit,
                record: None,
                told: Vec::new(),
            });
        }
    };
    for told in &known.told {
        terminal::tell(format_args!("vfio-bind: {told}"));
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
    Ok(Ran {
        exit,
        record,
        told: known.told,
    })
}

/// What a run is to know.
enum Now {
    Known(Known),
    /// There is nothing for it to do, which was told; the exit status.
    Nothing(u8),
}

fn known_now(root: &Path, extent: Extent<'_>, dry_run: bool) -> Result<Now> {
    let tree = plan::open(root)?;
    let those;
    let (meant, keep) = match extent {
        Extent::All => (Meant::All, Keep::Protected),
        Extent::Late(function) => (Meant::GroupOf(function), Keep::Protected),
        Extent::Unfinished => {
            those = unfinished(root)?;
            if those.is_empty() {
                terminal::tell(format_args!(
                    "vfio-bind: no run since the boot left anything unfinished"
                ));
                return Ok(Now::Nothing(EXIT_DONE));
            }
            (Meant::These(&those), Keep::Excluded)
        }
        Extent::These(words) => {
            match chosen::choose(root, &tree, words)? {
                Choice::Made(machine) => those = with_groups(&machine),
                Choice::Wrong(problems) => {
                    for problem in problems {
                        terminal::tell(format_args!("vfio-bind: {problem}"));
                    }
                    return Ok(Now::Nothing(EXIT_POLICY));
                }
            }
            (Meant::These(&those), Keep::Excluded)
        }
    };
    let mut known = match dry_run {
        true => known::gather_or_less(root, Scope::Now)?,
        false => known::gather(root, Scope::Now)?,
    };
    if let Extent::These(words) = extent {
        known.ask_for(words);
    }
    taken::keep(&mut known, &tree, root, meant, keep)?;
    Ok(Now::Known(known))
}

/// What was chosen, and what shares an IOMMU group with it.
fn with_groups(machine: &[Found]) -> Vec<Address> {
    let own = machine.iter().filter(|one| one.chosen);
    let groups: Vec<_> = own.filter_map(|one| one.group).collect();
    let all = machine
        .iter()
        .filter(|one| one.chosen || one.group.is_some_and(|group| groups.contains(&group)));
    all.map(|one| one.address).collect()
}

/// What was tried and did not end on its driver, by the newest record of each function: what was refused, or given
/// back for the root file system, no run missed.
fn unfinished(root: &Path) -> Result<Vec<Address>> {
    let newest = records::newest(root)?.with_context(|| {
        let path = root.join(report::DIRECTORY).join(report::FILE);
        format!("{}: the boot left no record", path.display())
    })?;
    let tried = newest
        .values()
        .filter(|function| matches!(function.outcome, Fate::Failed | Fate::Returned | Fate::Held));
    let addresses = tried.filter_map(|function| Address::parse(function.address.as_bytes()));
    Ok(addresses.collect())
}

/// Puts list and policy into a directory of this run, where its record goes as well.
fn hand_over(root: &Path, known: &Known) -> Result<PathBuf> {
    let directory = records::new_directory(root)
        .with_context(|| format!("mkdir below {}/run", root.display()))?;
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

//! Functions given back to their native drivers, now.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use log::{LevelFilter, Log, Metadata, Record as LogRecord};
use serde::Serialize;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::rules;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY};
use vfio_bind_report::Message;

use crate::device::chosen::{self, Choice, Found};
use crate::device::is_lent;
use crate::records;
use crate::release::back::{self, Given};
use crate::release::members::{self, Member};
use crate::release::record;
use crate::release::running::{self, Running};
use crate::storage::ask;
use crate::terminal::{self, json};
use crate::usage::{self, Usage};

use super::{plan, turn};

/// Give devices back to their native drivers, now.
///
/// What of an IOMMU group is on VFIO goes back together, and not at all while somebody uses one of it: who that is
/// is told. The driver override is cleared, what vfio.set= made of a device is undone, an ID that vfio-pci was
/// given is taken back, and the kernel finds the driver. The exit status is 0 where the devices have a native driver,
/// 1 where one has not, and 2 where one is not known.
#[derive(Debug, Args)]
pub struct Options {
    /// The devices: addresses or other selectors of the policy.
    #[arg(value_name = "DEVICE", required = true)]
    devices: Vec<String>,
    /// Say what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: a captured tree with the `sys`, `proc` and `run` of another system.
    #[arg(long, value_name = "DIR", default_value = "/", requires = "dry_run")]
    root: PathBuf,
    /// One object for programs.
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`release`].
    pub fn run(self) -> Result<u8> {
        let program = std::env::current_exe().context("readlink(/proc/self/exe)")?;
        let released = release(&self.root, &program, &self.devices, self.dry_run)?;
        let released = match released {
            Outcome::Done(released) => released,
            Outcome::Unknown(problems) => {
                for problem in problems {
                    terminal::tell(format_args!("vfio-bind: {problem}"));
                }
                return Ok(EXIT_POLICY);
            }
        };
        match self.json {
            true => json::write("release", &released)?,
            false => released.print()?,
        }
        Ok(released.exit)
    }
}

/// What a release came to.
#[derive(Debug)]
pub enum Outcome {
    /// It is over.
    Done(Released),
    /// Nothing was done: what is wrong with the words.
    Unknown(Vec<String>),
}

/// What became of each function.
#[derive(Debug, Serialize)]
pub struct Released {
    dry_run: bool,
    /// A line for each.
    pub functions: Vec<Line>,
    /// What else there is to say.
    pub notes: Vec<String>,
    record: Option<String>,
    /// The exit status.
    pub exit: u8,
}

/// A function.
#[derive(Debug, Serialize)]
pub struct Line {
    address: String,
    group: Option<u32>,
    /// `selected`, or `sibling` of one that is.
    role: &'static str,
    driver_before: Option<String>,
    driver_now: Option<String>,
    outcome: Fate,
    reason: String,
    told: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Fate {
    /// A native driver has it.
    Released,
    /// One had it before.
    Already,
    /// It would go back.
    Planned,
    /// Somebody uses it, and it was left alone.
    InUse,
    /// It is a bridge, or did not go back.
    Failed,
}

impl Line {
    fn of(found: &Found, outcome: Fate, reason: String) -> Self {
        Self {
            address: found.address.to_string(),
            group: found.group,
            role: if found.chosen { "selected" } else { "sibling" },
            driver_before: found.driver.clone(),
            driver_now: found.driver.clone(),
            outcome,
            reason,
            told: Vec::new(),
        }
    }

    fn given(found: &Found, given: Given) -> Self {
        let outcome = match &given.problem {
            None => Fate::Released,
            // Whether the rest of a group has a native driver was not the question.
            Some(_) if !found.chosen && given.driver.is_none() => Fate::Released,
            Some(_) => Fate::Failed,
        };
        let line = Self::of(found, outcome, given.problem.unwrap_or_default());
        Self {
            driver_now: given.driver,
            told: given.told,
            ..line
        }
    }

    fn text(&self) -> String {
        let Self {
            address, reason, ..
        } = self;
        let name =
            |driver: &Option<String>| driver.clone().unwrap_or_else(|| "no driver".to_owned());
        let (before, now) = (name(&self.driver_before), name(&self.driver_now));
        let together = match self.role {
            "sibling" => " (same IOMMU group)",
            _ => "",
        };
        match self.outcome {
            Fate::Released if reason.is_empty() => {
                format!("{address}: {before} -> {now}{together}")
            }
            Fate::Released => format!("{address}: {before} -> {now}{together}: {reason}"),
            Fate::Already => format!("{address}: {now} has it, and nothing is to be done"),
            Fate::Planned => format!("{address}: {before} -> its native driver{together}"),
            Fate::InUse => format!("{address} is in use, and left alone: {reason}"),
            Fate::Failed => format!("{address}: not given back, {now} has it: {reason}"),
        }
    }
}

impl Released {
    fn print(&self) -> Result<()> {
        let mut text = String::new();
        for line in &self.functions {
            text += &format!("{}\n", line.text());
            for told in &line.told {
                text += &format!("{}: {told}\n", line.address);
            }
        }
        terminal::write(&text)?;
        for note in &self.notes {
            terminal::tell(format_args!("vfio-bind: {note}"));
        }
        if let Some(record) = &self.record {
            terminal::tell(format_args!(
                "vfio-bind: the record of this run is {record}"
            ));
        }
        Ok(())
    }
}

/// Gives back what `words` mean on the system at `root`; `program` is `vfio-bind`, which children run. With `dry_run`
/// it says what would be done.
///
/// # Errors
/// Where the machine or a record cannot be read, another run does not end, or the record not be written.
pub fn release(root: &Path, program: &Path, words: &[String], dry_run: bool) -> Result<Outcome> {
    let started = Instant::now();
    let tree = plan::open(root)?;
    // What is free now must not be taken meanwhile.
    let _turn = match dry_run {
        true => None,
        false => Some(turn::wait(root)?),
    };
    let machine = match chosen::choose(root, &tree, words)? {
        Choice::Made(machine) => machine,
        Choice::Wrong(problems) => return Ok(Outcome::Unknown(problems)),
    };
    let runs = records::all(root)?;
    let members = members::members(&machine, &runs);
    let addresses: Vec<_> = members.iter().map(|one| one.found.address).collect();
    let usage = match addresses.is_empty() {
        true => Usage::default(),
        false => usage::of(root, ask::of(root), &addresses),
    };
    let mut lines = left(&machine);
    let (used, free): (Vec<_>, Vec<_>) = members
        .iter()
        .cloned()
        .partition(|one| reason(&members, one, &usage).is_some());
    for member in &used {
        let reason = reason(&members, member, &usage).unwrap_or_default();
        lines.push(Line::of(&member.found, Fate::InUse, reason));
    }
    let mut notes = usage.told.clone();
    let mut began = false;
    if dry_run {
        let planned = free.iter();
        lines.extend(planned.map(|one| Line::of(&one.found, Fate::Planned, String::new())));
    } else if !free.is_empty() {
        listen();
        began = true;
        let host = Running::new(&tree, root, program);
        let given = back::give_back(&host, &free, &running::load);
        let given = free.iter().zip(given);
        lines.extend(given.map(|(member, given)| Line::given(&member.found, given)));
        notes.extend(retaken(root));
    }
    lines.sort_by_key(|line| Address::parse(line.address.as_bytes()));
    let good = |line: &Line| !matches!(line.outcome, Fate::InUse | Fate::Failed);
    let exit = match lines.iter().all(good) {
        true => EXIT_DONE,
        false => EXIT_NOT_BOUND,
    };
    let record = match began {
        true => {
            let (given, messages) = (given_back(&lines), messages(&lines));
            let elapsed = started.elapsed();
            let record = record::write(root, &tree, given, messages, exit, elapsed);
            Some(record.context("the functions are given back, and there is no record of it")?)
        }
        false => None,
    };
    Ok(Outcome::Done(Released {
        dry_run,
        functions: lines,
        notes,
        record: record.map(|path| path.display().to_string()),
        exit,
    }))
}

/// Why a function stays: who uses it, or that nobody knows. A native driver that gets a function of a group that a
/// guest has stops kernels before 5.19 (`vfio_iommu_group_notifier` in drivers/vfio/vfio.c).
fn reason(members: &[Member], member: &Member, usage: &Usage) -> Option<String> {
    let unknown = || {
        let told = usage.told.first()?;
        Some(format!("that is not known: {told}"))
    };
    members::user(members, member, usage).or_else(unknown)
}

/// What was meant and does not go back: bridges, and what a native driver has.
fn left(machine: &[Found]) -> Vec<Line> {
    let chosen = machine.iter().filter(|one| one.chosen);
    let lines = chosen.filter_map(|one| {
        if one.bridge {
            let reason = "it is a bridge, which VFIO never has".to_owned();
            return Some(Line::of(one, Fate::Failed, reason));
        }
        let native = one.driver.is_some() && !one.is_lent();
        native.then(|| Line::of(one, Fate::Already, String::new()))
    });
    lines.collect()
}

/// When it is taken again.
fn retaken(root: &Path) -> Vec<String> {
    let rules = Path::new(rules::DIRECTORY).join(rules::FILE);
    let mut notes = Vec::new();
    if root.join(&rules).exists() {
        notes.push(format!(
            "where the policy of this boot asks for them, they are taken again when they come anew (unplugged and \
             plugged in, remove and rescan); `rm /{}` ends that until the next boot",
            rules.display()
        ));
    }
    notes.push(
        "`vfio-bind bind` takes again what the policy asks for, and so does the next boot"
            .to_owned(),
    );
    notes
}

/// `ADDRESS DRIVER` of what is VFIO's no more; the driver is `-` where there is none.
fn given_back(lines: &[Line]) -> Vec<String> {
    let gone = lines.iter().filter(|line| {
        let vfio = is_lent(line.driver_now.as_deref());
        matches!(line.outcome, Fate::Released | Fate::Failed)
            && line.driver_before.is_some()
            && !vfio
    });
    gone.map(|line| {
        let driver = line.driver_now.as_deref().unwrap_or("-");
        format!("{} {driver}", line.address)
    })
    .collect()
}

/// All that is told of the functions, for the record.
fn messages(lines: &[Line]) -> Vec<Message> {
    let mut messages = Vec::new();
    for line in lines {
        let level = match line.outcome {
            Fate::Failed => "error",
            Fate::InUse => "warning",
            _ => "info",
        };
        let message = |level: &str, text: String| Message {
            level: level.to_owned(),
            about: Some(line.address.clone()),
            text,
        };
        messages.push(message(level, line.text()));
        let told = line.told.iter();
        messages.extend(told.map(|told| message("info", format!("{}: {told}", line.address))));
    }
    messages
}

/// What the agent's library says on the way goes to standard error.
fn listen() {
    struct ToError;
    impl Log for ToError {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, message: &LogRecord<'_>) {
            // Where nobody reads it, the lines of the functions say it again.
            let _ = writeln!(io::stderr(), "vfio-bind: {}", message.args());
        }

        fn flush(&self) {}
    }
    if log::set_logger(&ToError).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

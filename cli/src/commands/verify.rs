//! Whether what was asked for is so: the record of this boot and the plan beside the live machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::inventory;
use crate::preview::known::{self, Informed};
use crate::preview::taken;
use crate::records;
use crate::status::last_good::{self, Snapshot};
use crate::storage::protected::Scope;
use crate::terminal::{self, json};
use crate::usage::Usage;
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::sysfs::driver_of;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::policy::problem::Severity;
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, Record};
use vfio_bind_agent::run::{self, Extent};

/// Say whether what is asked for is so, and what was bound since the boot still is.
///
/// Compares the policy and the records in /run/vfio-bind with the machine. Where all is as asked and root asks, the
/// machine is remembered for `vfio-bind status`; nothing else is written. The
/// exit status is 0 where all is as asked, and 1 otherwise.
#[derive(Debug, Args)]
pub struct Options {
    /// One JSON object (docs/schema/verify.json).
    #[arg(long)]
    json: bool,
    /// A directory with the `proc`, `sys`, `dev` and `run` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`verify`].
    pub fn run(self) -> Result<u8> {
        verify(&self.root, self.json)
    }
}

/// Prints, for each function that is asked for or was bound since the boot, whether it is where it should
/// be. Gives 0 where all of it is, and 1 otherwise.
///
/// # Errors
/// Where the records or the machine cannot be read, or nothing be printed.
pub fn verify(root: &Path, json: bool) -> Result<u8> {
    let tree = known::open(root)?;
    let line = known::command_line(root)?;
    let bound = records::bound(&records::all(root)?);
    let known = known::gather_or_less(root, Scope::Now)?;
    let informed = Informed {
        tree: &tree,
        known: &known,
    };
    let mut findings = Findings::default();
    run::rehearse(&informed, &line, Extent::Whole, &mut |record| {
        let usage = taken::usage(root, &taken::taken(record));
        findings.compare(record, &bound, &usage);
        record.exit()
    });
    for (address, by) in &bound {
        let address = Address::parse(address.as_bytes());
        if let Some(address) = address.filter(|address| !findings.told.contains(address)) {
            findings.compare_one(&tree, address, by);
        }
    }
    findings.write(json)?;
    if findings.wrong {
        return Ok(EXIT_NOT_BOUND);
    }
    if !findings.told.is_empty()
        && let Err(error) = remember(root, &tree)
    {
        terminal::tell(format_args!(
            "vfio-bind: this good boot is not remembered: {error:#}"
        ));
    }
    Ok(EXIT_DONE)
}

/// Remembers the machine for `vfio-bind status`, where all is as asked; only of the running system, and by root.
pub(super) fn remember(root: &Path, tree: &Tree) -> Result<()> {
    if root != Path::new("/") || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    last_good::keep(
        root,
        &Snapshot::of(root, tree, &inventory::functions(tree)?),
    )
}

/// A sentence about what is so.
#[derive(Serialize)]
struct Line {
    /// Whether it is not as it should be.
    wrong: bool,
    text: String,
}

/// What programs get.
#[derive(Serialize)]
struct Told<'l> {
    exit: u8,
    lines: &'l [Line],
}

#[derive(Default)]
struct Findings {
    lines: Vec<Line>,
    wrong: bool,
    told: Vec<Address>,
}

impl Findings {
    fn write(&self, json: bool) -> Result<()> {
        if json {
            let exit = match self.wrong {
                true => EXIT_NOT_BOUND,
                false => EXIT_DONE,
            };
            let lines = &self.lines;
            return json::write("verify", &Told { exit, lines });
        }
        let mut text = String::new();
        for Line { wrong, text: line } in &self.lines {
            text.extend([if *wrong { "WRONG: " } else { "" }, line, "\n"]);
        }
        if text.is_empty() {
            text.push_str("nothing is asked for, and nothing was bound\n");
        }
        terminal::write(&text)
    }

    fn say(&mut self, wrong: bool, text: &str) {
        self.lines.push(Line {
            wrong,
            text: text.to_owned(),
        });
    }

    fn good(&mut self, text: &str) {
        self.say(false, text);
    }

    fn bad(&mut self, text: &str) {
        self.wrong = true;
        self.say(true, text);
    }

    /// What is asked for.
    fn compare(&mut self, record: &Record<'_>, bound: &BTreeMap<String, String>, usage: &Usage) {
        for step in &record.plan.steps {
            let Some(function) = record.inventory.get(step.function) else {
                continue;
            };
            let address = function.address;
            let now = function.driver.as_deref();
            let on = now.map_or("it has no driver".to_owned(), |driver| {
                format!("{driver} has it")
            });
            let why = step.reason(record.policy);
            self.told.push(address);
            match step.decision {
                Decision::Bind if now == Some(record.driver(step)) => {
                    self.good(&format!("{address}: on {} ({why})", record.driver(step)));
                }
                Decision::Bind => {
                    let lost = match bound.get(&address.to_string()) {
                        Some(driver) => format!("it was bound to {driver} since the boot, and "),
                        None => String::new(),
                    };
                    let next = match usage.text(address) {
                        Some(users) => format!("it is in use: {users}"),
                        None => "`vfio-bind bind` takes it, unless it is in use".to_owned(),
                    };
                    self.bad(&format!(
                        "{address}: not on {} ({why}): {lost}{on}; {next}",
                        record.driver(step)
                    ));
                }
                Decision::Refuse(refusal) => {
                    self.bad(&format!("{address}: refused ({why}): {refusal}; {on}"));
                }
                Decision::Leave(_) => {}
            }
        }
        for unmatched in unmatched(record.policy, record.inventory, record.plan) {
            if unmatched.selector.source != Source::KernelIds {
                self.bad(&unmatched.to_string());
            }
        }
        for problem in &record.policy.problems {
            self.wrong |= problem.severity() == Severity::Error;
            self.say(false, &problem.to_string());
        }
    }

    /// What was bound, and nobody asks for any more or is not there.
    fn compare_one(&mut self, tree: &impl Root, address: Address, by: &str) {
        match driver_of(tree, address) {
            Ok(Some(driver)) if driver.as_str() == by => {
                self.good(&format!("{address}: on {by}, and not asked for any more"));
            }
            Ok(Some(driver)) => self.bad(&format!(
                "{address}: it was bound to {by} since the boot, and {driver} has it"
            )),
            Ok(None) => self.bad(&format!(
                "{address}: it was bound to {by} since the boot, and has no driver"
            )),
            Err(_) => self.bad(&format!(
                "{address}: it was bound to {by} since the boot, and is gone"
            )),
        }
    }
}

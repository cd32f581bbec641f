//! Whether what was asked for is so: the record of this boot and the plan beside the live machine.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::preview::known::{self, Informed};
use crate::preview::taken;
use crate::records;
use crate::storage::protected::Scope;
use crate::usage::Usage;
use anyhow::{Context, Result};
use clap::Args;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::sysfs::driver_of;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::policy::problem::Severity;
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, Record};
use vfio_bind_agent::run::{self, Extent};

use super::plan;

/// Say whether what is asked for is so, and what was bound since the boot still is.
///
/// Compares the policy and the records in /run/vfio-bind with the machine, and writes nothing. The
/// exit status is 0 where all is as asked, and 1 otherwise.
#[derive(Debug, Args)]
pub struct Options {
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
        verify(&self.root)
    }
}

/// Prints, for each function that is asked for or was bound since the boot, whether it is where it should
/// be. Gives 0 where all of it is, and 1 otherwise.
///
/// # Errors
/// Where the records or the machine cannot be read, or nothing be printed.
pub fn verify(root: &Path) -> Result<u8> {
    let tree = plan::open(root)?;
    let line = known::command_line(root)?;
    let bound = bound(root)?;
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
    let mut text = findings.text;
    if text.is_empty() {
        text.push_str("nothing is asked for, and nothing was bound\n");
    }
    io::stdout()
        .write_all(text.as_bytes())
        .context("write(standard output)")?;
    Ok(if findings.wrong {
        EXIT_NOT_BOUND
    } else {
        EXIT_DONE
    })
}

/// The functions that runs since the boot have bound, each with the driver it got, by the records: what later
/// ones say is newer.
fn bound(root: &Path) -> Result<BTreeMap<String, String>> {
    let newest = records::newest(root)?.unwrap_or_default();
    let bound = newest
        .into_iter()
        .filter(|(_, function)| function.outcome.is_vfio())
        .filter_map(|(address, function)| Some((address, function.driver_now?)));
    Ok(bound.collect())
}

#[derive(Default)]
struct Findings {
    text: String,
    wrong: bool,
    told: Vec<Address>,
}

impl Findings {
    fn good(&mut self, text: &str) {
        self.text.extend([text, "\n"]);
    }

    fn bad(&mut self, text: &str) {
        self.wrong = true;
        self.text.extend(["WRONG: ", text, "\n"]);
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
            self.text.extend([problem.to_string().as_str(), "\n"]);
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

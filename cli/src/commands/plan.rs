//! What the agent would do, shown for people.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::preview::known::{self, Informed, Known, open};
use crate::preview::{in_use, notes, policy_file, taken};
use crate::storage::protected::Scope;
use anyhow::{Context, Result};
use clap::Args;
use log::{LevelFilter, Log, Metadata, Record as Message};
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::tree::{POLICY, Tree};
use vfio_bind_agent::plan::decision::Step;
use vfio_bind_agent::record::{lines, table};
use vfio_bind_agent::run;
use vfio_bind_agent::text::cmdline::MAX_LEN;

/// Print what the agent would do, group by group; write nothing.
///
/// The exit status is the agent's: 0 all that is asked would be done, 1 a function would not be
/// bound, 2 there is an error in what is asked.
#[derive(Debug, Args)]
pub struct Options {
    /// In place of the kernel command line.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<String>,
    /// A captured tree with the `sys`, `proc` and `etc` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`print`].
    pub fn run(self) -> Result<u8> {
        print(&self.root, self.cmdline.as_deref())
    }
}

/// Prints the plan of the next boot for the kernel command line `line`, or for that of the system at
/// `root`: a block for each IOMMU group, then what there is to say. Gives the agent's exit status.
///
/// # Errors
/// Where `root` cannot be opened, its command line not be read, or nothing be written.
pub fn print(root: &Path, line: Option<&str>) -> Result<u8> {
    let tree = open(root)?;
    let known = known::gather_or_less(root, Scope::Boot)?;
    show(&tree, root, line, &known)
}

/// The same for a system whose list and policy are known.
///
/// # Errors
/// Where its command line cannot be read, or nothing be written.
pub fn show(tree: &Tree, root: &Path, line: Option<&str>, known: &Known) -> Result<u8> {
    let mut buffer = [0; MAX_LEN];
    let line = match line {
        Some(line) => line.as_bytes(),
        None => tree
            .read("proc/cmdline", &mut buffer)
            .map_err(crate::system)
            .with_context(|| {
                format!(
                    "read({}): give the line with --cmdline",
                    root.join("proc/cmdline").display()
                )
            })?,
    };
    if log::set_logger(&ToOutput).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    let mut written = Ok(());
    let informed = Informed { tree, known };
    let exit = run::rehearse(&informed, line, run::Extent::Whole, &mut |record| {
        let mut text = String::new();
        if !record.inventory.is_empty() {
            // A string takes everything.
            let _ = table::show(record, &mut text);
        }
        let address = |step: &Step| record.inventory.get(step.function).map(|f| f.address);
        let taken: Vec<_> = record.plan.bound().filter_map(address).collect();
        for warning in in_use::warnings(root, &taken) {
            // As above.
            let _ = writeln!(text, "warning: {warning}");
        }
        let usage = taken::usage(root, &taken::taken(record));
        let used = usage.users.keys().filter_map(|function| {
            let users = usage.text(*function)?;
            Some(format!("{function} is in use now: {users}"))
        });
        let used = used.chain(usage.told.iter().cloned());
        for note in notes::notes(record, &informed, root, known)
            .into_iter()
            .chain(used)
        {
            let _ = writeln!(text, "note: {note}");
        }
        let file = known.policy.as_deref().unwrap_or_default();
        let mut findings = policy_file::findings(file);
        for finding in &findings {
            let _ = writeln!(text, "{}", finding.told(POLICY));
        }
        written = io::stdout().write_all(text.as_bytes());
        lines::tell_rest_but(record, |problem| {
            let problem = problem.to_string();
            let place = findings.iter().position(|finding| finding.text == problem);
            // Each only once: the command line may have the same mistake.
            place.map(|place| findings.swap_remove(place)).is_some()
        });
        record.exit()
    });
    for told in &known.told {
        written = written.and_then(|()| writeln!(io::stdout(), "{told}"));
    }
    written.context("write(standard output)")?;
    Ok(exit)
}

/// Messages are a part of the plan.
struct ToOutput;

impl Log for ToOutput {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, message: &Message<'_>) {
        // Where standard output takes nothing, the plan has said so.
        let _ = writeln!(io::stdout(), "{}", message.args());
    }

    fn flush(&self) {}
}

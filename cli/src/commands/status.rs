//! What this boot did, beside the machine as it is now, for people and for programs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::device::is_lent;
use crate::names::Names;
use crate::next::{access, lines, memlock};
use crate::status::changes::{Change, Kind};
use crate::status::{self, Row, Status, Was};
use crate::terminal::table::{Cell, Table};
use crate::terminal::{self, Screen, Tone, json, one_line};

use super::{plan, verify};

/// The exit status where nobody knows.
const EXIT_UNKNOWN: u8 = 2;

/// Say what this boot did, whether it still is so, and what is different since the last good boot.
///
/// The exit status is 0 where all is as asked, 1 where it is not, and 2 where it cannot be known: no record of the
/// boot, or one that cannot be read.
#[derive(Debug, Args)]
pub struct Options {
    /// One JSON object (docs/schema/status.json).
    #[arg(long)]
    json: bool,
    /// A captured tree with the `sys`, `proc` and `run` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where nothing can be written. What cannot be read is told, with the exit status 2.
    pub fn run(self) -> Result<u8> {
        let root = &self.root;
        let found = plan::open(root).and_then(|tree| Ok((status::look(root, &tree)?, tree)));
        let (status, tree) = match found {
            Ok(found) => found,
            Err(error) => {
                terminal::tell(format_args!("vfio-bind: {error:#}"));
                return Ok(EXIT_UNKNOWN);
            }
        };
        let names = Names::of(root);
        let next = next(root, &status);
        if self.json {
            json::write("status", &told(&status, &names, &next))?;
        } else {
            terminal::write(&text(root, &status, &names, &next, Screen::of_output()))?;
        }
        if status.exit() == 0
            && status.asked
            && let Err(error) = verify::remember(root, &tree)
        {
            terminal::tell(format_args!(
                "vfio-bind: this good boot is not remembered: {error:#}"
            ));
        }
        Ok(status.exit())
    }
}

/// What comes next for a function that is bound.
#[derive(Clone, Debug, Serialize)]
struct Next {
    address: String,
    /// Who may open its group.
    access: Option<String>,
    /// The line for a virtual machine.
    export: String,
    /// How to give it back.
    release: String,
}

fn next(root: &Path, status: &Status) -> Vec<Next> {
    let bound = status.rows.iter().filter(|row| is_bound(row));
    let next = bound.map(|row| Next {
        address: row.address.to_string(),
        access: row
            .group
            .and_then(|group| access::of_group(root, group))
            .map(|node| node.shown()),
        export: lines::export(row.address),
        release: lines::release(row.address),
    });
    next.collect()
}

fn is_bound(row: &Row) -> bool {
    is_lent(row.driver.as_deref())
}

/// What programs get.
#[derive(Serialize)]
struct Told<'s> {
    exit: u8,
    boot: Option<Boot<'s>>,
    later_runs: usize,
    asked: bool,
    functions: Vec<Function<'s>>,
    wrong: &'s [String],
    changes: &'s [Change],
    next: &'s [Next],
}

#[derive(Serialize)]
struct Boot<'s> {
    record: String,
    state: &'s str,
    agent: &'s str,
    kernel: &'s str,
    exit: i32,
    elapsed_us: u64,
}

#[derive(Serialize)]
struct Function<'s> {
    address: String,
    name: Option<String>,
    id: Option<String>,
    group: Option<u32>,
    why: Option<&'s str>,
    boot: Option<Outcome<'s>>,
    later: Option<Outcome<'s>>,
    present: bool,
    driver: Option<&'s str>,
    wrong: Option<&'s str>,
}

#[derive(Serialize)]
struct Outcome<'s> {
    outcome: String,
    driver: Option<&'s str>,
    reason: &'s str,
}

fn told<'s>(status: &'s Status, names: &Names, next: &'s [Next]) -> Told<'s> {
    let outcome = |was: &'s Was| Outcome {
        outcome: was.outcome.to_string(),
        driver: was.driver.as_deref(),
        reason: &was.reason,
    };
    let function = |row: &'s Row| Function {
        address: row.address.to_string(),
        name: row.id.map(|id| names.name(&id)),
        id: row.id.map(|id| id.to_string()),
        group: row.group,
        why: row.why.as_deref(),
        boot: row.boot.as_ref().map(outcome),
        later: row.later.as_ref().map(outcome),
        present: row.is_there,
        driver: row.driver.as_deref(),
        wrong: row.wrong.as_deref(),
    };
    Told {
        exit: status.exit(),
        boot: status.boot.as_ref().map(|kept| Boot {
            record: kept.path.display().to_string(),
            state: &kept.report.state,
            agent: &kept.report.agent,
            kernel: &kept.report.kernel,
            exit: kept.report.exit,
            elapsed_us: kept.report.elapsed_us,
        }),
        later_runs: status.runs,
        asked: status.asked,
        functions: status.rows.iter().map(function).collect(),
        wrong: &status.wrong,
        changes: &status.changes,
        next,
    }
}

fn text(root: &Path, status: &Status, names: &Names, next: &[Next], screen: Screen) -> String {
    let mut text = screen.wrap(&head(status), 2) + "\n";
    if !status.rows.is_empty() {
        text.push('\n');
        text.push_str(&table(status, names).lines(screen));
    }
    let mut list = |heading: &str, items: Vec<String>| {
        if items.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{}", screen.paint(Tone::Strong, heading));
        for item in items {
            let _ = writeln!(
                text,
                "{}",
                screen.wrap(&format!("  {}", one_line(&item)), 4)
            );
        }
    };
    list("Wrong", status.wrong.clone());
    let changes = status.changes.iter().map(|change| match &change.words {
        Some(words) => format!("{}; new words: {words}", change.told()),
        None => change.told(),
    });
    list("Since the last good boot", changes.collect());
    list("Next", next_lines(root, status, next));
    let says = match status.exit() {
        0 if !status.asked => "nothing is asked for, and nothing was bound",
        0 => "all is as asked",
        1 => "not all is as asked: `vfio-bind doctor` looks for why",
        _ => "not known: the boot left no record",
    };
    let tone = match status.exit() {
        0 => Tone::Good,
        1 => Tone::Bad,
        _ => Tone::Warning,
    };
    let _ = writeln!(text, "\n{}", screen.paint(tone, says));
    text
}

fn head(status: &Status) -> String {
    let Some(kept) = &status.boot else {
        return "This boot left no record in /run/vfio-bind: the agent is not in the image, or did not run."
            .to_owned();
    };
    let report = &kept.report;
    let bound = report
        .functions
        .iter()
        .filter(|one| one.outcome.is_vfio())
        .count();
    let did = match report.state.as_str() {
        "applied" => format!("{bound} bound"),
        "off" => "nothing was done, as vfio.bind=off asked".to_owned(),
        "crash-kernel" => "nothing was done, in a crash kernel".to_owned(),
        "dry-run" => "nothing was written, as vfio.dry_run asked".to_owned(),
        "no-iommu" => match &report.iommu.advice {
            Some(advice) => format!("nothing was bound, without an IOMMU: {advice}"),
            None => "nothing was bound, without an IOMMU".to_owned(),
        },
        "no-pci" => "nothing was bound: there was no PCI bus".to_owned(),
        _ => "nothing was asked for".to_owned(),
    };
    let runs = match status.runs {
        0 => String::new(),
        1 => "; 1 run since".to_owned(),
        more => format!("; {more} runs since"),
    };
    format!(
        "This boot: {did} in {} ms (agent {}, Linux {}){runs}.",
        report.elapsed_us / 1000,
        one_line(&report.agent),
        one_line(&report.kernel)
    )
}

fn table(status: &Status, names: &Names) -> Table {
    let mut table = Table::new(&["Function", "Device", "At boot", "Now", ""]);
    for row in &status.rows {
        let was = |was: &Was| match &was.driver {
            Some(driver) => format!("{}, {driver}", was.outcome),
            None => was.outcome.to_string(),
        };
        let boot = row.boot.as_ref().map_or("-".to_owned(), was);
        let boot = match &row.later {
            Some(later) => format!("{boot}; since: {}", was(later)),
            None => boot,
        };
        let now = match (row.is_there, &row.driver) {
            (false, _) => "gone",
            (true, None) => "no driver",
            (true, Some(driver)) => driver,
        };
        let (mark, tone) = match (&row.wrong, &row.why) {
            (Some(wrong), why) => {
                let reason = [&row.later, &row.boot].into_iter().flatten();
                let mut reason = reason
                    .map(|was| was.reason.as_str())
                    .filter(|one| !one.is_empty());
                let why = why
                    .as_ref()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                let mark = match reason.next().filter(|reason| !wrong.contains(*reason)) {
                    Some(reason) => format!("WRONG: {wrong}{why}: {reason}"),
                    None => format!("WRONG: {wrong}{why}"),
                };
                (mark, Tone::Bad)
            }
            (None, Some(why)) => (format!("as asked ({why})"), Tone::Good),
            (None, None) => ("not asked for".to_owned(), Tone::Faint),
        };
        let name = row.id.map_or("-".to_owned(), |id| names.name(&id));
        table.row([
            row.address.to_string().into(),
            name.into(),
            boot.into(),
            now.into(),
            Cell::toned(mark, tone),
        ]);
    }
    table
}

/// What a person needs once something is bound.
fn next_lines(root: &Path, status: &Status, next: &[Next]) -> Vec<String> {
    let mut told = Vec::new();
    for one in next {
        let access = one
            .access
            .as_ref()
            .map(|access| format!("; {access}"))
            .unwrap_or_default();
        told.push(format!(
            "{}: `{}` prints the line for a virtual machine; `{}` gives it back now{access}",
            one.address, one.export, one.release
        ));
    }
    if !next.is_empty() {
        let [rule, reload] = access::rule("USER");
        told.push(format!(
            "For virtual machines of one user: `{rule}` in {}, then `{reload}`",
            access::RULES
        ));
        if let Some(limit) = memlock::now(root) {
            let [line, _] = memlock::lines("USER", 4096);
            told.push(format!(
                "A guest's whole memory is locked: {}; for one of 4096 MiB `{line}` in \
                 /etc/security/limits.d/70-vfio.conf",
                memlock::told(limit)
            ));
        }
    }
    let moved = status
        .changes
        .iter()
        .any(|change| change.kind == Kind::Moved && change.bound);
    if moved {
        told.push(
            "What has moved is meant by the new words above; a path with its ID, as `vfio-bind plan` shows it, holds \
             when bus numbers change"
                .to_owned(),
        );
    }
    told
}

//! Every check of a machine, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::doctor::finding::{Finding, Verdict, exit};
use crate::doctor::{self, Report};
use crate::names::Names;
use crate::terminal::table::{Cell, Table};
use crate::terminal::{self, Screen, Tone, json};

use super::plan;

/// The exit status where a device is none of this machine, or nothing could be looked at.
const EXIT_UNKNOWN: u8 = 2;

/// Look for all that keeps devices from being lent, and say what mends it.
///
/// Each check is PASS, WARN, FAIL, NOT APPLICABLE or UNKNOWN, with what was found, where, and what to do. Nothing is
/// written. The exit status is 1 with a FAIL, else 2 where something could not be known, else 0.
#[derive(Debug, Args)]
pub struct Options {
    /// The functions to look at, in place of what is asked for: addresses, paths or IDs.
    #[arg(value_name = "DEVICE")]
    devices: Vec<String>,
    /// Only what is WARN, FAIL or UNKNOWN.
    #[arg(long)]
    brief: bool,
    /// One JSON object (docs/schema/doctor.json).
    #[arg(long, conflicts_with = "brief")]
    json: bool,
    /// A captured tree with the `sys`, `proc`, `etc` and `boot` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// What programs get.
#[derive(Serialize)]
struct Told<'r> {
    exit: u8,
    functions: Vec<String>,
    findings: &'r [Finding],
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where nothing can be written. What cannot be looked at is told, with the exit status 2.
    pub fn run(self) -> Result<u8> {
        let report =
            plan::open(&self.root).and_then(|tree| doctor::report(&self.root, tree, &self.devices));
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                terminal::tell(format_args!("vfio-bind: {error:#}"));
                return Ok(EXIT_UNKNOWN);
            }
        };
        let exit = exit(&report.findings);
        if self.json {
            let functions = report.functions.iter();
            let told = Told {
                exit,
                functions: functions.map(|one| one.address.to_string()).collect(),
                findings: &report.findings,
            };
            json::write("doctor", &told)?;
        } else {
            let names = Names::of(&self.root);
            terminal::write(&text(&report, &names, self.brief, Screen::of_output()))?;
        }
        Ok(exit)
    }
}

/// The report for people.
#[must_use]
pub fn text(report: &Report, names: &Names, brief: bool, screen: Screen) -> String {
    let is_shown = |finding: &&Finding| {
        !brief || !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable)
    };
    let about = |function: Option<String>| {
        let findings = report.findings.iter();
        findings.filter(move |finding| finding.function == function)
    };
    let mut text = String::new();
    text.push_str(&table(about(None).filter(is_shown)).lines(screen));
    for function in &report.functions {
        let address = function.address.to_string();
        let lines = table(about(Some(address.clone())).filter(is_shown)).lines(screen);
        if lines.is_empty() {
            continue;
        }
        let heading = terminal::one_line(&format!("{address}  {}", names.name(&function.id)));
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = write!(
            text,
            "{gap}{}\n{lines}",
            screen.paint(Tone::Strong, &heading)
        );
    }
    if report.functions.is_empty() {
        let note = "No function was looked at: none is asked for. `vfio-bind doctor 42:00.0` looks at one.";
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}", screen.wrap(note, 0));
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{gap}{}", summary(&report.findings));
    text
}

fn table<'f>(findings: impl Iterator<Item = &'f Finding>) -> Table {
    let mut table = Table::new(&[]);
    for finding in findings {
        let tone = match finding.verdict {
            Verdict::Pass => Tone::Good,
            Verdict::Warn | Verdict::Unknown => Tone::Warning,
            Verdict::Fail => Tone::Bad,
            Verdict::NotApplicable => Tone::Faint,
        };
        let read = match finding.read[..] {
            [] => String::new(),
            _ => format!(" ({})", places(finding)),
        };
        table.row([
            Cell::toned(finding.verdict.to_string(), tone),
            finding.check.into(),
            format!("{}{read}", finding.fact).into(),
        ]);
        if let Some(mend) = &finding.mend {
            table.row(["".into(), "".into(), format!("-> {mend}").into()]);
        }
    }
    table
}

/// Where it was read: of attributes of the function that it is about their names, so that they fit.
fn places(finding: &Finding) -> String {
    let own = finding.function.as_ref();
    let own = own.map(|function| format!("/sys/bus/pci/devices/{function}/"));
    let places = finding.read.iter().map(|place| {
        let short = own.as_ref().and_then(|own| place.strip_prefix(own));
        short.unwrap_or(place)
    });
    places.collect::<Vec<_>>().join(", ")
}

fn summary(findings: &[Finding]) -> String {
    let all = [
        Verdict::Fail,
        Verdict::Warn,
        Verdict::Unknown,
        Verdict::Pass,
        Verdict::NotApplicable,
    ];
    let counts = all.iter().filter_map(|verdict| {
        let count = findings
            .iter()
            .filter(|one| one.verdict == *verdict)
            .count();
        (count > 0).then(|| format!("{count} {verdict}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

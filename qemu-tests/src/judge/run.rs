//! Whether a run of the agent did and said what it must.

use super::{Failures, Records, list};
use crate::function::{Snapshot, name};
use crate::protocol::{AgentRun, Ending};
use crate::report::{Outcome, Report};
use crate::scenario::{BEFORE, Run, Scenario};

/// A log line that is longer is cut by the kernel on some versions.
const LOG_LINE_LIMIT: usize = 900;

pub(super) fn judge(scenario: &Scenario, run: &Run, records: &Records, failures: &mut Failures) {
    let label = &run.label;
    let Some(seen) = records.runs.iter().find(|seen| seen.label == *label) else {
        return failures.add(format_args!("the run `{label}`"), "one", "no record of it");
    };
    if seen.ending != Ending::Exited(run.exit) {
        let expected = Ending::Exited(run.exit);
        failures.add(
            format_args!("{label}: its end"),
            format_args!("{expected:?}"),
            format_args!("{:?}", seen.ending),
        );
    }
    check_log(run, seen, failures);
    check_writes(run, seen, failures);
    let after = records.snapshot(label);
    if !run.writes {
        check_stillness(scenario, run, records, failures);
    }
    if !run.traces {
        let what = format_args!("{label}: what it leaves behind");
        let report = seen.report.as_deref().unwrap_or_default();
        failures.equal(
            what,
            String::new(),
            format!("{report}{}", seen.log.join("\n")),
        );
        return;
    }
    let Some(text) = &seen.report else {
        return failures.add(
            format_args!("{label}: its record"),
            "report.json",
            "no such file",
        );
    };
    match Report::parse(text) {
        Err(error) => failures.add(
            format_args!("{label}: its record"),
            "JSON",
            format_args!("{error}: {text}"),
        ),
        Ok(report) => {
            check_report(run, &report, failures);
            if let Some(after) = after {
                check_truth(run, &report, after, failures);
            }
        }
    }
}

/// The log: what must be said is said, in lines that the kernel keeps whole.
fn check_log(run: &Run, seen: &AgentRun, failures: &mut Failures) {
    let label = &run.label;
    if run.traces && seen.log.is_empty() {
        failures.add(format_args!("{label}: its log"), "at least a line", "none");
    }
    for line in seen.log.iter().filter(|line| line.len() >= LOG_LINE_LIMIT) {
        failures.add(
            format_args!("{label}: a log line"),
            format_args!("under {LOG_LINE_LIMIT} bytes"),
            line,
        );
    }
    for piece in &run.says {
        if !seen.log.iter().any(|line| line.contains(piece)) {
            failures.add(
                format_args!("{label}: its log"),
                format_args!("`{piece}`"),
                list(&seen.log),
            );
        }
    }
}

/// The writes: only to the functions of the scenario, overrides before anything that binds.
fn check_writes(run: &Run, seen: &AgentRun, failures: &mut Failures) {
    let label = &run.label;
    if !run.writes {
        return failures.equal(
            format_args!("{label}: writes into sysfs"),
            "nothing".to_owned(),
            list(&seen.writes),
        );
    }
    let touched = |address: &str| {
        run.outcomes.iter().any(|(other, outcome)| {
            *other == address
                && !matches!(outcome, Outcome::Refused | Outcome::Left | Outcome::Already)
        })
    };
    for write in &seen.writes {
        let owner = write.split('/').next().unwrap_or_default();
        if owner.contains(':') && !touched(owner) {
            failures.add(
                format_args!("{label}: writes into sysfs"),
                "none to this function",
                write,
            );
        }
    }
    for (address, _) in run.outcomes.iter().filter(|(address, _)| touched(address)) {
        let first =
            |suffix: &dyn Fn(&str) -> bool| seen.writes.iter().position(|write| suffix(write));
        let overridden = first(&|write| write == format!("{address}/driver_override"));
        let bound = first(&|write| write.ends_with("bind") || write.ends_with("drivers_probe"));
        let early = match (overridden, bound) {
            (Some(overridden), Some(bound)) => overridden < bound,
            (overridden, _) => overridden.is_some(),
        };
        if !early {
            failures.add(
                format_args!("{label}: writes into sysfs"),
                format_args!("{address}/driver_override before any bind, unbind or probe"),
                list(&seen.writes),
            );
        }
    }
}

/// Nothing has changed since the snapshot before this run.
fn check_stillness(scenario: &Scenario, run: &Run, records: &Records, failures: &mut Failures) {
    let labels = std::iter::once(BEFORE).chain(scenario.runs.iter().map(|run| run.label.as_str()));
    let snapshots: Vec<&Snapshot> = labels.filter_map(|label| records.snapshot(label)).collect();
    let place = snapshots
        .iter()
        .position(|snapshot| snapshot.label == run.label);
    let Some((before, after)) =
        place.and_then(|at| Some((snapshots[at.checked_sub(1)?], snapshots[at])))
    else {
        return failures.add(
            format_args!("{}: snapshots", run.label),
            "before and after",
            "fewer",
        );
    };
    failures.equal(
        format_args!("{}: functions that changed", run.label),
        "nothing".to_owned(),
        list(&before.differences(after)),
    );
    failures.equal(
        format_args!("{}: the kernel's count of uevents", run.label),
        before.uevents,
        after.uevents,
    );
}

/// The record says what the scenario demands.
fn check_report(run: &Run, report: &Report, failures: &mut Failures) {
    let label = &run.label;
    failures.equal(
        format_args!("{label}: the record's state"),
        run.state,
        &report.state,
    );
    failures.equal(
        format_args!("{label}: the record's exit"),
        run.exit,
        report.exit,
    );
    let line = |address: &str, outcome: Outcome| format!("{address} {outcome}");
    let mut expected: Vec<_> = run.outcomes.iter().map(|(a, o)| line(a, *o)).collect();
    let mut actual: Vec<_> = report
        .functions
        .iter()
        .map(|f| line(&f.address, f.outcome))
        .collect();
    expected.sort();
    actual.sort();
    failures.equal(
        format_args!("{label}: the record's functions"),
        list(&expected),
        list(&actual),
    );
    check_pieces(
        format_args!("{label}: the record's errors"),
        &run.errors,
        &report.policy.errors,
        failures,
    );
    check_pieces(
        format_args!("{label}: the record's warnings"),
        &run.warnings,
        &report.policy.warnings,
        failures,
    );
    for (address, viable) in &run.viable {
        let number = report.function(address).and_then(|function| function.group);
        let group = report
            .groups
            .iter()
            .find(|group| Some(group.group) == number);
        let actual = group.and_then(|group| group.viable);
        if actual != Some(*viable) {
            failures.add(
                format_args!("{label}: whether the group of {address} is viable"),
                viable,
                format_args!("{actual:?}"),
            );
        }
        if let Some(group) = group.filter(|group| !viable && group.blockers.is_empty()) {
            failures.add(
                format_args!("{label}: what blocks group {}", group.group),
                "a function",
                "nothing",
            );
        }
    }
}

/// As many messages as pieces, each with its piece.
fn check_pieces(
    what: std::fmt::Arguments<'_>,
    pieces: &[&str],
    messages: &[String],
    failures: &mut Failures,
) {
    let fits = |(piece, message): (&&str, &String)| message.contains(*piece);
    if pieces.len() != messages.len() || !pieces.iter().zip(messages).all(fits) {
        let quoted: Vec<_> = pieces
            .iter()
            .map(|piece| format!("one with `{piece}`"))
            .collect();
        failures.add(what, list(&quoted), list(messages));
    }
}

/// The record says what sysfs says.
fn check_truth(run: &Run, report: &Report, after: &Snapshot, failures: &mut Failures) {
    for function in &report.functions {
        let what = format!("{}: the record of {}", run.label, function.address);
        match after.function(&function.address) {
            None => failures.add(what, "a function that exists", "no such function"),
            Some(real) => {
                let describe = |driver, group: Option<u32>| {
                    format!("driver {}, group {group:?}", name(driver))
                };
                let expected = describe(&real.driver, real.group);
                failures.equal(
                    what,
                    expected,
                    describe(&function.driver_now, function.group),
                );
            }
        }
    }
}

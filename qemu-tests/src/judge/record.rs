//! Whether the agent's record says what the scenario demands, and what is true.

use super::evidence::Records;
use super::failures::{RunFailures, list};
use crate::function::{self, Snapshot, name};
use crate::protocol::AgentRun;
use crate::report::{Function, Report};
use crate::scenario::{Run, Scenario};

/// The version of the record's schema that these tests know.
const SCHEMA: u32 = 1;

/// Every function just before and just after a run.
pub(super) struct Around<'a> {
    pub(super) before: &'a Snapshot,
    pub(super) after: &'a Snapshot,
}

pub(super) fn judge(
    scenario: &Scenario,
    run: &Run,
    seen: &AgentRun,
    around: &Around<'_>,
    records: &Records,
    failures: &mut RunFailures<'_>,
) {
    let Some(text) = &seen.report else {
        return failures.add("its record", "report.json", "no such file");
    };
    let report = match Report::parse(text) {
        Ok(report) => report,
        Err(error) => return failures.add("its record", "JSON", format_args!("{error}: {text}")),
    };
    failures.equal("the record's schema", SCHEMA, report.schema);
    failures.equal("the record's kernel", &records.release(), &report.kernel);
    failures.equal(
        "the record's IOMMU",
        scenario.iommu.kind(),
        &report.iommu.kind,
    );
    failures.equal("the record's state", run.state, &report.state);
    failures.equal("the record's exit", run.exit, report.exit);
    check_outcomes(run, &report, failures);
    check_messages(
        "the record's errors",
        &run.errors,
        &report.policy.errors,
        failures,
    );
    check_messages(
        "the record's warnings",
        &run.warnings,
        &report.policy.warnings,
        failures,
    );
    check_groups(run, &report, failures);
    check_journal(&report, &seen.log, failures);
    for function in &report.functions {
        check_truth(run, function, around, failures);
    }
}

/// Exactly the functions of the scenario, each with its outcome.
fn check_outcomes(run: &Run, report: &Report, failures: &mut RunFailures<'_>) {
    let expected = run
        .outcomes
        .iter()
        .map(|(address, outcome)| format!("{address} {outcome}"));
    let actual = report
        .functions
        .iter()
        .map(|f| format!("{} {}", f.address, f.outcome));
    let (mut expected, mut actual): (Vec<_>, Vec<_>) = (expected.collect(), actual.collect());
    expected.sort();
    actual.sort();
    failures.equal("the record's functions", list(&expected), list(&actual));
}

/// As many messages as pieces, each with its piece.
fn check_messages(
    what: &str,
    pieces: &[&str],
    messages: &[String],
    failures: &mut RunFailures<'_>,
) {
    let fits = |(piece, message): (&&str, &String)| message.contains(*piece);
    if pieces.len() != messages.len() || !pieces.iter().zip(messages).all(fits) {
        let expected: Vec<_> = pieces
            .iter()
            .map(|piece| format!("one with `{piece}`"))
            .collect();
        failures.add(what, list(&expected), list(messages));
    }
}

/// The record has what the log has, in the same order. Of what is not ASCII, the log has numbers.
fn check_journal(report: &Report, log: &[String], failures: &mut RunFailures<'_>) {
    let said = log
        .iter()
        .filter_map(|line| line.strip_prefix("vfio-bind: "));
    let said: Vec<_> = said.filter(|text| !text.contains('\\')).collect();
    let kept = report.messages.iter().map(|message| message.text.as_str());
    let kept: Vec<_> = kept
        .filter(|text| text.is_ascii() && !text.contains('\\'))
        .collect();
    if kept != said {
        failures.add("the record's messages", list(&said), list(&kept));
    }
}

/// What VFIO says of the groups, and what blocks those that are not viable.
fn check_groups(run: &Run, report: &Report, failures: &mut RunFailures<'_>) {
    for (address, viable) in &run.viable {
        let number = report.function(address).and_then(|function| function.group);
        let group = report
            .groups
            .iter()
            .find(|group| Some(group.group) == number);
        let actual = group.and_then(|group| group.viable);
        if actual != Some(*viable) {
            let what = format!("whether the group of {address} is viable");
            failures.add(what, viable, format_args!("{actual:?}"));
        }
        if let Some(group) = group.filter(|group| !viable && group.blockers.is_empty()) {
            failures.add(
                format!("what blocks group {}", group.group),
                "a function",
                "nothing",
            );
        }
    }
}

/// What the record says of a function is what sysfs says.
fn check_truth(
    run: &Run,
    function: &Function,
    around: &Around<'_>,
    failures: &mut RunFailures<'_>,
) {
    let address = &function.address;
    let what = format!("the record of {address}");
    let (before, after) = (
        // What was made in the run had no driver.
        around
            .before
            .function(address)
            .cloned()
            .or_else(|| run.makes.map(|_| function::Function::default())),
        around.after.function(address),
    );
    let (Some(before), Some(after)) = (before, after) else {
        return failures.add(what, "a function that exists", "no such function");
    };
    let describe = |real: &function::Function, now: &Option<String>, was: &Option<String>| {
        let group = real
            .group
            .map_or("none".to_owned(), |group| group.to_string());
        let (now, was) = (name(now), name(was));
        format!(
            "{} class {}, group {group}, driver {was} -> {now}",
            real.ids, real.class
        )
    };
    let Function {
        vendor,
        device,
        subvendor,
        subdevice,
        class,
        group,
        ..
    } = function.clone();
    let ids = format!("{vendor}:{device}:{subvendor}:{subdevice}");
    let told = function::Function {
        ids,
        class,
        group,
        ..after.clone()
    };
    failures.equal(
        what,
        describe(after, &after.driver, &before.driver),
        describe(&told, &function.driver_now, &function.driver_before),
    );
}

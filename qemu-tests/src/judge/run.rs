//! Whether a run of the agent did and said what it must.

use super::evidence::Records;
use super::failures::{Failures, RunFailures, list};
use super::record::{self, Around};
use crate::function::name;
use crate::protocol::{AgentRun, Ending};
use crate::report::Fate;
use crate::scenario::{BEFORE, Run, Scenario};

/// A log line that is longer is cut by the kernel on some versions.
const LOG_LINE_LIMIT: usize = 900;

pub(super) fn judge(scenario: &Scenario, run: &Run, records: &Records, all: &mut Failures) {
    let mut failures = RunFailures {
        label: &run.label,
        all,
    };
    let seen = records.runs.iter().find(|seen| seen.label == run.label);
    let (Some(seen), Some(around)) = (seen, around(scenario, run, records)) else {
        return failures.add("records", "a run between two snapshots", "fewer");
    };
    let expected = Ending::Exited(run.exit);
    if seen.ending != expected {
        let actual = format_args!("{:?}", seen.ending);
        failures.add("its end", format_args!("{expected:?}"), actual);
    }
    check_time(run, seen, &mut failures);
    check_log(run, seen, &mut failures);
    check_writes(scenario, run, seen, &around, &mut failures);
    check_attributes(run, &around, &mut failures);
    // What hangs in the kernel, which `D` says, cannot be ended.
    for process in seen.left.iter().filter(|process| !process.contains(" D")) {
        failures.add("what it leaves running", "nothing", process);
    }
    if !run.writes {
        check_stillness(run, &around, &mut failures);
    }
    let printed = seen.output.join("\n");
    for piece in &run.prints {
        if !printed.contains(piece) {
            failures.add("what it prints", piece, &printed);
        }
    }
    if run.traces && !run.records {
        let record = seen.report.clone().unwrap_or_default();
        failures.equal("its record", String::new(), record);
    } else if run.traces {
        record::judge(scenario, run, seen, &around, records, &mut failures);
    } else {
        let traces = format!(
            "{}{}",
            seen.report.as_deref().unwrap_or(""),
            seen.log.join("\n")
        );
        failures.equal("what it leaves behind", String::new(), traces);
    }
}

/// The snapshots around a run: each run is followed by one with its label.
fn around<'a>(scenario: &Scenario, run: &Run, records: &'a Records) -> Option<Around<'a>> {
    let labels = || scenario.runs.iter().map(|run| run.label.as_str());
    let place = labels().position(|label| label == run.label)?;
    let own = run.before();
    let before = match &own {
        Some(label) => label,
        None => std::iter::once(BEFORE).chain(labels()).nth(place)?,
    };
    Some(Around {
        before: records.snapshot(before)?,
        after: records.snapshot(&run.label)?,
    })
}

/// What must be waited for is, and no longer.
fn check_time(run: &Run, seen: &AgentRun, failures: &mut RunFailures<'_>) {
    if let Some((least, most)) = run.time {
        let time = seen.elapsed_ms;
        if !(least..=most).contains(&time) {
            failures.add("its time", format_args!("{least} to {most} ms"), time);
        }
    }
}

/// The log: what must be said is said, in lines that the kernel keeps whole.
fn check_log(run: &Run, seen: &AgentRun, failures: &mut RunFailures<'_>) {
    if run.traces && run.records && seen.log.is_empty() {
        failures.add("its log", "at least a line", "none");
    }
    for line in seen.log.iter().filter(|line| line.len() >= LOG_LINE_LIMIT) {
        failures.add(
            "a log line",
            format_args!("under {LOG_LINE_LIMIT} bytes"),
            line,
        );
    }
    for piece in &run.says {
        if !seen.log.iter().any(|line| line.contains(piece)) {
            failures.add("its log", format_args!("`{piece}`"), list(&seen.log));
        }
    }
}

/// What is set is so, and all else is as it was.
fn check_attributes(run: &Run, around: &Around<'_>, failures: &mut RunFailures<'_>) {
    for before in &around.before.functions {
        let address = &before.address;
        let Some(after) = around.after.function(address) else {
            continue;
        };
        for (attribute, was, is) in [
            ("reset_method", &before.reset_method, &after.reset_method),
            (
                "d3cold_allowed",
                &before.d3cold_allowed,
                &after.d3cold_allowed,
            ),
        ] {
            let mut sets = run.sets.iter();
            let set = sets.find(|(of, name, _)| of == address && *name == attribute);
            let expected = set.map_or(name(was), |(.., value)| value);
            failures.equal(format!("{attribute} of {address}"), expected, name(is));
        }
    }
}

/// The writes: only to the functions of the scenario, overrides before anything that binds.
fn check_writes(
    scenario: &Scenario,
    run: &Run,
    seen: &AgentRun,
    around: &Around<'_>,
    failures: &mut RunFailures<'_>,
) {
    let what = "writes into sysfs";
    if !run.writes {
        return failures.equal(what, "nothing".to_owned(), list(&seen.writes));
    }
    // What VFIO has by the kernel's own choice still needs an override, lest another driver gets it.
    let is_held = |address: &str| {
        let before = around.before.function(address);
        before.is_some_and(|found| found.driver_override.as_deref() == Some(scenario.driver))
    };
    let touched = run
        .outcomes
        .iter()
        .filter(|(address, outcome)| match outcome {
            Fate::Refused | Fate::Left => false,
            Fate::Already => !is_held(address),
            _ => true,
        });
    let touched: Vec<&str> = touched.map(|(address, _)| *address).collect();
    let is_bridge = |owner: &str| {
        let before = around.before.function(owner);
        before.is_some_and(|found| found.header != 0)
    };
    let mut check = |write: &String, is_waking: bool| {
        let owner = write.split('/').next().unwrap_or_default();
        let may_be = touched.contains(&owner) || (is_waking && is_bridge(owner));
        // Other owners are drivers and the bus.
        if owner.contains(':') && !may_be && run.makes != Some(owner) {
            failures.add(what, "none to this function", write);
        }
    };
    let mut writes = &seen.writes[..];
    if scenario.has_late_groups() {
        while let Some(rest) = after_waking(writes) {
            check(&writes[0], true);
            writes = rest;
        }
    }
    for write in writes {
        check(write, false);
    }
    let first_bind = writes
        .iter()
        .position(|write| binds(write))
        .unwrap_or(writes.len());
    // The files of what is made meanwhile are not watched.
    let is_there = |address: &str| around.before.function(address).is_some();
    let watched = touched.into_iter().filter(|address| is_there(address));
    for address in watched.filter(|address| !is_held(address)) {
        let file = format!("{address}/driver_override");
        if !writes[..first_bind].contains(&file) {
            let expected = format!("{file} before any bind, unbind or probe");
            failures.add(what, expected, list(&seen.writes));
        }
    }
}

/// Whether a write changes which driver a function has.
fn binds(write: &str) -> bool {
    write.ends_with("bind") || write.ends_with("drivers_probe")
}

/// What follows the writes that offer a function to a driver which refuses it, where such writes come first.
fn after_waking(writes: &[String]) -> Option<&[String]> {
    let (file, rest) = writes.split_first()?;
    let middle = rest.iter().take_while(|write| binds(write)).count();
    let (last, rest) = rest.get(middle..)?.split_first()?;
    let is_waking = file.ends_with("/driver_override") && last == file && middle > 0;
    // Without the override, whoever wants it may have it.
    let probes = rest.iter().take_while(|write| binds(write)).count();
    is_waking.then(|| &rest[probes..])
}

/// Nothing has changed.
fn check_stillness(run: &Run, around: &Around<'_>, failures: &mut RunFailures<'_>) {
    let Around { before, after } = around;
    let changed = list(&before.differences(after));
    failures.equal("functions that changed", "nothing".to_owned(), changed);
    // A module that is loaded makes some.
    if !run.loads {
        failures.equal(
            "the kernel's count of uevents",
            before.uevents,
            after.uevents,
        );
    }
}

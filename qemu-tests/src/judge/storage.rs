//! Whether a system on two disks told both, and came up with the list of them and not with half of it.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::function::name;
use crate::protocol::Ending;
use crate::report::{Fate, Report};
use crate::scenario::NATIVES;
use crate::storage::{Boot, FREE, LIST, NEEDED, PROTECTED, Stack};

/// The driver of what was taken.
const VFIO: &str = "vfio-pci";

/// A boot that must come up.
pub(super) fn judge(boot: Boot, told: &str, records: &Records, failures: &mut Failures) {
    check_drivers(boot, records, failures);
    match told_list(records) {
        Ok(list) => check_list(&list, failures),
        Err(actual) => failures.add(LIST, "exit status 0 and the list alone", actual),
    }
    if boot != Boot::Native {
        check_record(boot, told, records, failures);
    }
}

/// A boot that must not come up: for want of the second disk, which the agent has taken.
pub(super) fn judge_half(
    stack: Stack,
    console: &str,
    over_time: bool,
    records: &Records,
    failures: &mut Failures,
) {
    if over_time {
        failures.add("the machine", "to give up by itself", "it was ended");
    }
    if !records.releases.is_empty() {
        failures.add(
            "the boot without the second disk",
            "a failure, or the list proves nothing",
            "a system that is up",
        );
    }
    let [_, second] = NEEDED;
    let taken = format!("vfio-bind: {second}: (none) -> {VFIO} ");
    for words in [&*taken, stack.complaint()] {
        if !console.contains(words) {
            failures.add("the console", format_args!("`{words}`"), "no such line");
        }
    }
}

/// What the system told of what it needs, and nothing besides.
pub(super) fn told_list(records: &Records) -> Result<String, String> {
    let ran = records.ran.iter().find(|ran| ran.command == LIST);
    let ran = ran.ok_or("it was not run")?;
    let output = ran.output.join("\n");
    let is_list = |line: &String| line.starts_with("vfio.protect=");
    if ran.ending != Ending::Exited(0) || !ran.output.iter().all(is_list) {
        return Err(format!("{:?}, with `{output}`", ran.ending));
    }
    Ok(output + "\n")
}

/// The list has both disks of the system and no other: one that is not whole takes no disk by its ID.
fn check_list(told: &str, failures: &mut Failures) {
    let lines: Vec<_> = told.lines().collect();
    let both = lines.len() == PROTECTED.len();
    if !both
        || PROTECTED
            .iter()
            .zip(&lines)
            .any(|(start, line)| !line.starts_with(start))
    {
        failures.add("the list", list(&PROTECTED), list(&lines));
    }
}

fn check_drivers(boot: Boot, records: &Records, failures: &mut Failures) {
    let Some(natives) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    let free = if boot == Boot::Native { "nvme" } else { VFIO };
    let needed = NEEDED.map(|disk| (disk, "nvme"));
    for (address, expected) in needed.into_iter().chain([(FREE, free)]) {
        let driver = natives.function(address).map(|function| &function.driver);
        let actual = driver.map_or("no such function", name);
        failures.equal(format_args!("the driver of {address}"), expected, actual);
    }
}

/// The record came through the switch to the real root, and says what happened.
fn check_record(boot: Boot, told: &str, records: &Records, failures: &mut Failures) {
    let [inherited] = &records.inherited[..] else {
        let count = records.inherited.len();
        return failures.add("records of what the initramfs left", "one", count);
    };
    let kept = "what is kept of the image's list";
    failures.equal(kept, &boot.part(told), &inherited.kept);
    let Some(text) = &inherited.report else {
        return failures.add("the record in /run", "report.json", "no such file");
    };
    let report = match Report::parse(text) {
        Ok(report) => report,
        Err(error) => return failures.add("the record", "JSON", format_args!("{error}: {text}")),
    };
    for (address, expected) in [
        (FREE, Fate::Bound),
        (NEEDED[0], Fate::Refused),
        (NEEDED[1], Fate::Refused),
    ] {
        let function = report.function(address);
        let actual = function.map_or_else(|| "no entry".to_owned(), |f| f.outcome.to_string());
        let what = format_args!("the record of {address}");
        failures.equal(what, expected.to_string(), actual);
    }
    // What was asked for and is protected is not bound.
    failures.equal("the record's exit", 1, report.exit);
}

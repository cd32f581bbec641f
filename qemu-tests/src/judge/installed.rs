//! Whether a system on a disk of its own was as before, bound what it was asked for, and is as before again.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::function::name;
use crate::installed::{Boot, PROTECTED, State, TAKEN, machine};
use crate::protocol::{Ending, Inherited};
use crate::report::{Fate, Report};
use crate::scenario::NATIVES;

/// The driver of what was taken.
const VFIO: &str = "vfio-pci";

pub(super) fn judge(boot: &Boot, records: &Records, failures: &mut Failures) {
    let [inherited] = &records.inherited[..] else {
        let count = records.inherited.len();
        return failures.add("records of what the initramfs left", "one", count);
    };
    check_drivers(boot.state, records, failures);
    if boot.state == State::Bound {
        check_record(inherited, failures);
        check_use(records, failures);
    } else if boot.state == State::Unasked {
        let report = inherited.report.as_deref().unwrap_or("");
        failures.equal("the record of what nobody asked for", "", report);
    } else {
        let traces = [
            inherited.report.as_deref().unwrap_or(""),
            &inherited.kept,
            &inherited.log.join("\n"),
        ];
        failures.equal("what an agent left", String::new(), traces.concat());
    }
    let [ran] = &records.ran[..] else {
        return failures.add("scripts that were run", "one", records.ran.len());
    };
    if ran.ending != Ending::Exited(0) {
        let actual = format!("{:?}, with `{}`", ran.ending, ran.output.join("\n"));
        failures.add(&ran.command, "exit status 0", actual);
    }
    for wanted in &boot.prints {
        if !ran.output.iter().any(|line| line.contains(wanted)) {
            failures.add("what its commands print", wanted, list(&ran.output));
        }
    }
    if boot.state == State::Clean {
        failures.equal("what is left", list::<&str>(&[]), list(&ran.output));
    }
}

fn check_drivers(state: State, records: &Records, failures: &mut Failures) {
    let Some(natives) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    let machine = machine();
    for address in TAKEN {
        let native = machine.device(address).map_or("", |device| device.native);
        let expected = if state == State::Bound { VFIO } else { native };
        let driver = natives.function(address).map(|function| &function.driver);
        let actual = driver.map_or("no such function", name);
        failures.equal(format_args!("the driver of {address}"), expected, actual);
    }
}

/// The record came through the switch to the real root, and says what happened; the image has the list.
fn check_record(inherited: &Inherited, failures: &mut Failures) {
    let lines: Vec<_> = inherited.kept.lines().collect();
    if lines.len() != 1 || !lines[0].starts_with(PROTECTED) {
        failures.add("what is kept of the image's list", PROTECTED, list(&lines));
    }
    let Some(text) = &inherited.report else {
        return failures.add("the record in /run", "report.json", "no such file");
    };
    let report = match Report::parse(text) {
        Ok(report) => report,
        Err(error) => return failures.add("the record", "JSON", format_args!("{error}: {text}")),
    };
    failures.equal("the record's exit", 0, report.exit);
    for address in TAKEN {
        let function = report.function(address);
        let actual = function.map_or_else(|| "no entry".to_owned(), |f| f.outcome.to_string());
        let what = format_args!("the record of {address}");
        failures.equal(what, Fate::Bound.to_string(), actual);
        let before = function.map_or("no entry", |function| name(&function.driver_before));
        let what = format_args!("the driver of {address} before the agent");
        failures.equal(what, "none", before);
    }
}

/// Every function that was taken works.
fn check_use(records: &Records, failures: &mut Failures) {
    let used: Vec<_> = records.used.iter().map(|used| &used.address).collect();
    failures.equal("functions used through VFIO", list(&TAKEN), list(&used));
    for used in records.used.iter().filter(|used| !used.error.is_empty()) {
        let what = format!("{} used through VFIO", used.address);
        failures.add(what, "no error", &used.error);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::function::{Function, Snapshot};
    use crate::installed::System;
    use crate::protocol::{Ran, Used};

    /// What a good boot left.
    fn records(boot: &Boot) -> Records {
        let bound = boot.state == State::Bound;
        let machine = machine();
        let function = |address: &&str| Function {
            address: (*address).to_owned(),
            driver: Some(match bound {
                true => VFIO.to_owned(),
                false => machine.device(address).unwrap().native.to_owned(),
            }),
            ..Function::default()
        };
        let entry = |address: &str| {
            format!(
                r#"{{"address":"{address}","vendor":"1","device":"1","subvendor":"1","subdevice":"1","class":"0",
                    "group":1,"driver_before":null,"driver_now":"{VFIO}","outcome":"bound"}}"#
            )
        };
        let report = format!(
            r#"{{"schema":1,"kernel":"6.12","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
                "functions":[{}],"exit":0,"elapsed_us":9}}"#,
            TAKEN.map(entry).join(",")
        );
        let used = |address: &&str| Used {
            address: (*address).to_owned(),
            through: "group".to_owned(),
            ids: "1:1".to_owned(),
            error: String::new(),
        };
        Records {
            snapshots: vec![Snapshot {
                label: NATIVES.to_owned(),
                uevents: 1,
                functions: TAKEN.iter().map(function).collect(),
            }],
            inherited: vec![Inherited {
                report: bound.then_some(report),
                kept: if bound {
                    format!("{PROTECTED} # /: x\n")
                } else {
                    String::new()
                },
                ..Inherited::default()
            }],
            used: if bound {
                TAKEN.iter().map(used).collect()
            } else {
                Vec::new()
            },
            ran: vec![Ran {
                command: boot.script(),
                ending: Ending::Exited(0),
                output: boot.prints.clone(),
                writes: Vec::new(),
                records: BTreeMap::new(),
                disk: String::new(),
            }],
            ..Records::default()
        }
    }

    fn failures(boot: &Boot, records: &Records) -> Vec<String> {
        let mut failures = Failures::default();
        judge(boot, records, &mut failures);
        failures.0.iter().map(ToString::to_string).collect()
    }

    /// The boots of all courses, each with what a good one leaves.
    fn boots() -> Vec<Boot> {
        System::ALL.into_iter().flat_map(System::boots).collect()
    }

    fn boot(state: State) -> Boot {
        boots()
            .into_iter()
            .find(|boot| boot.state == state)
            .unwrap()
    }

    #[test]
    fn a_boot_is_good_in_its_turn_only() {
        for boot in boots() {
            assert_eq!(failures(&boot, &records(&boot)), [""; 0], "{boot:?}");
        }
        let [untouched, unasked, bound, clean] =
            [State::Untouched, State::Unasked, State::Bound, State::Clean].map(boot);
        // Nothing was installed or asked for, or it was not removed.
        assert!(failures(&bound, &records(&untouched)).len() >= 4);
        assert!(failures(&clean, &records(&bound)).len() >= 3);
        assert!(failures(&unasked, &records(&bound)).len() >= 3);
    }

    #[test]
    fn each_thing_that_is_not_printed_is_a_failure() {
        let boot = boots().into_iter().find(|boot| !boot.prints.is_empty());
        let boot = boot.unwrap();
        for text in &boot.prints {
            let mut records = records(&boot);
            records.ran[0].output.retain(|line| line != text);
            let mut others = boot.prints.iter().filter(|other| *other != text);
            let held = others.any(|other| other.contains(text));
            assert!(!failures(&boot, &records).is_empty() || held, "{text}");
        }
    }

    #[test]
    fn what_goes_wrong_in_one_place_is_told_once() {
        let told = |state, change: fn(&mut Records), piece: &str| {
            let boot = boot(state);
            let mut records = records(&boot);
            change(&mut records);
            let failures = failures(&boot, &records);
            assert!(
                failures.len() == 1 && failures[0].contains(piece),
                "{piece}: {failures:#?}"
            );
        };
        let left: fn(&mut Records) = |r| r.ran[0].output.push("/usr/bin/x".to_owned());
        told(State::Clean, left, "/usr/bin/x");
        let failed: fn(&mut Records) = |r| r.ran[0].ending = Ending::Exited(1);
        told(State::Untouched, failed, "exit status 0");
        told(
            State::Bound,
            |r| r.inherited[0].kept.clear(),
            "the image's list",
        );
        told(
            State::Bound,
            |r| r.used[1].error = "EPERM".to_owned(),
            "EPERM",
        );
        told(State::Bound, |r| drop(r.used.pop()), "used through VFIO");
    }
}

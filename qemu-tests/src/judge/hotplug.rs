//! Whether functions that came and went have the drivers that they must have, and who was started for it.

use std::collections::BTreeMap;

use super::evidence::Records;
use super::failures::{Failures, RunFailures, list};
use crate::function::{Snapshot, name};
use crate::hotplug::{Case, REFUSED, Stage, What};
use crate::protocol::Changed;
use crate::report::{Fate, Report};
use crate::scenario::NATIVES;

/// The driver of what was asked for.
const VFIO: &str = "vfio-pci";
/// The record of the boot, among those below `/run/vfio-bind`.
const OF_THE_BOOT: &str = "report.json";

pub(super) fn judge(case: &Case, records: &Records, failures: &mut Failures) {
    let [inherited] = &records.inherited[..] else {
        let count = records.inherited.len();
        return failures.add("records of what the initramfs left", "one", count);
    };
    for loaded in records.loaded.iter().filter(|one| !one.error.is_empty()) {
        failures.add(
            format_args!("loading {}", loaded.module),
            "success",
            &loaded.error,
        );
    }
    let Some(natives) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    let mut start = RunFailures {
        label: NATIVES,
        all: failures,
    };
    for (address, driver) in Case::others().into_iter().chain(case.early_ends()) {
        check_driver(address, Some(driver), natives, &mut start);
    }
    let is_asked = case.ours && !case.asked.is_empty();
    start.equal(
        "whether the boot has a record",
        is_asked,
        inherited.report.is_some(),
    );
    let mut before = natives;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (number, stage) in case.stages.iter().enumerate() {
        let mut failures = RunFailures {
            label: stage.label,
            all: failures,
        };
        let changed = records.changed.iter().find(|one| one.label == stage.label);
        let (Some(changed), Some(after)) = (changed, records.snapshot(stage.label)) else {
            return failures.add("records", "a change and a snapshot", "fewer");
        };
        check_functions(stage, (before, after), &mut failures);
        check_processes(stage, changed, &mut failures);
        check_offers(case, stage, changed, &mut failures);
        if !is_asked {
            failures.equal(
                "the rules for udev",
                "",
                changed.rules.as_deref().unwrap_or(""),
            );
            let records: Vec<_> = changed.records.keys().collect();
            failures.equal("its records", "nothing".to_owned(), list(&records));
            failures.equal("its log", "nothing".to_owned(), list(&changed.log));
        } else if changed.rules.is_none() {
            failures.add("the rules for udev", "some", "none");
        }
        if changed.records.get(OF_THE_BOOT) != inherited.report.as_ref() {
            failures.add("the record of the boot", "as the boot left it", "another");
        }
        if number == 0 && case.early.is_none() {
            known.extend(
                inherited
                    .report
                    .clone()
                    .map(|text| (OF_THE_BOOT.to_owned(), text)),
            );
        }
        if number > 0 || case.early.is_none() {
            check_records(stage, &known, changed, &mut failures);
        }
        known = changed.records.clone();
        before = after;
    }
    check_all_records(case, &known, failures);
    check_use(case, records, failures);
}

/// What came in the initramfs and is VFIO's is bound by some record; and none tells of a native driver that
/// should not have been there.
fn check_all_records(case: &Case, known: &BTreeMap<String, String>, failures: &mut Failures) {
    let reports = known.values().filter_map(|text| Report::parse(text).ok());
    let functions = reports.flat_map(|report| report.functions);
    let bound: Vec<_> = functions
        .filter(|function| is_taken(function.outcome))
        .collect();
    for (address, driver) in case.early_ends() {
        if driver == VFIO && !bound.iter().any(|function| function.address == address) {
            let what = format_args!("the records of {address}");
            failures.add(what, "bound in one", "in none");
        }
    }
    let by_agent = bound.iter().filter(|one| one.outcome == Fate::Bound);
    for function in by_agent.filter(|_| case.untouched) {
        let what = format!("the driver of {} before the agent", function.address);
        failures.equal(what, "none", name(&function.driver_before));
    }
}

/// Whether a function is VFIO's by this outcome: vfio-pci itself may have been first.
fn is_taken(outcome: Fate) -> bool {
    matches!(outcome, Fate::Bound | Fate::Already)
}

fn check_driver(
    address: &str,
    driver: Option<&str>,
    snapshot: &Snapshot,
    failures: &mut RunFailures<'_>,
) {
    let Some(driver) = driver else {
        let is_there = snapshot.function(address).is_some();
        return failures.equal(format_args!("whether {address} is there"), false, is_there);
    };
    let overridden = if driver == VFIO { VFIO } else { "none" };
    let expected = format!("{driver}, override {overridden}");
    let found = snapshot.function(address).map(|function| {
        let (driver, overridden) = (name(&function.driver), name(&function.driver_override));
        format!("{driver}, override {overridden}")
    });
    let actual = found.unwrap_or_else(|| "no such function".to_owned());
    failures.equal(format_args!("the driver of {address}"), expected, actual);
}

/// What came has the driver that it must have, and nothing else has changed.
fn check_functions(
    stage: &Stage,
    (before, after): (&Snapshot, &Snapshot),
    failures: &mut RunFailures<'_>,
) {
    for (address, driver) in stage.ends {
        check_driver(address, *driver, after, failures);
    }
    let mut changed = before.differences(after);
    changed.retain(|line| {
        !stage
            .ends
            .iter()
            .any(|(address, _)| line.starts_with(address))
    });
    failures.equal("others that changed", "nothing".to_owned(), list(&changed));
}

/// nvme was given what is to be its own, also where it refuses it, and nothing else, by its own word.
fn check_offers(case: &Case, stage: &Stage, changed: &Changed, failures: &mut RunFailures<'_>) {
    let comes = !matches!(
        stage.what,
        What::TakeOut(_) | What::Remove | What::Unmake(_)
    );
    for (address, driver) in stage.ends.iter().filter(|_| comes) {
        let expected = match *driver {
            Some("nvme" | REFUSED) => true,
            Some(VFIO) if case.untouched => false,
            _ => continue,
        };
        let actual = changed.offered.iter().any(|one| one == address);
        failures.equal(
            format_args!("whether nvme was given {address}"),
            expected,
            actual,
        );
    }
}

/// As many processes were started as must be, and all have ended.
fn check_processes(stage: &Stage, changed: &Changed, failures: &mut RunFailures<'_>) {
    let (least, most) = stage.started;
    if !(least..=most).contains(&changed.started) {
        let expected = format_args!("{least} to {most}");
        failures.add("processes of the agent", expected, changed.started);
    }
    failures.equal(
        "what it leaves running",
        "nothing".to_owned(),
        list(&changed.left),
    );
}

/// The records of before are as they were, and new ones tell of what was bound.
fn check_records(
    stage: &Stage,
    known: &BTreeMap<String, String>,
    changed: &Changed,
    failures: &mut RunFailures<'_>,
) {
    for (path, text) in known {
        if changed.records.get(path) != Some(text) {
            failures.add(format_args!("the record {path}"), "as it was", "another");
        }
    }
    let new = changed
        .records
        .iter()
        .filter(|(path, _)| !known.contains_key(*path));
    let mut bound = Vec::new();
    for (path, text) in new.clone() {
        match Report::parse(text) {
            Ok(report) => {
                let functions = report.functions.into_iter();
                let taken = functions.filter(|function| is_taken(function.outcome));
                bound.extend(taken.map(|function| function.address));
            }
            Err(error) => failures.add(path, "JSON", format_args!("{error}: {text}")),
        }
    }
    bound.sort();
    let all = stage
        .ends
        .iter()
        .filter(|(_, driver)| *driver == Some(VFIO));
    let expected: Vec<_> = all.map(|(address, _)| *address).collect();
    // What vfio-pci takes by itself is done already, and leaves no record.
    if stage.started.0 > 0 || new.count() > 0 {
        failures.equal("what new records call bound", list(&expected), list(&bound));
    }
}

/// Every function that is VFIO's in the end works.
fn check_use(case: &Case, records: &Records, failures: &mut Failures) {
    let used: Vec<_> = records
        .used
        .iter()
        .map(|used| used.address.as_str())
        .collect();
    failures.equal(
        "functions used through VFIO",
        list(&case.used()),
        list(&used),
    );
    for used in records.used.iter().filter(|used| !used.error.is_empty()) {
        let what = format!("{} used through VFIO", used.address);
        failures.add(what, "no error", &used.error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Function;
    use crate::hotplug::CASES;
    use crate::machine::{HOT_DISK, HOT_NIC, HOT_PF, HOT_VF};
    use crate::protocol::{Inherited, Used};

    const BOOT: &str = "the record of the boot";

    fn snapshot(label: &str, drivers: &BTreeMap<&str, &str>) -> Snapshot {
        let function = |(address, driver): (&&str, &&str)| Function {
            address: (*address).to_owned(),
            driver: (*driver != REFUSED).then(|| (*driver).to_owned()),
            driver_override: (*driver == VFIO).then(|| VFIO.to_owned()),
            ..Function::default()
        };
        Snapshot {
            label: label.to_owned(),
            uevents: 7,
            functions: drivers.iter().map(function).collect(),
        }
    }

    fn record(address: &str) -> String {
        format!(
            r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
                "functions":[{{"address":"{address}","vendor":"","device":"","subvendor":"","subdevice":"",
                "class":"","outcome":"bound"}}],"exit":0,"elapsed_us":9}}"#
        )
    }

    /// What a good boot of a case leaves, with a record for each function that is bound.
    fn good(case: &Case) -> Records {
        let mut records = Records::default();
        let mut left = BTreeMap::new();
        if case.ours && !case.asked.is_empty() {
            left.insert(OF_THE_BOOT.to_owned(), BOOT.to_owned());
        }
        records.inherited.push(Inherited {
            report: left.get(OF_THE_BOOT).cloned(),
            ..Inherited::default()
        });
        let mut drivers: BTreeMap<_, _> = Case::others()
            .into_iter()
            .chain(case.early_ends())
            .collect();
        let bind = |address: &str, left: &mut BTreeMap<String, String>| {
            left.insert(format!("run-{}/report.json", left.len()), record(address));
        };
        for (address, driver) in case.early_ends() {
            if driver == VFIO {
                bind(address, &mut left);
            }
        }
        records.snapshots.push(snapshot(NATIVES, &drivers));
        for stage in case.stages {
            for (address, driver) in stage.ends {
                match driver {
                    Some(driver) => drop(drivers.insert(*address, *driver)),
                    None => drop(drivers.remove(address)),
                }
                if *driver == Some(VFIO) {
                    bind(address, &mut left);
                }
            }
            records.snapshots.push(snapshot(stage.label, &drivers));
            let offered = stage.ends.iter().filter(|(_, driver)| {
                matches!(driver, Some("nvme" | REFUSED)) || driver.is_some() && !case.untouched
            });
            records.changed.push(Changed {
                label: stage.label.to_owned(),
                started: stage.started.1,
                left: Vec::new(),
                rules: (!left.is_empty()).then(|| "rules".to_owned()),
                records: left.clone(),
                log: Vec::new(),
                offered: offered.map(|(address, _)| (*address).to_owned()).collect(),
            });
        }
        let used = |address: &str| Used {
            address: address.to_owned(),
            through: "group".to_owned(),
            ids: String::new(),
            error: String::new(),
        };
        records.used = case.used().into_iter().map(used).collect();
        records
    }

    fn failures(case: &Case, records: &Records) -> Vec<String> {
        let mut failures = Failures::default();
        judge(case, records, &mut failures);
        failures.0.iter().map(ToString::to_string).collect()
    }

    fn case(name: &str) -> Case {
        CASES.into_iter().find(|case| case.name == name).unwrap()
    }

    #[test]
    fn every_case_can_pass() {
        for case in CASES {
            assert_eq!(failures(&case, &good(&case)), [""; 0], "{}", case.name);
        }
    }

    type Spoil = fn(&mut Records);

    #[test]
    fn whatever_is_otherwise_is_told() {
        let case = case("loaded");
        let table: [(&str, Spoil); 10] = [
            ("the driver of 0000:03:00.0", |all| {
                all.snapshots[4].functions[0].driver = Some("e1000e".to_owned());
            }),
            ("the driver of 0000:03:00.0", |all| {
                all.snapshots[4].functions[0].driver_override = None;
            }),
            ("others that changed", |all| {
                let last = all.snapshots.last_mut().unwrap();
                last.functions
                    .retain(|function| function.address != HOT_NIC);
            }),
            ("whether 0000:03:00.0 is there", |all| {
                let nic = all.snapshots[2].functions[0].clone();
                assert_eq!(nic.address, HOT_NIC);
                all.snapshots[3].functions.push(nic);
                all.snapshots[4]
                    .functions
                    .retain(|one| one.address != HOT_DISK);
            }),
            ("processes of the agent", |all| all.changed[0].started = 2),
            ("processes of the agent", |all| all.changed[2].started = 1),
            ("what it leaves running", |all| {
                all.changed[1].left.push("77 S".to_owned());
            }),
            ("the rules for udev", |all| all.changed[3].rules = None),
            ("the record of the boot", |all| {
                let last = all.changed.last_mut().unwrap();
                last.records
                    .insert(OF_THE_BOOT.to_owned(), "another".to_owned());
            }),
            ("functions used through VFIO", |all| drop(all.used.pop())),
        ];
        for (expected, spoil) in table {
            let mut records = good(&case);
            spoil(&mut records);
            let told = failures(&case, &records);
            assert!(
                told.iter().any(|one| one.contains(expected)),
                "{expected}: {told:#?}"
            );
        }
        let mut records = good(&case);
        for changed in &mut records.changed {
            changed
                .records
                .retain(|path, _| path != "run-1/report.json");
        }
        let told = failures(&case, &records);
        assert!(
            told.iter()
                .any(|one| one.contains("what new records call bound")),
            "{told:#?}"
        );
    }

    #[test]
    fn a_native_driver_that_was_first_is_told_where_it_must_not_be() {
        for case in CASES {
            let mut records = good(&case);
            for changed in &mut records.changed {
                for text in changed.records.values_mut() {
                    *text = text.replace("\"class\"", "\"driver_before\":\"e1000e\",\"class\"");
                }
            }
            let told = failures(&case, &records);
            assert_eq!(!told.is_empty(), case.untouched, "{}: {told:#?}", case.name);
        }
    }

    #[test]
    fn what_a_native_driver_was_given_is_its_own_and_nothing_else() {
        let case = case("reload");
        let table: [(&str, Spoil); 3] = [
            ("whether nvme was given 0000:06:00.0", |all| {
                all.changed[1].offered.retain(|one| one != HOT_PF);
            }),
            ("whether nvme was given 0000:06:00.2", |all| {
                all.changed[1].offered.retain(|one| one != HOT_VF[1]);
            }),
            ("whether nvme was given 0000:06:00.3", |all| {
                all.changed[3].offered.push(HOT_VF[2].to_owned());
            }),
        ];
        for (expected, spoil) in table {
            let mut records = good(&case);
            spoil(&mut records);
            let told = failures(&case, &records);
            let is_told = told.len() == 1 && told[0].contains(expected);
            assert!(is_told, "{expected}: {told:#?}");
        }
    }

    #[test]
    fn where_nothing_is_asked_for_nothing_may_be_left() {
        let case = case("nothing-asked");
        let table: [(&str, Spoil); 3] = [
            ("the rules for udev", |all| {
                all.changed[0].rules = Some(String::new() + "x");
            }),
            ("its records", |all| {
                let text = record(HOT_NIC);
                all.changed[0]
                    .records
                    .insert("run-1/report.json".to_owned(), text);
            }),
            ("its log", |all| {
                all.changed[1].log.push("vfio-bind: x".to_owned())
            }),
        ];
        for (expected, spoil) in table {
            let mut records = good(&case);
            spoil(&mut records);
            let told = failures(&case, &records);
            assert!(
                told.iter().any(|one| one.contains(expected)),
                "{expected}: {told:#?}"
            );
        }
    }
}

//! Whether runs in the real root left alone what is in use, and the record of the boot.

use super::evidence::Records;
use super::failures::{Failures, RunFailures, list};
use crate::function::Snapshot;
use crate::protocol::{Ending, Inherited, Ran};
use crate::report::Report;
use crate::rerun::{IN_USE, RERUNS, Rerun};

/// The record of the boot, among those below `/run/vfio-bind`.
const OF_THE_BOOT: &str = "report.json";

pub(super) fn judge(inherited: &Inherited, records: &Records, all: &mut Failures) {
    let mut before = records.snapshot(IN_USE);
    // Those that runs have left so far.
    let mut left = 1;
    for rerun in RERUNS {
        let mut failures = RunFailures {
            label: rerun.command,
            all,
        };
        let after = records.snapshot(rerun.command);
        let mut runs = records.ran.iter();
        let ran = runs.find(|ran| ran.command == rerun.command);
        let (Some(ran), Some(around)) = (ran, before.zip(after)) else {
            return failures.add("records", "a run between two snapshots", "fewer");
        };
        check_end(&rerun, ran, &mut failures);
        check_functions(&rerun, ran, around, &mut failures);
        let kept = ran.records.get(OF_THE_BOOT);
        if kept != inherited.report.as_ref() {
            let kept = kept.map_or("none", |_| "another");
            failures.add("the record of the boot", "as the boot left it", kept);
        }
        left += usize::from(!rerun.outcomes.is_empty());
        failures.equal("records in all", left, ran.records.len());
        if !rerun.outcomes.is_empty() {
            check_record(&rerun, ran, &mut failures);
        }
        before = after;
    }
}

fn check_end(rerun: &Rerun, ran: &Ran, failures: &mut RunFailures<'_>) {
    let expected = Ending::Exited(rerun.exit);
    if ran.ending != expected {
        let actual = format!("{:?}; it said {}", ran.ending, list(&ran.output));
        failures.add("its end", format_args!("{expected:?}"), actual);
    }
    for piece in rerun.says {
        if !ran.output.iter().any(|line| line.contains(piece)) {
            failures.add("its output", format_args!("`{piece}`"), list(&ran.output));
        }
    }
    if !ran.disk.is_empty() {
        failures.add("the mounted disk", "to store a file", &ran.disk);
    }
}

/// What is taken has changed, and nothing else was even touched.
fn check_functions(
    rerun: &Rerun,
    ran: &Ran,
    (before, after): (&Snapshot, &Snapshot),
    failures: &mut RunFailures<'_>,
) {
    let taken =
        |address: &&str| format!("{address}: driver nvme -> vfio-pci, override none -> vfio-pci");
    let expected: Vec<_> = rerun.takes.iter().map(taken).collect();
    let changed = before.differences(after);
    failures.equal("functions that changed", list(&expected), list(&changed));
    let is_foreign = |write: &&String| {
        let owner = write.split('/').next().unwrap_or_default();
        // Other owners are drivers and the bus.
        rerun.takes.is_empty() || owner.contains(':') && !rerun.takes.contains(&owner)
    };
    let foreign: Vec<_> = ran.writes.iter().filter(is_foreign).collect();
    failures.equal("writes to others", "nothing".to_owned(), list(&foreign));
}

/// The newest record says what became of each function.
fn check_record(rerun: &Rerun, ran: &Ran, failures: &mut RunFailures<'_>) {
    let newest = ran.records.iter().rfind(|(path, _)| *path != OF_THE_BOOT);
    let Some((path, text)) = newest else {
        return failures.add("its record", "one", "none");
    };
    let report = match Report::parse(text) {
        Ok(report) => report,
        Err(error) => return failures.add(path, "JSON", format_args!("{error}: {text}")),
    };
    failures.equal("the record's exit", rerun.exit, report.exit);
    let outcomes = rerun.outcomes.iter();
    let mut expected: Vec<_> = outcomes.map(|(at, what)| format!("{at} {what}")).collect();
    let functions = report.functions.iter();
    let mut actual: Vec<_> = functions
        .map(|function| format!("{} {}", function.address, function.outcome))
        .collect();
    expected.sort();
    actual.sort();
    failures.equal("the record's functions", list(&expected), list(&actual));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Function;
    use crate::machine::{MOUNTED, NIC, NVME};
    use std::collections::BTreeMap;

    const BOOT: &str = "the record of the boot";

    fn snapshot(label: &str, taken: &[&str]) -> Snapshot {
        let function = |address: &&str| {
            let is_taken = taken.contains(address);
            let native = if *address == NIC { "e1000" } else { "nvme" };
            Function {
                address: (*address).to_owned(),
                driver: Some(if is_taken { "vfio-pci" } else { native }.to_owned()),
                driver_override: is_taken.then(|| "vfio-pci".to_owned()),
                ..Function::default()
            }
        };
        Snapshot {
            label: label.to_owned(),
            uevents: 7,
            functions: [NIC, NVME, MOUNTED].iter().map(function).collect(),
        }
    }

    fn record(rerun: &Rerun) -> String {
        let function = |(address, outcome): &(&str, crate::report::Fate)| {
            format!(
                r#"{{"address":"{address}","vendor":"","device":"","subvendor":"","subdevice":"",
                    "class":"","outcome":"{outcome}"}}"#
            )
        };
        let functions: Vec<_> = rerun.outcomes.iter().map(function).collect();
        format!(
            r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
                "functions":[{}],"exit":{},"elapsed_us":9}}"#,
            functions.join(","),
            rerun.exit
        )
    }

    /// The records of good runs, each leaving what the table says.
    fn good() -> Records {
        let mut records = Records::default();
        records.snapshots.push(snapshot(IN_USE, &[]));
        let (mut taken, mut left) = (Vec::new(), BTreeMap::new());
        left.insert(OF_THE_BOOT.to_owned(), BOOT.to_owned());
        for rerun in RERUNS {
            taken.extend(rerun.takes);
            if !rerun.outcomes.is_empty() {
                left.insert("run-1/report.json".to_owned(), record(&rerun));
            }
            let writes = rerun
                .takes
                .iter()
                .map(|one| format!("{one}/driver_override"));
            records.ran.push(Ran {
                command: rerun.command.to_owned(),
                ending: Ending::Exited(rerun.exit),
                output: rerun.says.iter().map(|piece| format!("{piece}.")).collect(),
                writes: writes.collect(),
                records: left.clone(),
                disk: String::new(),
            });
            records.snapshots.push(snapshot(rerun.command, &taken));
        }
        records
    }

    fn failures(records: &Records) -> Vec<String> {
        let inherited = Inherited {
            report: Some(BOOT.to_owned()),
            ..Inherited::default()
        };
        let mut failures = Failures::default();
        judge(&inherited, records, &mut failures);
        failures.0.iter().map(ToString::to_string).collect()
    }

    type Spoil = fn(&mut Records);

    #[test]
    fn whatever_a_run_does_otherwise_is_told() {
        assert_eq!(failures(&good()), [""; 0]);
        let table: [(&str, Spoil); 11] = [
            ("its end", |all| all.ran[0].ending = Ending::Exited(0)),
            ("its output", |all| all.ran[0].output.clear()),
            ("its output", |all| all.ran[2].output.truncate(3)),
            ("writes to others", |all| {
                all.ran[0].writes.push("pci/drivers_probe".to_owned());
            }),
            ("writes to others", |all| {
                all.ran[3].writes.push(format!("{MOUNTED}/driver_override"));
            }),
            ("functions that changed", |all| {
                for at in [3, 4] {
                    all.snapshots[at + 1] = snapshot(RERUNS[at].command, &[NVME, MOUNTED]);
                }
            }),
            ("functions that changed", |all| {
                for at in [3, 4] {
                    all.snapshots[at + 1] = snapshot(RERUNS[at].command, &[]);
                }
            }),
            ("the mounted disk", |all| all.ran[3].disk = "EIO".to_owned()),
            ("the record of the boot", |all| {
                let other = "another".to_owned();
                all.ran[3].records.insert(OF_THE_BOOT.to_owned(), other);
            }),
            ("the record's functions", |all| {
                let text = all.ran[3].records.get_mut("run-1/report.json").unwrap();
                *text = text.replace("refused", "bound");
            }),
            ("records in all", |all| {
                let other = "run-1/report.json".to_owned();
                all.ran[2].records.insert(other, String::new());
            }),
        ];
        for (expected, spoil) in table {
            let mut records = good();
            spoil(&mut records);
            let told = failures(&records);
            assert!(
                told.len() == 1 && told[0].contains(expected),
                "{expected}: {told:#?}"
            );
        }
        let mut records = good();
        records.ran.pop();
        assert_eq!(failures(&records).len(), 1);
    }
}

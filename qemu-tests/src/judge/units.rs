//! Whether the units of the real root did what they are for, and said so.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::function::name;
use crate::machine::{GPU, NVME};
use crate::protocol::Ending;
use crate::report::Report;
use crate::scenario::NATIVES;
use crate::units::{ASKED, Boot, ENABLED};

pub(super) fn judge(boot: Boot, records: &Records, failures: &mut Failures) {
    check_drivers(boot, records, failures);
    check_record(boot, records, failures);
    let [ran] = &records.ran[..] else {
        return failures.add("scripts that were run", "one", records.ran.len());
    };
    if ran.ending != Ending::Exited(0) {
        let actual = format!("{:?}, with `{}`", ran.ending, ran.output.join("\n"));
        return failures.add(&ran.command, "exit status 0", actual);
    }
    check_units(boot, &ran.output, failures);
    if boot.is_good() {
        check_use(records, failures);
    }
}

/// All of it works, after sleep as well.
fn check_use(records: &Records, failures: &mut Failures) {
    let used = records.used.iter();
    let good = used.filter(|used| used.error.is_empty());
    let good: Vec<_> = good.map(|used| used.address.as_str()).collect();
    if good != ASKED {
        failures.add(
            "functions used through VFIO",
            list(&ASKED),
            format_args!("{:?}", records.used),
        );
    }
}

fn check_drivers(boot: Boot, records: &Records, failures: &mut Failures) {
    let Some(snapshot) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    for address in ASKED {
        let driver = snapshot.function(address).map(|function| &function.driver);
        let actual = driver.map_or("no such function", name);
        let what = format_args!("the driver of {address}");
        failures.equal(what, boot.driver(address), actual.to_owned());
    }
}

/// The boot bound all of it, or none: else the units had nothing to do.
fn check_record(boot: Boot, records: &Records, failures: &mut Failures) {
    let text = records.inherited.first().and_then(|one| one.report.clone());
    let Some(report) = text.and_then(|text| Report::parse(&text).ok()) else {
        return failures.add("the record in /run", "one", "none");
    };
    for address in ASKED {
        let function = report.function(address);
        let actual = function.is_some_and(|function| function.outcome.is_vfio());
        let what = format_args!("whether the boot bound {address}");
        failures.equal(what, boot.image_has_vfio().to_string(), actual.to_string());
    }
}

fn check_units(boot: Boot, output: &[String], failures: &mut Failures) {
    for wanted in expected(boot) {
        if !output.iter().any(|line| line.contains(&wanted)) {
            failures.add("what is seen of the units", wanted, list(output));
        }
    }
    let failed = output.iter().filter(|line| line.starts_with("failed: "));
    let failed: Vec<_> = failed.collect();
    let expected: Vec<_> = match boot.is_good() {
        true => Vec::new(),
        false => ENABLED.map(|unit| format!("failed: {unit}")).to_vec(),
    };
    failures.equal("systemctl --failed", list(&expected), list(&failed));
}

/// What there must be in what the script prints.
fn expected(boot: Boot) -> Vec<String> {
    let result = if boot.is_good() {
        "success"
    } else {
        "exit-code"
    };
    let ended = ENABLED.map(|unit| format!("{unit}: ConditionResult=yes Result={result} "));
    let mut all = ended.to_vec();
    all.push("delayed nothing".to_owned());
    let (slept, woken) = boot.slept();
    all.push(format!("suspended: {slept}"));
    all.push(format!("woken: {woken}"));
    let times: &[&str] = match boot {
        Boot::Slept => &["before sleep", "after sleep", "in the end"],
        _ => &["in the end"],
    };
    for (time, address) in times
        .iter()
        .flat_map(|time| ASKED.map(|address| (time, address)))
    {
        all.push(format!("{time}: {}", boot.state(address)));
    }
    for address in ASKED {
        let bound = u8::from(boot.driver(address) == "vfio-pci");
        all.push(format!("metric: {address} {bound}"));
    }
    if boot == Boot::Used {
        for (function, node) in [(GPU, "/dev/dri/card"), (NVME, "/dev/nvme")] {
            all.push(format!(
                "said: vfio-bind: {function} is in use, and left alone: sleep (pid "
            ));
            all.push(node.to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::function::{Function, Snapshot};
    use crate::protocol::{Inherited, Ran, Used};

    /// What a good boot left.
    fn records(boot: Boot) -> Records {
        let function = |address: &&str| Function {
            address: (*address).to_owned(),
            driver: Some(boot.driver(address)).filter(|driver| driver != "none"),
            ..Function::default()
        };
        let outcome = if boot.image_has_vfio() {
            "bound"
        } else {
            "returned"
        };
        let entry = |address: &str| {
            format!(
                r#"{{"address":"{address}","vendor":"1","device":"1","subvendor":"1","subdevice":"1","class":"0",
                    "group":1,"driver_before":null,"driver_now":null,"outcome":"{outcome}"}}"#
            )
        };
        let report = format!(
            r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
                "functions":[{}],"exit":0,"elapsed_us":9}}"#,
            ASKED.map(entry).join(",")
        );
        let mut output = expected(boot);
        if !boot.is_good() {
            output.extend(ENABLED.map(|unit| format!("failed: {unit}")));
        }
        Records {
            snapshots: vec![Snapshot {
                label: NATIVES.to_owned(),
                uevents: 1,
                functions: ASKED.iter().map(function).collect(),
            }],
            inherited: vec![Inherited {
                report: Some(report),
                ..Inherited::default()
            }],
            ran: vec![Ran {
                command: "look".to_owned(),
                ending: Ending::Exited(0),
                output,
                writes: Vec::new(),
                records: BTreeMap::new(),
                disk: String::new(),
            }],
            used: ASKED.map(used).to_vec(),
            ..Records::default()
        }
    }

    fn used(address: &str) -> Used {
        Used {
            address: address.to_owned(),
            through: "group".to_owned(),
            ids: String::new(),
            error: String::new(),
        }
    }

    fn failures(boot: Boot, records: &Records) -> usize {
        let mut failures = Failures::default();
        judge(boot, records, &mut failures);
        failures.0.len()
    }

    #[test]
    fn a_boot_is_good_in_its_way_only() {
        for boot in Boot::ALL {
            assert_eq!(failures(boot, &records(boot)), 0, "{boot:?}");
        }
        for (boot, other) in [
            (Boot::Kept, Boot::Lost),
            (Boot::Slept, Boot::Kept),
            (Boot::Lost, Boot::Kept),
            (Boot::Finished, Boot::Kept),
            (Boot::Finished, Boot::Used),
            (Boot::Used, Boot::Finished),
        ] {
            assert!(failures(boot, &records(other)) > 0, "{boot:?}: {other:?}");
        }
        let mut silent = records(Boot::Lost);
        silent.ran[0]
            .output
            .retain(|line| !line.starts_with("failed: "));
        assert_eq!(failures(Boot::Lost, &silent), 1);
        let mut useless = records(Boot::Slept);
        useless.used[2].error = "no way".to_owned();
        assert_eq!(failures(Boot::Slept, &useless), 1);
        for (good, bad) in [
            (
                "after sleep: 0000:42:00.0: vfio-pci",
                "after sleep: 0000:42:00.0: bochs-drm",
            ),
            (
                "reset_method bus, d3cold_allowed 1",
                "reset_method flr bus, d3cold_allowed 1",
            ),
            ("woken: 1", "woken: 0"),
            ("metric: 0000:42:00.0 1", "metric: 0000:42:00.0 0"),
        ] {
            let mut other = records(Boot::Slept);
            for line in &mut other.ran[0].output {
                *line = line.replace(good, bad);
            }
            assert!(failures(Boot::Slept, &other) > 0, "{good}");
        }
    }
}

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
    let has = |wanted: &str| output.iter().any(|line| line.contains(wanted));
    let mut expect = |wanted: &str| {
        if !has(wanted) {
            failures.add("what is seen of the units", wanted, list(output));
        }
    };
    let result = if boot.is_good() {
        "success"
    } else {
        "exit-code"
    };
    for unit in ENABLED {
        expect(&format!("{unit}: ConditionResult=yes Result={result} "));
    }
    expect("delayed nothing");
    // A function without a driver is set back by nobody.
    if boot.image_has_vfio() || boot == Boot::Finished {
        expect("d3cold_allowed: 0");
    }
    if boot == Boot::Slept {
        // Three or four tests of suspend end well.
        if has("suspended: 0") || !has("suspended: ") {
            failures.add("suspend", "a test that ends well", list(output));
        }
    }
    let mut expect = |wanted: &str| {
        if !has(wanted) {
            failures.add("what is seen of the units", wanted, list(output));
        }
    };
    if boot == Boot::Used {
        for (function, node) in [(GPU, "/dev/dri/card"), (NVME, "/dev/nvme")] {
            expect(&format!(
                "said: vfio-bind: {function} is in use, and left alone: sleep (pid "
            ));
            expect(node);
        }
    }
    let failed: Vec<_> = output
        .iter()
        .filter(|line| line.starts_with("failed: "))
        .collect();
    let expected: Vec<_> = match boot.is_good() {
        true => Vec::new(),
        false => ENABLED.map(|unit| format!("failed: {unit}")).to_vec(),
    };
    failures.equal("systemctl --failed", list(&expected), list(&failed));
}

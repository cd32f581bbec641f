//! Whether a boot through a real tool's image left every function where it belongs.

use super::evidence::Records;
use super::failures::{Failures, list};
use super::rerun;
use crate::boot_case::{BESIDE_ROOT, Case, FORCED, ROOT_DISK};
use crate::function::{Snapshot, name};
use crate::protocol::Inherited;
use crate::report::{Fate, Report};
use crate::scenario::NATIVES;

/// The driver of what was taken.
const VFIO: &str = "vfio-pci";

pub(super) fn judge(case: Case, records: &Records, failures: &mut Failures) {
    let [inherited] = &records.inherited[..] else {
        let count = records.inherited.len();
        return failures.add("records of what the initramfs left", "one", count);
    };
    let Some(natives) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    check_drivers(case, natives, failures);
    for module in FORCED {
        // Where it is not loaded, nobody competed for the functions.
        if !inherited.modules.iter().any(|loaded| loaded == module) {
            failures.add(format_args!("the forced module {module}"), "loaded", "not");
        }
    }
    if case.taken().is_empty() {
        let traces = [
            inherited.report.as_deref().unwrap_or(""),
            &inherited.kept,
            &inherited.log.join("\n"),
        ];
        failures.equal(
            "what an agent left that did not run",
            String::new(),
            traces.concat(),
        );
    } else {
        check_record(case, inherited, failures);
    }
    if case == Case::Again {
        rerun::judge(inherited, records, failures);
    }
    check_use(case, records, failures);
}

/// The driver of every function that somebody wants.
fn check_drivers(case: Case, natives: &Snapshot, failures: &mut Failures) {
    let machine = case.machine();
    let native = case.native().into_iter().map(|address| {
        let device = machine.device(address);
        (address, device.map_or("a driver", |device| device.native))
    });
    let taken = case.taken().into_iter().map(|address| (address, VFIO));
    let given_back = case.given_back().iter().copied();
    for (address, expected) in taken.chain(native).chain(given_back) {
        let driver = natives.function(address).map(|function| &function.driver);
        let actual = driver.map_or("no such function", name);
        failures.equal(format_args!("the driver of {address}"), expected, actual);
    }
}

/// The record came through the switch to the real root, and says what happened.
fn check_record(case: Case, inherited: &Inherited, failures: &mut Failures) {
    let Some(text) = &inherited.report else {
        return failures.add("the record in /run", "report.json", "no such file");
    };
    let report = match Report::parse(text) {
        Ok(report) => report,
        Err(error) => return failures.add("the record", "JSON", format_args!("{error}: {text}")),
    };
    // A function that was asked for and is refused is not bound.
    let exit = i32::from(!case.refused().is_empty());
    failures.equal("the record's exit", exit, report.exit);
    let kept = "what is kept of the image's policy";
    failures.equal(kept, &case.kept(), &inherited.kept);
    let told = |(address, outcome): (&str, Fate)| format!("{address} {outcome}");
    let given_back = case.given_back().iter();
    let bound = case.taken().into_iter();
    let bound = bound.chain(given_back.clone().map(|(address, _)| *address));
    let bound = bound.map(|a| told((a, Fate::Bound)));
    let refused = case.refused().into_iter();
    let refused = refused.map(|a| told((a, Fate::Refused)));
    let left = case.left().iter().map(|a| told((a, Fate::Left)));
    let mut expected: Vec<_> = bound.chain(refused).chain(left).collect();
    let functions = report.functions.iter();
    let mut actual: Vec<_> = functions
        .clone()
        .map(|f| told((&f.address, f.outcome)))
        .collect();
    expected.sort();
    actual.sort();
    failures.equal("the record's functions", list(&expected), list(&actual));
    for function in functions.filter(|function| function.outcome == Fate::Bound) {
        if case == Case::RootTaken && [ROOT_DISK, BESIDE_ROOT].contains(&&*function.address) {
            // In a virtual machine systemd loads what these have before anything else.
            continue;
        }
        // Taking one over would work as well, but the native driver would have been there first.
        let before = name(&function.driver_before);
        let what = format!("the driver of {} before the agent", function.address);
        failures.equal(what, "none", before);
    }
    for group in &report.groups {
        // Without devtmpfs there is no node to ask.
        let what = format!("whether VFIO calls group {} viable", group.group);
        let told = |viable| format!("{viable:?}");
        failures.equal(what, told(Some(true)), told(group.viable));
    }
    let given_back = given_back.map(|(address, driver)| format!("{address} {driver}"));
    let given_back: Vec<_> = given_back.collect();
    let what = "what the record says was given back";
    failures.equal(what, list(&given_back), list(&report.given_back));
    for (address, _) in case.given_back() {
        let word = format!("vfio.protect={address}");
        if !inherited.log.iter().any(|line| line.contains(&word)) {
            failures.add(
                "the agent's log",
                format_args!("`{word}`"),
                list(&inherited.log),
            );
        }
    }
    if inherited.log.is_empty() {
        failures.add("the agent's log", "at least a line", "none");
    }
}

/// Every function that was taken works, on the real root.
fn check_use(case: Case, records: &Records, failures: &mut Failures) {
    let used = records.used.iter().map(|used| used.address.as_str());
    let used: Vec<_> = used.collect();
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

//! Whether every function of the machine is where it belongs.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::function::{Function, LOCKED, Snapshot, name};
use crate::machine::Device;
use crate::report::Fate;
use crate::scenario::{BEFORE, NATIVES, Scenario};

pub(super) fn judge(scenario: &Scenario, records: &Records, failures: &mut Failures) {
    let Some(before) = records.snapshot(BEFORE) else {
        return failures.add(format_args!("the snapshot {BEFORE}"), "one", "none");
    };
    check_machine(scenario, before, failures);
    for loaded in records
        .loaded
        .iter()
        .filter(|loaded| !loaded.error.is_empty())
    {
        failures.add(
            format_args!("loading {}", loaded.module),
            "success",
            &loaded.error,
        );
    }
    if !scenario.ids.is_empty() {
        return;
    }
    let Some(natives) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    for device in scenario.machine().all_devices() {
        check_end(scenario, device, natives, failures);
    }
    for function in &natives.functions {
        // Bridges and host bridges have no row in the machine's table.
        let known = scenario.machine().device(&function.address).is_some();
        if !known
            && (function.driver.as_deref() == Some(scenario.driver)
                || function.driver_override.is_some())
        {
            failures.add(
                format_args!("{} {NATIVES}", function.address),
                "to be left alone",
                describe(function),
            );
        }
    }
    check_use(scenario, records, failures);
}

/// The machine has the devices that the scenario counts on, and no others.
fn check_machine(scenario: &Scenario, before: &Snapshot, failures: &mut Failures) {
    for device in &scenario.machine().devices {
        match before.function(device.address) {
            None => failures.add(
                device.address,
                device.name,
                "no such function in the machine",
            ),
            Some(found) => {
                let expected = format!("{} class {}", device.ids, device.class);
                let actual = format!("{} class {}", found.ids, found.class);
                failures.equal(
                    format_args!("the IDs of {}", device.address),
                    expected,
                    actual,
                );
            }
        }
    }
}

/// After the native drivers had their chance, a device is where its last outcome puts it.
fn check_end(scenario: &Scenario, device: &Device, natives: &Snapshot, failures: &mut Failures) {
    let Some(found) = natives.function(device.address) else {
        return;
    };
    let vfio = Some(scenario.driver);
    let (driver, overridden) = match scenario.outcome(device.address) {
        Some(outcome) if outcome.is_vfio() => (vfio, vfio),
        Some(Fate::Held) => (None, vfio),
        Some(Fate::Failed) => (None, Some(LOCKED)),
        _ if scenario.kernels.contains(&device.address) => (vfio, None),
        _ => (scenario.native(device), None),
    };
    let expected = Function {
        driver: driver.map(str::to_owned),
        driver_override: overridden.map(str::to_owned),
        ..found.clone()
    };
    failures.equal(
        format_args!("{} ({}) {NATIVES}", device.address, device.name),
        describe(&expected),
        describe(found),
    );
}

/// Every function that was taken was used through VFIO, where its group is usable.
fn check_use(scenario: &Scenario, records: &Records, failures: &mut Failures) {
    let taken = scenario.taken();
    let used: Vec<_> = records
        .used
        .iter()
        .map(|used| used.address.as_str())
        .collect();
    failures.equal("functions used through VFIO", list(&taken), list(&used));
    for used in &records.used {
        let Some(device) = scenario.machine().device(&used.address) else {
            continue;
        };
        let what = format!("{} used through VFIO's {}", used.address, used.through);
        if scenario.is_usable(device.address) {
            let outcome = if used.error.is_empty() {
                &used.ids
            } else {
                &used.error
            };
            failures.equal(what, &device.ids[..9], outcome);
        } else if used.error.is_empty() {
            failures.add(what, "an error: a sibling is native", &used.ids);
        }
    }
}

/// Driver and override in words.
fn describe(function: &Function) -> String {
    let (driver, overridden) = (name(&function.driver), name(&function.driver_override));
    format!("driver {driver}, override {overridden}")
}

//! Whether a card was lent by the exported line, and went back when it was free.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::function::name;
use crate::lent::{LENT, gives_back, lends};
use crate::protocol::Ending;
use crate::scenario::NATIVES;

pub(super) fn judge(records: &Records, failures: &mut Failures) {
    let [ran] = &records.ran[..] else {
        return failures.add("scripts that were run", "one", records.ran.len());
    };
    if ran.ending != Ending::Exited(0) {
        let actual = format!("{:?}, with `{}`", ran.ending, ran.output.join("\n"));
        return failures.add(&ran.command, "exit status 0", actual);
    }
    for wanted in expected() {
        if !ran.output.iter().any(|line| line.contains(&wanted)) {
            failures.add("what is seen of the card", wanted, list(&ran.output));
        }
    }
    let Some(snapshot) = records.snapshot(NATIVES) else {
        return failures.add(format_args!("the snapshot {NATIVES}"), "one", "none");
    };
    for (address, driver) in LENT {
        let found = snapshot.function(address).map(|function| &function.driver);
        let actual = found.map_or("no such function", name);
        let what = format_args!("the driver of {address} at the end");
        failures.equal(what, driver.to_owned(), actual.to_owned());
    }
}

/// What there must be in what the script prints.
fn expected() -> Vec<String> {
    let mut all = [lends(), gives_back()].concat();
    for (address, _) in LENT {
        all.push(format!("bound: {address} vfio-pci"));
        all.push(format!("taken: {address} vfio-pci"));
    }
    all.extend(["again: status 0", "at last: status 0"].map(str::to_owned));
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::function::{Function, Snapshot};
    use crate::protocol::Ran;

    /// What a good boot left.
    fn records() -> Records {
        let function = |(address, driver): (&str, &str)| Function {
            address: address.to_owned(),
            driver: Some(driver.to_owned()),
            ..Function::default()
        };
        Records {
            snapshots: vec![Snapshot {
                label: NATIVES.to_owned(),
                uevents: 1,
                functions: LENT.map(function).to_vec(),
            }],
            ran: vec![Ran {
                command: "lend".to_owned(),
                ending: Ending::Exited(0),
                output: expected(),
                writes: Vec::new(),
                records: BTreeMap::new(),
                disk: String::new(),
            }],
            ..Records::default()
        }
    }

    fn failures(records: &Records) -> usize {
        let mut failures = Failures::default();
        judge(records, &mut failures);
        failures.0.len()
    }

    #[test]
    fn each_thing_that_is_missing_is_a_failure() {
        assert_eq!(failures(&records()), 0);
        for at in 0..expected().len() {
            let mut less = records();
            less.ran[0].output.remove(at);
            // Some lines hold what another one must.
            let held = expected()
                .iter()
                .filter(|one| one.contains(&expected()[at]))
                .count();
            assert!(failures(&less) > 0 || held > 1, "{}", expected()[at]);
        }
        let mut kept = records();
        kept.snapshots[0].functions[0].driver = Some("vfio-pci".to_owned());
        assert_eq!(failures(&kept), 1);
        let mut silent = records();
        silent.ran.clear();
        assert_eq!(failures(&silent), 1);
    }
}

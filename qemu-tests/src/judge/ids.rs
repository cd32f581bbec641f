//! Whether kernel and agent understand `vfio_pci.ids=` alike.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::function::Function;
use crate::scenario::{BEFORE, Scenario};

/// More than these make a failure no clearer.
const SHOWN: usize = 12;

pub(super) fn judge(scenario: &Scenario, records: &Records, failures: &mut Failures) {
    if scenario.ids.is_empty() {
        return;
    }
    failures.equal(
        "vfio_pci.ids= values compared",
        scenario.ids.len(),
        records.ids.len(),
    );
    let functions = records
        .snapshot(BEFORE)
        .map_or(&[][..], |snapshot| &snapshot.functions);
    let mut differences = 0;
    for case in &records.ids {
        // vfio-pci's table matches bridges as well, but its probe refuses them.
        let takeable = |address: &&String| {
            functions
                .iter()
                .any(|f| f.address == **address && Function::is_endpoint(f))
        };
        let agent = match &case.agent {
            Ok(matches) => list(&matches.iter().filter(takeable).collect::<Vec<_>>()),
            Err(error) => error.clone(),
        };
        let kernel = list(&case.kernel);
        if agent != kernel {
            differences += 1;
            if differences <= SHOWN {
                let value = scenario.ids.get(case.index).map_or("?", String::as_str);
                let refusal = if case.refused.is_empty() {
                    ""
                } else {
                    ", with a refusal: "
                };
                failures.add(
                    format_args!("vfio_pci.ids={value:?}"),
                    format_args!("what vfio-pci takes, {kernel}{refusal}{}", case.refused),
                    agent,
                );
            }
        }
    }
    if differences > SHOWN {
        failures.add(
            "all vfio_pci.ids= values",
            "no difference",
            format_args!("{differences}"),
        );
    }
    let taking = records
        .ids
        .iter()
        .filter(|case| !case.kernel.is_empty())
        .count();
    if taking * 4 < records.ids.len() {
        failures.add("values that take something", "at least a quarter", taking);
    }
}

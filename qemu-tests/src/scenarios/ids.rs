//! `vfio_pci.ids=`, compared with the kernel itself.

use crate::ids;
use crate::scenario::{Run, Scenario};

/// How many values one boot compares.
const VALUES: usize = 200;

pub(super) fn scenarios(seed: u64) -> Vec<Scenario> {
    let mut scenario = Scenario::new(
        "ids-as-the-kernel",
        "random vfio_pci.ids= values: what vfio-pci takes and what the agent matches is the same",
        "",
        Run::new("agent"),
    );
    scenario.runs.clear();
    scenario.ids = ids::values(&scenario.machine().devices, VALUES, seed);
    vec![scenario]
}

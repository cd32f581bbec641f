//! Node Feature Discovery: a file of its local feature source (its customization guide, "Feature files").

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::prometheus::missing;
use crate::device::chosen::Found;
use crate::records::Run;

/// The features of what is on vfio drivers; of the chosen functions alone where some were named. They become labels
/// `feature.node.kubernetes.io/vfio-bind...`, whose names hold no colon.
#[must_use]
pub(super) fn export(runs: &[Run], machine: &[Found]) -> String {
    let named = machine.iter().any(|one| one.chosen);
    let lent = machine
        .iter()
        .filter(|one| one.is_lent() && (one.chosen || !named));
    let mut models: BTreeMap<String, usize> = BTreeMap::new();
    for one in lent {
        *models.entry(one.id.to_string()).or_default() += 1;
    }
    let mut text = String::new();
    let count: usize = models.values().sum();
    // A string takes everything.
    let _ = writeln!(text, "vfio-bind.functions={count}");
    let _ = writeln!(text, "vfio-bind.as-asked={}", missing(runs, machine) == 0);
    for (model, count) in models {
        let _ = writeln!(text, "vfio-bind.{}={count}", model.replace(':', "_"));
    }
    text
}

//! What vfio-pci would take although a plan leaves it alone.

use crate::machine::inventory::{Function, Inventory};
use crate::plan::decision::{Decision, Plan};
use crate::policy::Policy;

/// The first function that vfio-pci would take by a list that it is given, and that the plan leaves
/// alone.
#[must_use]
pub fn overreach<'a>(
    policy: &Policy<'_>,
    inventory: &'a Inventory,
    plan: &Plan,
) -> Option<&'a Function> {
    // The steps are in the order of the inventory.
    let bound = |index| {
        let found = plan
            .steps
            .binary_search_by_key(&index, |step| step.function);
        found
            .ok()
            .and_then(|at| plan.steps.get(at))
            .is_some_and(|step| step.decision == Decision::Bind)
    };
    let mut all = inventory.iter();
    all.find(|(index, function)| {
        function.is_endpoint() && policy.handed.takes(&function.id) && !bound(*index)
    })
    .map(|(_, function)| function)
}

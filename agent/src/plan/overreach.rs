//! What vfio-pci would take although a plan leaves it alone.

use crate::machine::inventory::{Function, Inventory};
use crate::plan::decision::Plan;
use crate::policy::Policy;

/// The first function that vfio-pci would take by a list that it is given, and that the plan leaves
/// alone.
#[must_use]
pub fn overreach<'a>(
    policy: &Policy<'_>,
    inventory: &'a Inventory,
    plan: &Plan,
) -> Option<&'a Function> {
    let mut all = inventory.iter();
    all.find(|(index, function)| {
        function.is_endpoint() && policy.handed.takes(&function.id) && !plan.binds(*index)
    })
    .map(|(_, function)| function)
}

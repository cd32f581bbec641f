//! A plan for what has come after the first look: one function, its virtual functions, and their IOMMU groups.

use crate::machine::inventory::{Function, Inventory};
use crate::pci::address::Address;
use crate::plan::decision::Plan;

/// What a plan is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Focus {
    /// The function that has come.
    pub function: Address,
    /// Whether what is protected is all that is in use now. An image knows nothing of what was mounted
    /// since it was built.
    pub knows_use: bool,
}

impl Plan {
    /// Has it made for this alone.
    pub fn focus_on(&mut self, focus: Option<Focus>) {
        self.focus = focus.map(|focus| focus.function);
        self.use_unknown = focus.is_some_and(|focus| !focus.knows_use);
    }
}

/// Drops the steps that are about something else: the run that was there to take them has done so, or
/// said why not.
pub(super) fn narrow(plan: &mut Plan, inventory: &Inventory) {
    let Some(function) = plan.focus else {
        return;
    };
    let own = plan.own;
    let is_own = |f: &Function| f.address == function || own.index(function, f.address).is_some();
    plan.steps.retain(|step| {
        inventory.get(step.function).is_some_and(|f| {
            let mut members = inventory
                .functions()
                .iter()
                .filter(|other| other.group == f.group);
            is_own(f) || f.group.is_some() && members.any(is_own)
        })
    });
}

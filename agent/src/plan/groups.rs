//! The members of each IOMMU group, and what they have in common: looked at once for each group.

use heapless::Vec;

use crate::machine::inventory::{Function, Index, Inventory, MAX_FUNCTIONS, sort};
use crate::pci::address::Address;
use crate::plan::refusal::Refusal;

/// What holds for all members of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct GroupView {
    /// Why none of them may be bound.
    pub refusal: Option<Refusal>,
    /// The first one that was asked for and may be bound.
    pub cause: Option<Address>,
}

/// A group, and a function in it.
pub(crate) type Member = (u32, Index);

/// The groups of an inventory.
pub(crate) struct Groups {
    /// All members of all groups: those of a group stand together, in the order of their addresses.
    members: Vec<Member, MAX_FUNCTIONS>,
    /// At the place of a group's first member what is known of the group.
    views: Vec<Option<GroupView>, MAX_FUNCTIONS>,
}

impl Groups {
    pub(crate) const EMPTY: Self = Self {
        members: Vec::new(),
        views: Vec::new(),
    };

    /// Finds the groups, of which nothing is known then.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub(crate) fn find(&mut self, inventory: &Inventory) {
        self.members.clear();
        self.views.clear();
        for (index, function) in inventory.iter() {
            if let Some(group) = function.group {
                // There is room for as many as the inventory has.
                let _ = self.members.push((group, index));
                let _ = self.views.push(None);
            }
        }
        sort(&mut self.members, |one, other| one > other);
    }

    /// What holds for the group of a function; `look` finds it out from the members. Nothing holds
    /// where there is no group.
    pub(crate) fn look(
        &mut self,
        function: &Function,
        look: &dyn Fn(&[Member]) -> GroupView,
    ) -> GroupView {
        let Some(group) = function.group else {
            return GroupView::default();
        };
        let start = self.members.partition_point(|member| member.0 < group);
        let Some(view) = self.views.get_mut(start) else {
            return GroupView::default();
        };
        *view.get_or_insert_with(|| {
            let behind = self.members.get(start..).unwrap_or_default();
            let others = behind.iter().position(|member| member.0 != group);
            look(
                behind
                    .get(..others.unwrap_or(behind.len()))
                    .unwrap_or_default(),
            )
        })
    }
}

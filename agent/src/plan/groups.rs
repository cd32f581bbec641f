//! The members of each IOMMU group, and what they have in common: looked at once for each group.

use crate::machine::inventory::{Index, Inventory, MAX_FUNCTIONS};
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

/// Twice as many as there can be groups, so that one is found within a few steps; a power of two.
const BUCKETS: usize = 2 * MAX_FUNCTIONS;

/// The groups of an inventory.
pub(crate) struct Groups {
    /// For each member the next one of its group.
    next: [Option<Index>; MAX_FUNCTIONS],
    /// For each function the first member of its group; nothing for one without a group.
    first: [Option<Index>; MAX_FUNCTIONS],
    /// For each first member what is known of the group.
    views: [Option<GroupView>; MAX_FUNCTIONS],
}

impl Groups {
    #[inline(never)] // Inlined, it makes the executable larger.
    pub(crate) fn of(inventory: &Inventory) -> Self {
        let mut groups = Self {
            next: [None; MAX_FUNCTIONS],
            first: [None; MAX_FUNCTIONS],
            views: [None; MAX_FUNCTIONS],
        };
        // The first and the last member of the groups whose numbers lead there.
        let mut buckets = [None::<(u32, Index, Index)>; BUCKETS];
        for (index, function) in inventory.iter() {
            let Some(group) = function.group else {
                continue;
            };
            // Group numbers are dense: they lead to buckets of their own, but for strange ones.
            let start = group as usize % BUCKETS;
            let places = (start..BUCKETS).chain(0..start);
            for place in places {
                let Some(bucket) = buckets.get_mut(place) else {
                    break;
                };
                let (number, first, last) = bucket.get_or_insert((group, index, index));
                if *number != group {
                    continue;
                }
                if let Some(next) = groups
                    .next
                    .get_mut(last.position())
                    .filter(|_| *last != index)
                {
                    *next = Some(index);
                }
                *last = index;
                if let Some(of) = groups.first.get_mut(index.position()) {
                    *of = Some(*first);
                }
                break;
            }
        }
        groups
    }

    /// What holds for the group of a function; `look` finds it out from the members. Nothing holds
    /// where there is no group.
    pub(crate) fn look(
        &mut self,
        of: Index,
        look: impl FnOnce(Members<'_>) -> GroupView,
    ) -> GroupView {
        let Some(first) = self.first.get(of.position()).copied().flatten() else {
            return GroupView::default();
        };
        let members = Members {
            next: &self.next,
            at: Some(first),
        };
        match self.views.get_mut(first.position()) {
            Some(view) => *view.get_or_insert_with(|| look(members)),
            None => GroupView::default(),
        }
    }
}

/// The members of a group, in the order of their addresses.
#[derive(Clone)]
pub(crate) struct Members<'a> {
    next: &'a [Option<Index>; MAX_FUNCTIONS],
    at: Option<Index>,
}

impl Iterator for Members<'_> {
    type Item = Index;

    fn next(&mut self) -> Option<Index> {
        let here = self.at?;
        self.at = self.next.get(here.position()).copied().flatten();
        Some(here)
    }
}

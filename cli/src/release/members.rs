//! What goes back together: whatever of an IOMMU group is on VFIO. While one of a group has a native driver, the
//! others are of no use to a guest; and where a guest has one, a native driver must not get another.

use std::collections::BTreeMap;

use vfio_bind_agent::pci::address::Address;
use vfio_bind_report::Set;

use crate::device::chosen::Found;
use crate::records::Run;
use crate::usage::Usage;

/// A function that goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The function.
    pub found: Found,
    /// What `vfio.set=` made of it, with what it was before.
    pub set: Vec<Set>,
}

/// The functions that go back with those that were chosen: these, unless a native driver has them, and what else of
/// their groups is on VFIO.
#[must_use]
pub fn members(machine: &[Found], runs: &[Run]) -> Vec<Member> {
    let is_native = |one: &Found| one.driver.is_some() && !one.is_lent();
    let own = |one: &Found| one.chosen && !is_native(one);
    let groups: Vec<_> = machine
        .iter()
        .filter(|one| own(one))
        .filter_map(|one| one.group)
        .collect();
    let all = machine.iter().filter(|one| {
        let sibling = one.group.is_some_and(|group| groups.contains(&group));
        !one.bridge && (own(one) || (sibling && one.is_lent()))
    });
    all.map(|one| Member {
        found: one.clone(),
        set: set(runs, one.address),
    })
    .collect()
}

/// What runs since the boot have set of a function and nobody has undone, with what it was before the first of them.
fn set(runs: &[Run], address: Address) -> Vec<Set> {
    let address = address.to_string();
    let mut all: BTreeMap<String, Set> = BTreeMap::new();
    for run in runs {
        for function in run
            .report
            .functions
            .iter()
            .filter(|one| one.address == address)
        {
            for set in &function.set {
                all.entry(set.name.clone()).or_insert_with(|| set.clone());
            }
        }
        let mut given = run.report.given_back.iter();
        if given.any(|one| one.split(' ').next() == Some(&address)) {
            all.clear();
        }
    }
    all.into_values().collect()
}

/// Who uses a function of the same group; none where nobody does.
#[must_use]
pub fn user(members: &[Member], of: &Member, usage: &Usage) -> Option<String> {
    let own = usage.text(of.found.address);
    let others = members
        .iter()
        .filter(|other| of.found.group.is_some() && other.found.group == of.found.group);
    let mut theirs = others.filter_map(|other| {
        let text = usage.text(other.found.address)?;
        let address = other.found.address;
        Some(format!("{address} of the same IOMMU group: {text}"))
    });
    own.or_else(|| theirs.next())
}

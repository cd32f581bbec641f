//! What there is to know of words that take what they should.

use std::collections::BTreeSet;
use std::path::Path;

use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, sysfs};
use vfio_bind_agent::pci::address::{Address, Slot};
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;

use super::rehearsal::Rehearsal;
use crate::preview::mapping;

/// The groups that are taken and that VFIO refuses all the same.
#[must_use]
pub fn refused_by_vfio(root: &Path, rehearsal: &Rehearsal) -> Vec<String> {
    let groups = rehearsal
        .bound()
        .filter_map(|step| rehearsal.function(step.address)?.group);
    let groups: BTreeSet<_> = groups
        .filter(|group| mapping::is_one_to_one(root, *group))
        .collect();
    groups.into_iter().map(mapping::warning).collect()
}

/// What gets its group, and so its siblings, only at the boot.
#[must_use]
pub fn no_group_yet(rehearsal: &Rehearsal) -> Vec<String> {
    let late = rehearsal
        .steps
        .iter()
        .filter_map(|step| match step.decision {
            Decision::Refuse(refusal @ Refusal::NoGroupYet) => Some((step.address, refusal)),
            _ => None,
        });
    let notes = late.map(|(address, refusal)| {
        format!("{address}: {refusal}; what shares its group then goes with it")
    });
    notes.collect()
}

/// What stays in a group that is taken, and what that means for it.
#[must_use]
pub fn staying(rehearsal: &Rehearsal) -> Vec<String> {
    let left = rehearsal
        .steps
        .iter()
        .filter_map(|step| match step.decision {
            Decision::Leave(leave) => Some((step.address, leave)),
            _ => None,
        });
    let notes = left.map(|(address, leave)| {
        let driver = rehearsal
            .function(address)
            .and_then(|one| one.driver.as_deref());
        format!("{address}: {}", leave.told(driver))
    });
    notes.collect()
}

/// The other functions of devices that are taken in part.
#[must_use]
pub fn left_behind(rehearsal: &Rehearsal, wanted: &BTreeSet<Address>) -> Vec<String> {
    let whole = |address: Address| Slot::from(address).whole();
    let mut notes = Vec::new();
    let spoken_of = |address: Address| rehearsal.step(address).is_some();
    for other in &rehearsal.functions {
        let slot = whole(other.address);
        let of_a_wanted_one = wanted.iter().any(|one| whole(*one) == slot);
        if !of_a_wanted_one
            || !other.is_endpoint()
            || other.id.is_system()
            || spoken_of(other.address)
        {
            continue;
        }
        let group = other
            .group
            .map_or("no group".to_owned(), |group| format!("group {group}"));
        let Address {
            domain,
            bus,
            device,
            ..
        } = other.address;
        notes.push(format!(
            "{} ({}) of the same device is in {group} and stays; `vfio-bind words \
             {domain:04x}:{bus:02x}:{device:02x}` means the whole device",
            other.address,
            other.id.kind()
        ));
    }
    notes
}

/// The functions of IBM Z whose domain may be another after the next boot.
#[must_use]
pub fn uncertain_ids(tree: &Tree, wanted: &BTreeSet<Address>) -> Vec<String> {
    let not_unique = |address: &&Address| {
        let mut buffer = [0; 4];
        let text = tree.read(&sysfs::attribute(**address, "uid_is_unique"), &mut buffer);
        text.is_ok_and(|text| text.trim_ascii_end() == b"0")
    };
    let notes = wanted.iter().filter(not_unique).map(|address| {
        format!(
            "{address}: the machine does not see to it that UIDs are unique (uid_is_unique is 0), so this \
             address may be another's after the next boot"
        )
    });
    notes.collect()
}

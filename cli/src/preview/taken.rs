//! What a policy would take from its driver now, and what of it is in use.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::Record;
use vfio_bind_agent::run::{self, Extent};

use crate::preview::known::{self, Informed, Known};
use crate::storage::ask;
use crate::storage::protected;
use crate::usage::{self, Usage};

/// The functions that a plan would take: those aside that are where it wants them.
#[must_use]
pub fn taken(record: &Record<'_>) -> Vec<Address> {
    let functions = record.plan.bound().filter_map(|step| {
        let function = record.inventory.get(step.function)?;
        let there = function.driver.as_deref() == Some(record.driver(step));
        (!there).then_some(function.address)
    });
    functions.collect()
}

/// Who uses what a plan would take.
#[must_use]
pub fn usage(root: &Path, taken: &[Address]) -> Usage {
    if taken.is_empty() {
        return Usage::default();
    }
    usage::of(root, ask::of(root), taken)
}

/// How what must not be taken is kept from a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As all that is protected: `vfio.force` takes it.
    Protected,
    /// By an exclusion, which nothing overrides.
    Excluded,
}

/// What of all that a policy would take a run is for.
#[derive(Clone, Copy, Debug)]
pub enum Meant<'a> {
    /// All of it.
    All,
    /// These functions. The others are kept from it as well.
    These(&'a [Address]),
    /// A function and its IOMMU group. The agent leaves the others alone.
    GroupOf(Address),
}

/// Adds to what is known the functions that the policy would take and somebody uses, and tells of each.
///
/// # Errors
/// Where the kernel command line cannot be read.
pub fn keep(
    known: &mut Known,
    tree: &Tree,
    root: &Path,
    meant: Meant<'_>,
    keep: Keep,
) -> Result<()> {
    let line = known::command_line(root)?;
    let mut functions = Vec::new();
    let mut forced = false;
    let informed = Informed { tree, known };
    run::rehearse(&informed, &line, Extent::Whole, &mut |record| {
        functions = taken(record);
        if let Meant::GroupOf(function) = meant {
            functions.retain(|other| *other == function || share_group(record, *other, function));
        }
        forced = record.policy.force;
        record.exit()
    });
    let is_meant = |one: &Address| match meant {
        Meant::These(functions) => functions.contains(one),
        Meant::All | Meant::GroupOf(_) => true,
    };
    let (wanted, others): (Vec<_>, Vec<_>) = functions.into_iter().partition(is_meant);
    let usage = usage(root, &wanted);
    let mut reasons: BTreeMap<Address, String> = BTreeMap::new();
    for function in others {
        reasons.insert(function, "this run is not for it".to_owned());
    }
    for function in wanted {
        if let Some(users) = usage.text(function) {
            let what = match forced && keep == Keep::Protected {
                true => "and vfio.force takes it all the same",
                false => "and left alone",
            };
            known
                .told
                .push(format!("{function} is in use, {what}: {users}"));
            reasons.insert(function, format!("in use: {users}"));
        }
    }
    known.told.extend(usage.told);
    for (function, why) in reasons {
        match keep {
            Keep::Protected => known
                .protected
                .extend([&protected::line(tree, function, &why), "\n"]),
            Keep::Excluded => {
                // In front: a quote that nobody closed takes in what is behind it.
                let mut policy = format!("vfio.bind=!{function}  # {why}\n").into_bytes();
                policy.extend(known.policy.take().unwrap_or_default());
                known.policy = Some(policy);
            }
        }
    }
    Ok(())
}

fn share_group(record: &Record<'_>, one: Address, other: Address) -> bool {
    let group = |address: Address| {
        let mut all = record.inventory.functions().iter();
        all.find(|function| function.address == address)?.group
    };
    group(one).is_some_and(|own| group(other) == Some(own))
}

//! A look at every function that a vfio driver has when the work is done: what it was not asked to take
//! goes back.
//!
//! vfio-pci may take more than the plan has where it got IDs in a way that nobody has read.

use rustix::io::Errno;

use crate::bind::controls::{DRIVER_LIMIT, QUEUE_LIMIT, current_override, unbind};
use crate::bind::outcome::{Blocker, Fate, GroupStatus, Outcomes, Unasked};
use crate::machine::inventory::Inventory;
use crate::machine::sysfs::{
    DRIVERS, driver_directory, driver_of, group_members, is_harmless, is_vfio,
};
use crate::machine::{Machine, Root, survey};
use crate::pci::address::Address;
use crate::plan::decision::Plan;
use crate::policy::{OnFailure, Policy};
use crate::text::name;

/// Finds them, and gives them back. What a vfio driver had before the agent came is none of them.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn give_back(
    host: &impl Machine,
    policy: &Policy<'_>,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) {
    find(host, policy, inventory, plan, outcomes);
    let mut limit = DRIVER_LIMIT;
    let Outcomes { unasked, steps, .. } = outcomes;
    for unasked in unasked {
        let Unasked {
            address, driver, ..
        } = unasked;
        // An override asks for it: somebody else's, for the plan does not have it.
        let wanted = || current_override(host, *address).is_ok_and(|value| value == *driver);
        // It had no driver before, or vfio-pci could not have taken it: its native one takes it when it
        // comes. Nobody is asked to probe it, for that might be vfio-pci again.
        if unasked.fate == Fate::Left || policy.on_failure == OnFailure::Hold || wanted() {
            unasked.fate = Fate::Left;
        } else if unbind(host, *address, limit) == Err(Errno::TIMEDOUT) {
            limit = QUEUE_LIMIT;
        }
        let now = driver_of(host, *address);
        if unasked.fate == Fate::Failed
            && now.as_ref().is_ok_and(|now| now.as_ref() != Some(driver))
        {
            unasked.fate = Fate::Returned;
        }
        unasked.now = now.ok().flatten();
        // What the plan refused or left may be among them.
        let mut all = inventory.iter();
        let step = all.find(|(_, function)| function.address == *address);
        let step = step.and_then(|(index, _)| plan.place_of(index));
        if let Some(outcome) = step.and_then(|at| steps.get_mut(at)) {
            outcome.driver.clone_from(&unasked.now);
        }
    }
}

/// Finds them. Of a function that came later nobody knows what had it before: it is left, unless only a part
/// of the machine was looked at and nothing asks for it.
fn find(
    root: &dyn Root,
    policy: &Policy<'_>,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) {
    let unasked = &mut outcomes.unasked;
    let mut unseen = None;
    let mut full = None;
    let listed = root.list(DRIVERS, &mut |driver| {
        if !is_vfio(driver) {
            return;
        }
        let driver = name(driver);
        let listed = root.list(&driver_directory(&driver), &mut |entry| {
            let Some(address) = Address::parse(entry) else {
                return;
            };
            let mut fate = Fate::Left;
            if let Some((index, function)) = inventory.iter().find(|(_, f)| f.address == address) {
                let had = function.driver.as_ref();
                // The run for that one takes the rest of its group.
                let asked = || policy.asks_for(function);
                if had.is_some_and(|driver| is_vfio(driver.as_bytes()))
                    || plan.binds(index)
                    || plan.focus.is_some() && asked()
                {
                    return;
                }
                fate = Fate::Failed;
            } else if !inventory.whole
                && survey::read(root, address).is_ok_and(|function| !policy.asks_for(&function))
            {
                // Nobody asks for it, and what a vfio driver had before is in every inventory.
                fate = Fate::Failed;
            }
            let driver = driver.clone();
            let new = Unasked {
                address,
                driver,
                fate,
                now: None,
            };
            full = full.or(unasked.push(new).err().map(|_| Errno::TOOBIG));
        });
        unseen = unseen.or(listed.err());
    });
    let unseen = unseen
        .or(listed.err())
        .filter(|errno| *errno != Errno::NOENT);
    outcomes.vfio_unseen = full.or(unseen);
}

/// Asks VFIO about every group in which a function is bound.
pub(crate) fn ask_groups(
    host: &impl Machine,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) {
    let Outcomes {
        steps,
        groups,
        more_groups,
        ..
    } = outcomes;
    for (step, outcome) in plan.steps.iter().zip(steps.iter()) {
        let bound = matches!(outcome.fate, Fate::Bound | Fate::Already);
        let Some(group) = inventory
            .get(step.function)
            .and_then(|f| f.group)
            .filter(|_| bound)
        else {
            continue;
        };
        if groups.iter().any(|status| status.group == group) {
            continue;
        }
        let (viable, unanswered) = match host.group_viable(group) {
            Ok(viable) => (Some(viable), None),
            // CONFIG_VFIO_GROUP is optional since 6.6: no node is no answer. A group has one user
            // at a time: it is busy because somebody uses it.
            Err(Errno::NOENT | Errno::BUSY) => (None, None),
            Err(errno) => (None, Some(errno)),
        };
        let newcomer = newcomer(host, inventory, group);
        let status = GroupStatus {
            group,
            viable,
            unanswered,
            newcomer,
        };
        if groups.push(status).is_err() {
            *more_groups = more_groups.saturating_add(1);
        }
    }
    find_blockers(host, inventory, plan, outcomes);
}

/// A member of a group that is not in the inventory.
fn newcomer(root: &dyn Root, inventory: &Inventory, group: u32) -> Option<Address> {
    let mut found = None;
    // Without the list nothing is known of it, as before.
    let _ = root.list(&group_members(group), &mut |entry| {
        let member = Address::parse(entry);
        found = found.or(member.filter(|address| !inventory.has(*address)));
    });
    found
}

/// Finds the members of groups that keep them from being viable.
///
/// Since 5.19 those are all with a driver without `driver_managed_dma`; before, all with any but vfio
/// drivers and pci-stub on an endpoint (`vfio_dev_viable` in drivers/vfio/vfio.c).
fn find_blockers(root: &dyn Root, inventory: &Inventory, plan: &Plan, outcomes: &mut Outcomes) {
    let Outcomes {
        steps,
        groups,
        blockers,
        more_blockers,
        ..
    } = outcomes;
    for status in groups.iter().filter(|status| status.viable == Some(false)) {
        let group = status.group;
        for (index, function) in inventory.iter().filter(|(_, f)| f.group == Some(group)) {
            let (address, bridge) = (function.address, function.bridge);
            let Ok(driver) = driver_of(root, address) else {
                continue;
            };
            // What stays may have got one meanwhile.
            if let Some(outcome) = plan.place_of(index).and_then(|at| steps.get_mut(at))
                && outcome.fate == Fate::Left
            {
                outcome.driver.clone_from(&driver);
            }
            let Some(driver) = driver.filter(|driver| !is_harmless(driver)) else {
                continue;
            };
            let blocker = Blocker {
                group,
                address,
                bridge,
                driver,
            };
            if blockers.push(blocker).is_err() {
                *more_blockers = more_blockers.saturating_add(1);
            }
        }
    }
}

//! A look at every function that a vfio driver has when the work is done: what it was not asked to take
//! goes back.
//!
//! vfio-pci may take more than the plan has where it got IDs in a way that nobody has read.

use rustix::io::Errno;

use crate::address::Address;
use crate::controls::{DRIVER_LIMIT, QUEUE_LIMIT, current_override, unbind};
use crate::function::Inventory;
use crate::host::{DRIVERS, Host, Root, driver_directory, driver_of};
use crate::outcome::{Fate, Outcomes};
use crate::plan::Plan;
use crate::policy::{OnFailure, Policy};
use crate::text::{Name, contains, name};

/// The most such functions that are kept; that there are more is told.
pub const MAX_UNASKED: usize = 64;

/// A function that a vfio driver took and the plan does not have.
#[derive(Clone, Debug)]
pub struct Unasked {
    /// The function.
    pub address: Address,
    /// The driver that took it.
    pub driver: Name,
    /// Returned, failed, or left: where it is not known, has an override that asks for this, or
    /// `vfio.onfail=hold` keeps native drivers off.
    pub fate: Fate,
}

/// Finds them, and gives them back. What a vfio driver had before the agent came is none of them.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn give_back(
    host: &impl Host,
    policy: &Policy<'_>,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) {
    find(host, inventory, plan, outcomes);
    let mut limit = DRIVER_LIMIT;
    for unasked in &mut outcomes.unasked {
        let Unasked {
            address, driver, ..
        } = unasked;
        // An override asks for it: somebody else's, for the plan does not have it.
        let wanted = || current_override(host, *address).is_ok_and(|value| value == *driver);
        if unasked.fate == Fate::Left || policy.on_failure == OnFailure::Hold || wanted() {
            unasked.fate = Fate::Left;
            continue;
        }
        // It had no driver before, or vfio-pci could not have taken it: its native one takes it when it
        // comes. Nobody is asked to probe it, for that might be vfio-pci again.
        if unbind(host, *address, limit) == Err(Errno::TIMEDOUT) {
            limit = QUEUE_LIMIT;
        }
        if driver_of(host, *address).is_ok_and(|now| now.as_ref() != Some(driver)) {
            unasked.fate = Fate::Returned;
        }
    }
}

/// Finds them. Of a function that is not in the inventory nobody knows what had it before: it is left.
fn find(root: &dyn Root, inventory: &Inventory, plan: &Plan, outcomes: &mut Outcomes) {
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
                if had.is_some_and(|driver| is_vfio(driver.as_bytes()))
                    || plan.bound().any(|step| step.function == index)
                {
                    return;
                }
                fate = Fate::Failed;
            }
            let driver = driver.clone();
            let new = Unasked {
                address,
                driver,
                fate,
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

/// Whether a driver is of VFIO's.
pub(crate) fn is_vfio(driver: &[u8]) -> bool {
    contains(driver, b"vfio")
}

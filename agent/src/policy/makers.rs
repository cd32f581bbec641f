//! What makes the virtual functions that `vf:` speaks of, and which of those there are.

use crate::machine::inventory::{Function, Inventory};
use crate::machine::sriov::{Maker, Role, Sriov};
use crate::machine::{Root, survey};
use crate::policy::Policy;
use crate::policy::selector::Selector;

/// Finds out which functions of an inventory are the PFs that selectors speak of, and which are VFs of theirs that
/// are meant; an inventory that is not whole gets those. `None` where one of them cannot be read.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn look(root: &dyn Root, policy: &Policy<'_>, inventory: &mut Inventory) -> Option<()> {
    if !policy.places().any(Selector::is_virtual) {
        return Some(());
    }
    let mut added = false;
    for at in 0..inventory.len() {
        let Some(&Function {
            address,
            id,
            role: Role::Plain,
            ..
        }) = inventory.functions().get(at)
        else {
            continue;
        };
        let of_it = |s: &&Selector<'_>| s.is_virtual() && s.names(address, &id);
        let speak = || policy.places().filter(of_it);
        if speak().next().is_none() {
            continue;
        }
        let sriov = Sriov::read(root, address);
        if sriov.total == 0 {
            continue;
        }
        inventory.set_role(at, Role::Physical(sriov.total));
        for index in 0..sriov.count {
            let mut all = speak().filter_map(|selector| selector.virtual_functions);
            let Some(vf) = sriov
                .address(address, index)
                .filter(|_| all.any(|all| all.means(index)))
            else {
                continue;
            };
            if !inventory.whole {
                survey::add(root, inventory, vf).ok()?;
                added = true;
            }
            if let Some(at) = inventory.position(vf) {
                inventory.set_role(at, Role::Virtual(Maker { address, id, index }));
            }
        }
    }
    if added {
        inventory.sort();
    }
    Some(())
}

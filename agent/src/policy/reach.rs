//! What a policy needs looked at: not every function of a large machine, where it names a few.
//!
//! An address, a slot or a path leads to its functions; only IDs and classes, and the lists that vfio-pci
//! is handed, need the bus listed, and one attribute of each function read. What may be taken brings the
//! rest of its IOMMU group. A plan that is made of this is the plan that is made of the whole machine:
//! where that is not sure, the whole machine is looked at.

use rustix::io::Errno;

use crate::machine::inventory::{Function, GroupTiming, Inventory};
use crate::machine::sysfs::{DEVICES, DRIVERS, driver_directory, group_members, is_vfio};
use crate::machine::{Root, survey};
use crate::pci::address::{Address, Slot};
use crate::pci::id::{DeviceId, IdPattern};
use crate::policy::Policy;
use crate::policy::makers;
use crate::policy::presence::is_there;
use crate::policy::resolve::direct;
use crate::policy::selector::{Selector, Source, StableName, Target};
use crate::text::name;

/// Looks at what `policy` is about, or at everything.
///
/// # Errors
/// What listing the devices answered.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn look(
    root: &dyn Root,
    policy: &mut Policy<'_>,
    inventory: &mut Inventory,
) -> Result<(), Errno> {
    if inventory.timing == GroupTiming::AtStart && is_direct(policy) {
        for at in 0..policy.places().count() {
            if let Some(selector) = policy.place_mut(at)
                && let Target::Named(name, slot) = &mut selector.target
            {
                *slot = direct(name, root);
            }
        }
        let wanted = Wanted { root, policy };
        if wanted.find(inventory).is_some() {
            return Ok(());
        }
        // What is asked about stays, and so is not beyond any limit.
        inventory.beyond_limit = 0;
    }
    survey::scan(root, inventory)
}

/// Whether no name has to be looked for in every function.
fn is_direct(policy: &Policy<'_>) -> bool {
    let mut all = policy.places();
    all.all(|selector| match selector.target {
        Target::Named(name, _) => matches!(name, StableName::Path(_) | StableName::Slot(_)),
        _ => true,
    })
}

struct Wanted<'a> {
    root: &'a dyn Root,
    policy: &'a Policy<'a>,
}

impl Wanted<'_> {
    /// Fills the inventory; `None` where what is in it then is not enough.
    fn find(&self, inventory: &mut Inventory) -> Option<()> {
        let Self { root, policy } = *self;
        for selector in policy.places() {
            if let Some(slot) = selector.slot() {
                self.add_slot(inventory, slot)?;
            }
        }
        self.add_vfio(inventory)?;
        inventory.sort();
        if policy.handed.any() || self.patterns().next().is_some() {
            self.add_listed(inventory)?;
            inventory.sort();
        }
        makers::look(root, policy, inventory)?;
        self.add_groups(inventory)?;
        survey::finish(root, inventory);
        // What a selector may mean that describes nothing here, only a look at everything tells.
        let is_known = |s: &Selector<'_>| {
            let can_be = || inventory.functions().iter().any(|f| s.can_be_of(f));
            is_there(s, inventory) && (!s.is_virtual() || can_be())
        };
        let mut told = policy.places().filter(|s| s.source != Source::Set);
        let enough = inventory.beyond_limit == 0 && inventory.has_groups() && told.all(is_known);
        enough.then_some(())
    }

    fn add(&self, inventory: &mut Inventory, address: Address) -> Option<()> {
        survey::add(self.root, inventory, address).ok()
    }

    fn add_slot(&self, inventory: &mut Inventory, slot: Slot) -> Option<()> {
        if let Some(address) = slot.address() {
            return self.add(inventory, address);
        }
        for function in 0..8 {
            let function = Some(function);
            self.add(inventory, Slot { function, ..slot }.address()?)?;
        }
        Some(())
    }

    /// What a vfio driver has before the work: what has come to it afterwards is known by that.
    fn add_vfio(&self, inventory: &mut Inventory) -> Option<()> {
        self.list(DRIVERS, &mut |driver| {
            if !is_vfio(driver) {
                return Some(());
            }
            self.list(
                &driver_directory(&name(driver)),
                &mut |entry| match Address::parse(entry) {
                    Some(address) => self.add(inventory, address),
                    None => Some(()),
                },
            )
        })
    }

    /// What has a wanted ID.
    fn add_listed(&self, inventory: &mut Inventory) -> Option<()> {
        let mut listed = 0usize;
        self.list(DEVICES, &mut |entry| {
            listed = listed.saturating_add(1);
            let address = Address::parse(entry)?;
            if inventory.has(address) {
                return Some(());
            }
            match survey::id(self.root, address) {
                Ok(id) if self.names(&id) => self.add(inventory, address),
                Ok(_) | Err(Errno::NOENT | Errno::NODEV) => Some(()),
                Err(_) => None,
            }
        })?;
        inventory.listed = Some(listed);
        Some(())
    }

    /// The IDs that are asked about. What is only set, where it is bound, something else asks about, but for what
    /// makes it.
    fn patterns(&self) -> impl Iterator<Item = &IdPattern> {
        let all = self.policy.places();
        let all = all.filter(|s| s.source != Source::Set || s.is_virtual());
        all.filter_map(|selector| match &selector.target {
            Target::Id(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// Whether an ID is asked about.
    fn names(&self, id: &DeviceId) -> bool {
        self.policy.handed.takes(id) || self.patterns().any(|pattern| pattern.matches(id))
    }

    /// The other members of the groups of what may be taken.
    fn add_groups(&self, inventory: &mut Inventory) -> Option<()> {
        let found = inventory.len();
        for at in 0..found {
            let (earlier, function) = match inventory.functions().split_at_checked(at) {
                Some((earlier, [function, ..])) => (earlier, function),
                _ => return None,
            };
            let is_asked_for = |f: &Function| self.policy.asks_for(f);
            if !is_asked_for(function) {
                continue;
            }
            let group = function.group?;
            let known = |other: &Function| other.group == Some(group) && is_asked_for(other);
            if earlier.iter().any(known) {
                continue;
            }
            let mut itself = false;
            let address = function.address;
            self.list(&group_members(group), &mut |entry| {
                let member = Address::parse(entry)?;
                itself |= member == address;
                self.add(inventory, member)
            })?;
            if !itself {
                return None;
            }
        }
        Some(())
    }

    /// Lists a directory until `each` has enough; one that is not there is empty.
    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8]) -> Option<()>) -> Option<()> {
        let mut good = Some(());
        let listed = self.root.list(path, &mut |entry| {
            good = good.and_then(|()| each(entry));
        });
        match listed {
            Ok(()) | Err(Errno::NOENT) => good,
            Err(_) => None,
        }
    }
}

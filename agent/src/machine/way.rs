//! The way to a function through the bridges above it, as the links of sysfs show it.

use crate::machine::Root;
use crate::machine::sysfs::{attribute, directory};
use crate::pci::address::{Address, Slot};
use crate::pci::path::{PciPath, Way};
use crate::text::digits::decimal;
use crate::text::misread::split;

/// Room for a link's target.
const BUFFER: usize = 512;

/// The functions on the way to `address`, itself the last, in the order of the directories that the
/// entry in `/sys/bus/pci/devices` links to. `None` where that is no link, as in a flat capture.
fn way<'b>(
    root: &dyn Root,
    address: Address,
    buffer: &'b mut [u8],
) -> Option<impl Iterator<Item = Address> + 'b> {
    let target: &'b [u8] = root.link(&directory(address), buffer).ok()?;
    // Below a host bridge (`pci0000:00`): a VMD controller has one of its own, inside its function.
    let start = target
        .windows(4)
        .rposition(|window| window == b"/pci")?
        .checked_add(1)?;
    let below = split(target.get(start..)?, b'/').skip(1);
    Some(below.filter_map(Address::parse))
}

/// The slot of the root bus that a function is in or behind: what shares an IOMMU group shares this.
/// `None` where sysfs does not tell it.
#[must_use]
pub fn root_slot(root: &dyn Root, address: Address) -> Option<Slot> {
    let mut buffer = [0; BUFFER];
    let first = match way(root, address, &mut buffer) {
        Some(mut way) => way.next()?,
        None if root.exists(&attribute(address, "modalias")) => return None,
        // It has left the machine.
        None => address,
    };
    Some(Slot::from(first).whole())
}

/// The way to a function; `None` where sysfs does not tell it.
#[must_use]
#[inline(never)] // Inlined, it makes the executable larger.
pub fn of(root: &dyn Root, address: Address) -> Option<Way> {
    let mut buffer = [0; BUFFER];
    Way::new(way(root, address, &mut buffer)?)
}

/// Whether `path` is the way to the function at `address`.
#[must_use]
pub fn is_by(path: &PciPath<'_>, root: &dyn Root, address: Address) -> bool {
    let mut buffer = [0; BUFFER];
    way(root, address, &mut buffer).is_some_and(|way| path.is_way(way))
}

/// The function that `path` leads to, down through the bridges by the buses behind them. `None` where
/// sysfs does not tell one of them.
#[must_use]
#[inline(never)] // Inlined, it makes the executable larger.
pub fn descend(path: &PciPath<'_>, root: &dyn Root) -> Option<Address> {
    let mut at = path.start();
    for (device, function) in path.below() {
        let mut buffer = [0; 8];
        let bus = root.read(&attribute(at, "secondary_bus_number"), &mut buffer);
        at = Address {
            bus: decimal(bus.ok()?.trim_ascii_end())?.try_into().ok()?,
            device,
            function,
            ..at
        };
    }
    is_by(path, root, at).then_some(at)
}

//! sysfs -> [`Inventory`].

use rustix::io::Errno;

use crate::machine::inventory::{Function, Inventory};
use crate::machine::sriov::Role;
use crate::machine::sysfs::{DEVICES, attribute, driver_of, last_component};
use crate::machine::{Root, boot_display};
use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::text::Text;
use crate::text::digits::decimal;

/// Reads every function of the machine; those that are in the inventory stay as they are.
///
/// A function that vanishes while it is read is left out; one that cannot be read is counted and
/// told of.
///
/// # Errors
/// What listing the devices answered.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn scan(root: &dyn Root, inventory: &mut Inventory) -> Result<(), Errno> {
    let mut listed = 0usize;
    root.list(DEVICES, &mut |entry| {
        listed = listed.saturating_add(1);
        let address = Address::parse(entry);
        let added = match address {
            Some(address) => add(root, inventory, address),
            None => Err(Errno::INVAL),
        };
        if let Err(errno) = added {
            inventory.add_unread(address);
            let answer = crate::text::errno::Answer(errno);
            let entry = Text(entry);
            warn!(entry; "sys/bus/pci/devices/{entry}: cannot be read: {answer}; left alone");
        }
    })?;
    (inventory.whole, inventory.listed) = (true, Some(listed));
    finish(root, inventory);
    Ok(())
}

/// Reads one function, where it is not in the inventory. One that is not there, or vanishes, is left out.
///
/// # Errors
/// Why it cannot be read.
pub fn add(root: &dyn Root, inventory: &mut Inventory, address: Address) -> Result<(), Errno> {
    if inventory.has(address) {
        return Ok(());
    }
    match read(root, address) {
        Ok(function) => inventory.add(function),
        Err(Errno::NOENT | Errno::NODEV) => {}
        Err(errno) => return Err(errno),
    }
    Ok(())
}

/// Sees to what only the inventory as a whole tells, once all that is wanted is in it.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn finish(root: &dyn Root, inventory: &mut Inventory) {
    inventory.sort();
    boot_display::find_boot_displays(root, inventory);
}

/// What a function is, by the one attribute that tells it.
///
/// # Errors
/// What the system answered; `EINVAL` where it is no modalias of a PCI function.
pub fn id(root: &dyn Root, address: Address) -> Result<DeviceId, Errno> {
    let mut buffer = [0; 256];
    let modalias = root.read(&attribute(address, "modalias"), &mut buffer)?;
    DeviceId::from_modalias(modalias).ok_or(Errno::INVAL)
}

/// What a function shows.
///
/// # Errors
/// What the system answered; `EINVAL` where that is not what a PCI function shows.
pub fn read(root: &dyn Root, address: Address) -> Result<Function, Errno> {
    let id = id(root, address)?;
    // The kernel shows this attribute for header types 1 and 2 only (pci_dev_bridge_attrs_are_visible
    // in drivers/pci/pci-sysfs.c, since 4.13). Unlike reading `config` it never wakes the hardware.
    // The class says so where that cannot be looked up.
    let bridge = matches!(id.subclass(), 0x0604 | 0x0607 | 0x0609)
        || root.exists(&attribute(address, "secondary_bus_number"));
    let buses = if bridge { buses(root, address) } else { (0, 0) };
    let driver = driver_of(root, address)?;
    Ok(Function {
        address,
        id,
        group: group(root, address)?,
        bridge,
        buses,
        boot_display: false,
        in_doubt: false,
        role: Role::Plain,
        driver,
        way: None,
    })
}

/// The buses behind a bridge. Where sysfs does not tell, any may be: this decides what is left alone.
fn buses(root: &dyn Root, address: Address) -> (u8, u8) {
    let bus = |name| {
        let mut buffer = [0; 8];
        let text = root.read(&attribute(address, name), &mut buffer).ok()?;
        decimal(text.trim_ascii_end())?.try_into().ok()
    };
    (
        bus("secondary_bus_number").unwrap_or(1),
        bus("subordinate_bus_number").unwrap_or(u8::MAX),
    )
}

fn group(root: &dyn Root, address: Address) -> Result<Option<u32>, Errno> {
    let mut buffer = [0; 256];
    match root.link(&attribute(address, "iommu_group"), &mut buffer) {
        Ok(target) => {
            let group = decimal(last_component(target));
            group.ok_or(Errno::INVAL).map(Some)
        }
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

//! sysfs -> [`Inventory`].

use rustix::io::Errno;

use crate::machine::inventory::{Function, Inventory};
use crate::machine::sysfs::{DEVICES, attribute, driver_of, last_component};
use crate::machine::{Root, boot_display};
use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::text::Text;
use crate::text::digits::decimal;

/// Reads every function of the machine.
///
/// A function that vanishes while it is read is left out; one that cannot be read is counted and
/// told of.
///
/// # Errors
/// What listing the devices answered.
pub fn scan(root: &dyn Root, inventory: &mut Inventory) -> Result<(), Errno> {
    root.list(DEVICES, &mut |entry| {
        let address = Address::parse(entry);
        let function = match address {
            Some(address) => read(root, address),
            None => Err(Errno::INVAL),
        };
        match function {
            Ok(function) => inventory.add(function),
            Err(Errno::NOENT | Errno::NODEV) => {}
            Err(errno) => {
                inventory.add_unread(address);
                let answer = crate::text::errno::Answer(errno);
                warn!(
                    "sys/bus/pci/devices/{}: cannot be read: {answer}; left alone",
                    Text(entry)
                );
            }
        }
    })?;
    boot_display::find_boot_displays(root, inventory);
    Ok(())
}

fn read(root: &dyn Root, address: Address) -> Result<Function, Errno> {
    let mut buffer = [0; 256];
    let modalias = root.read(&attribute(address, "modalias"), &mut buffer)?;
    let id = DeviceId::from_modalias(modalias).ok_or(Errno::INVAL)?;
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
        driver,
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

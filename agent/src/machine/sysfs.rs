//! Where sysfs shows PCI functions and their drivers, and what the names of drivers tell.

use core::fmt;

use rustix::io::Errno;

use crate::machine::Root;
use crate::pci::address::Address;
use crate::text::{Bounded, Dec, DriverName, Plain, clip, contains};

/// A path below the root.
pub type Path = Bounded<192>;

/// The longest name of a slot, a label or an ACPI node that a selector may hold: a path with it fits
/// into [`Path`].
pub const NAME_MAX: usize = 96;

/// Where the PCI functions are listed.
pub const DEVICES: &str = "sys/bus/pci/devices";

/// Where the PCI drivers are listed, each with its functions.
pub const DRIVERS: &str = "sys/bus/pci/drivers";

/// Asks the PCI core to find a driver for one address.
pub const DRIVERS_PROBE: &str = "sys/bus/pci/drivers_probe";

/// The directory of a function: a link to where it is.
#[must_use]
pub fn directory(address: Address) -> Path {
    path(format_args!("sys/bus/pci/devices/{address}"))
}

/// The path of an attribute of a function.
#[must_use]
pub fn attribute(address: Address, name: &str) -> Path {
    path(format_args!(
        "sys/bus/pci/devices/{address}/{}",
        Plain(name)
    ))
}

/// The directory of a PCI driver, which exists while the driver is registered.
#[must_use]
pub fn driver_directory(driver: &str) -> Path {
    path(format_args!("sys/bus/pci/drivers/{}", Plain(driver)))
}

/// The directory with the members of an IOMMU group.
#[must_use]
pub fn group_members(group: u32) -> Path {
    path(format_args!(
        "sys/kernel/iommu_groups/{}/devices",
        Dec(group.into())
    ))
}

/// A path from its parts. All of them are bounded (an address, an attribute's or a driver's name),
/// so that nothing is ever cut; a cut path would name no file.
#[must_use]
pub fn path(parts: fmt::Arguments<'_>) -> Path {
    clip(parts)
}

/// The last component of a link's target: the name of a driver, the number of a group.
#[must_use]
pub fn last_component(target: &[u8]) -> &[u8] {
    target.rsplit(|byte| *byte == b'/').next().unwrap_or(target)
}

/// The driver a function is bound to now.
///
/// # Errors
/// What readlink answered; a function without a driver is `Ok(None)`, one that has vanished is
/// `ENODEV`.
pub fn driver_of(root: &dyn Root, address: Address) -> Result<Option<DriverName>, Errno> {
    let mut buffer = [0; 256];
    match root.link(&attribute(address, "driver"), &mut buffer) {
        Ok(target) => Ok(Some(crate::text::name(last_component(target)))),
        // Only this answer says that the function itself, a link in sysfs, is gone.
        Err(Errno::NOENT) => match root.link(&directory(address), &mut buffer) {
            Err(Errno::NOENT) => Err(Errno::NODEV),
            _ => Ok(None),
        },
        Err(errno) => Err(errno),
    }
}

/// Whether a driver is of VFIO's.
#[must_use]
pub fn is_vfio(driver: &[u8]) -> bool {
    contains(driver, b"vfio")
}

/// Whether VFIO accepts a driver beside its own in a group, as far as its name tells.
#[must_use]
pub fn is_harmless(driver: &str) -> bool {
    ["pci-stub", "pcieport"].contains(&driver) || is_vfio(driver.as_bytes())
}

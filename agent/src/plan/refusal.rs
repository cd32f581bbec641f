//! Why a plan does not bind a function: that was asked for, or that shares a group with one.

use core::fmt;

use crate::machine::sysfs::is_harmless;
use crate::pci::address::Address;
use crate::text::{Hex, Plain};

/// Why a function that was asked for is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The kernel has no IOMMU group at all.
    NoIommu,
    /// Others have a group, this one has none.
    NoGroup,
    /// The same for a display of Intel's, which a parameter keeps out of the IOMMU.
    Igfx,
    /// It has none yet; a dry run does not make the kernel give it one.
    NoGroupYet,
    /// Its header type is not 0.
    Bridge,
    /// It belongs to the machine itself and was swept up, not named.
    System,
    /// This member of its group is excluded.
    ExcludedSibling(Address),
    /// This member of its group was not selected, under `vfio.group=strict`.
    UnselectedSibling(Address),
    /// This member of its group is a VMD controller, which holds the PCI domain of what is behind
    /// it: taken from its driver, it takes them all away.
    Vmd(Address),
    /// The machine boots from this member of its group, or its owner protects it.
    Protected(Address),
    /// It is behind this bridge, which is protected.
    Behind(Address),
    /// This member of its group is the display that the machine boots on, and nobody named it.
    BootDisplay(Address),
    /// This member of its group stores, the image has no list of what its system boots from, and
    /// nobody named it one by one.
    Unlisted(Address),
    /// This member of its group came after the first look, and its native driver has had it since: a file
    /// system or a route may be on it, and nobody here knows.
    MayBeInUse(Address),
    /// This vendor and device sit there, and not what the selector names.
    OtherId(u32, u32),
    /// It is excluded or protected, but vfio-pci took it by `vfio_pci.ids=` before this run.
    KernelHasIt,
    /// The policy has an error that may hide an exclusion.
    UnclearPolicy,
}

/// Why a member of a bound group is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// It belongs to the machine itself.
    System,
    /// `vfio.group=listed`, and it is not listed.
    NotListed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIommu => f.write_str("the kernel uses no IOMMU"),
            Self::NoGroup => f.write_str(
                "the kernel gave it no IOMMU group, although other functions have one; vfio-pci \
                 would not take it",
            ),
            Self::Igfx => f.write_str(
                "it has no IOMMU group, as igfx_off on the kernel command line wants it; remove that",
            ),
            Self::NoGroupYet => f.write_str(
                "Linux before 6.15 gives it an IOMMU group only when a driver is first probed for \
                 it; the agent sees to that at boot, a plan does not",
            ),
            Self::Bridge => f.write_str("bridges are never bound; select what is behind it"),
            Self::System => f.write_str(
                "it belongs to the machine itself; name it by address or whole ID to take it",
            ),
            Self::ExcludedSibling(sibling) => write!(
                f,
                "{sibling} of the same IOMMU group is excluded or not what was named; \
                 vfio.group=listed takes the one without the other"
            ),
            Self::UnselectedSibling(sibling) => write!(
                f,
                "vfio.group=strict, and {sibling} of the same IOMMU group is not selected"
            ),
            Self::Vmd(controller) => write!(
                f,
                "it shares its IOMMU group with the VMD controller {controller}; turn VMD off in \
                 the firmware setup, or select the controller with all that is behind it"
            ),
            Self::Protected(member) => write!(
                f,
                "{member} of its IOMMU group is protected; vfio.force takes it all the same"
            ),
            Self::Behind(bridge) => write!(
                f,
                "it is behind {bridge}, which is protected; vfio.force takes it all the same"
            ),
            Self::BootDisplay(display) => write!(
                f,
                "{display} of its IOMMU group is the display that the machine boots on; \
                 vfio.bind={display} takes it as well, as vfio.force does"
            ),
            Self::Unlisted(storage) => write!(
                f,
                "{storage} stores, and this image does not know what its system boots from; name it \
                 by address, path, slot or serial number to take it, or build the image where \
                 `vfio-bind protected` knows"
            ),
            Self::MayBeInUse(member) => write!(
                f,
                "{member} came late, its native driver was faster, and what is mounted or routed is not known \
                 in an image; the running system, which knows, decides: `vfio-bind bind`"
            ),
            Self::OtherId(vendor, device) => write!(
                f,
                "{}:{} sits there now, which is not what the selector names",
                Hex(*vendor, 4),
                Hex(*device, 4)
            ),
            Self::KernelHasIt => f.write_str(
                "the policy leaves it alone, but vfio-pci had it before, by vfio_pci.ids=; select \
                 the others by vfio.bind= alone",
            ),
            Self::UnclearPolicy => {
                f.write_str("the policy has an error that may hide what must be left alone")
            }
        }
    }
}

impl Leave {
    /// Shows why, and what that means for the group with the driver that the function has: one of the host
    /// makes it useless to VFIO.
    pub fn told<'a>(&'a self, driver: Option<&'a str>) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            f.write_str(match self {
                Self::System => "it belongs to the machine itself and stays; ",
                Self::NotListed => "not listed, so it stays; ",
            })?;
            match driver.filter(|driver| !is_harmless(driver)) {
                Some(driver) => {
                    let driver = Plain(driver);
                    write!(f, "{driver} has it, and so the group is not usable")
                }
                None => f.write_str("if a host driver binds it, the group is not usable"),
            }
        })
    }
}

//! What the agent may ask of a machine and do to it.
//!
//! [`Root`] only reads: planning gets no more than that. [`Host`] adds the few ways to change
//! something. Paths are relative to the root and have no leading slash.

use core::fmt;
use core::time::Duration;

use rustix::io::Errno;

use crate::address::Address;
use crate::errno::Answer;
use crate::text::{Bounded, Dec, Name, Plain, clip};

/// A place that looks like a root directory with `sys`, `proc` and `dev`.
pub trait Root {
    /// Reads the start of a file; a result that fills `buffer` may have been cut.
    ///
    /// # Errors
    /// What open or read answered.
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.read_at(path, 0, buffer)
    }

    /// Reads from a place in a file: less than `buffer` holds only at the file's end.
    ///
    /// # Errors
    /// What open or pread answered.
    fn read_at<'b>(&self, path: &str, offset: u32, buffer: &'b mut [u8])
    -> Result<&'b [u8], Errno>;

    /// Reads a symbolic link; `ENOENT` where there is none.
    ///
    /// # Errors
    /// What readlink answered; `ENAMETOOLONG` for a target that does not fit.
    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno>;

    /// Whether something stands at `path`.
    fn exists(&self, path: &str) -> bool;

    /// Calls `each` with the name of every entry of a directory, in the order the system gives.
    ///
    /// # Errors
    /// What open or getdents answered.
    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno>;
}

/// A machine that can be changed.
pub trait Host: Root {
    /// Writes to an existing file in one call, but gives up after `limit`: a driver that never
    /// returns from its remove function, or holds the device lock, would keep the caller for ever.
    /// The write itself may still come to pass then.
    ///
    /// # Errors
    /// What open or write answered; `ETIMEDOUT` at the limit.
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno>;

    /// Reads the start of a file, 256 bytes at most, but gives up after `limit`: to show some
    /// attributes takes the device lock, too.
    ///
    /// # Errors
    /// What open or read answered; `ETIMEDOUT` at the limit.
    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8],
        limit: Duration,
    ) -> Result<&'b [u8], Errno>;

    /// Whether the time is over that this run was given: nothing new is begun then, and what is not
    /// done is undone. Each call is short from then on.
    fn is_late(&self) -> bool;

    /// Loads a module with modprobe, so that modprobe.d counts.
    ///
    /// # Errors
    /// Why the module may not be there.
    fn load_module(&self, name: &str, how: Loading) -> Result<(), LoadError>;

    /// Asks VFIO whether a group is viable (`VFIO_GROUP_GET_STATUS`).
    ///
    /// # Errors
    /// What open or ioctl answered; `ENOENT` where the kernel offers no group node.
    fn group_viable(&self, group: u32) -> Result<bool, Errno>;
}

/// How modprobe is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loading {
    /// Without what modprobe.d has it run in place of loading the module (`--ignore-install`).
    pub ignore_install: bool,
    /// With an empty `ids=`. A later one replaces an earlier one, and what modprobe is given comes after
    /// what it has from modprobe.d and from the kernel command line.
    pub no_ids: bool,
}

impl Loading {
    /// The arguments before and behind the module's name.
    pub fn arguments(self, name: &str) -> impl Iterator<Item = &str> {
        let before = self.ignore_install.then_some("-i");
        let behind = self.no_ids.then_some("ids=");
        [before, Some(name), behind].into_iter().flatten()
    }
}

/// Why a module could not be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// The image has no modprobe.
    NoModprobe,
    /// modprobe could not be started.
    Spawn(Errno),
    /// modprobe ended with this status.
    Status(i32),
    /// modprobe was killed by this signal.
    Signal(i32),
    /// modprobe did not end in time.
    TimedOut,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModprobe => f.write_str("this image has no modprobe; add kmod to it"),
            Self::Spawn(errno) => write!(f, "modprobe could not start: {}", Answer(*errno)),
            Self::Status(status) => {
                write!(
                    f,
                    "modprobe ended with status {}; the module may be missing from this image",
                    Dec(status.unsigned_abs().into())
                )
            }
            Self::Signal(signal) => {
                let signal = Dec(signal.unsigned_abs().into());
                write!(f, "modprobe was killed by signal {signal}")
            }
            Self::TimedOut => f.write_str("modprobe did not end in time"),
        }
    }
}

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
pub fn driver_of(root: &dyn Root, address: Address) -> Result<Option<Name>, Errno> {
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

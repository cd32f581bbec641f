//! Why a function could not be bound.

use core::fmt;

use rustix::io::Errno;

use crate::bind::controls::DRIVER_LIMIT;
use crate::machine::sysfs::driver_of;
use crate::machine::{LoadError, Root};
use crate::pci::address::Address;
use crate::text::errno::Answer;
use crate::text::{Dec, Plain};

/// A write that carries out a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Reading or setting the driver override.
    Override,
    /// Undoing that.
    Restore,
    /// Taking the function from the driver it has.
    Unbind,
    /// Asking the kernel to find its driver.
    Probe,
    /// Reading which driver it has.
    Look,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "write(driver_override)",
            Self::Restore => "write(driver_override) to undo it",
            Self::Unbind => "write(driver/unbind)",
            Self::Probe => "write(drivers_probe)",
            Self::Look => "readlink(driver)",
        })
    }
}

/// Why a function could not be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The system refused a call.
    System(Operation, Errno),
    /// The driver is not registered with the kernel.
    NoDriver(Option<LoadError>),
    /// Every write went well, and the function is not where it should be.
    NotBound,
    /// It is gone.
    Vanished,
    /// Another member of its group could not be bound, so that binding this one is of no use.
    Sibling(Address),
    /// It could not be made ready as `vfio.set=` asks.
    NotPrepared,
    /// The time of the run was over before it was done.
    Late,
}

impl Failure {
    /// Shows what went wrong on the way to `driver`.
    pub fn told<'a>(&'a self, driver: &'a str) -> impl fmt::Display + 'a {
        let driver = Plain(driver);
        fmt::from_fn(move |f| match self {
            Self::System(Operation::Unbind, Errno::TIMEDOUT) => write!(
                f,
                "its driver did not let go within {} s and may never; keep that driver from loading",
                Dec(DRIVER_LIMIT.as_secs())
            ),
            Self::System(act, errno) => write!(f, "{act}: {}", Answer(*errno)),
            Self::NoDriver(Some(error)) => write!(f, "no driver {driver}: {error}"),
            Self::NoDriver(None) => write!(
                f,
                "modprobe {driver} ended well, but no PCI driver has that name; see vfio.driver="
            ),
            Self::NotBound => {
                write!(
                    f,
                    "{driver} did not take it; the kernel log says why above this line"
                )
            }
            Self::Vanished => f.write_str("it has vanished"),
            Self::NotPrepared => {
                f.write_str("it cannot be made ready as vfio.set= asks, as is told above")
            }
            Self::Late => f.write_str("no time was left; what took so long is told as well"),
            Self::Sibling(address) => {
                write!(f, "{address} of the same IOMMU group could not be bound")
            }
        })
    }
}

/// What a call on a function's directory answered. `ENOENT` and `ENODEV` may also speak of what is
/// in it: the function has vanished when its directory has.
pub(crate) fn failure(root: &dyn Root, address: Address, act: Operation, errno: Errno) -> Failure {
    match driver_of(root, address) {
        Err(Errno::NODEV) => Failure::Vanished,
        _ => Failure::System(act, errno),
    }
}

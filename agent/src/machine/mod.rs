//! What the agent may ask of a machine and do to it.
//!
//! [`Root`] only reads: planning gets no more than that. [`Controls`] adds writes, and [`Machine`] the few
//! other ways to change something. Paths are relative to the root and have no leading slash.

pub mod alias_index;
pub mod boot_display;
pub mod deadline;
pub mod inventory;
pub mod iommu;
pub mod sriov;
pub mod stage;
pub mod survey;
pub mod sysfs;
pub mod tree;
pub mod way;

use core::fmt;
use core::time::Duration;

use rustix::io::Errno;

use crate::text::Dec;
use crate::text::errno::Answer;

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

    /// How many directories a directory has, where the file system counts them: in its links, of which two
    /// are its own and its parent's (sysfs does, `kernfs_refresh_inode` in fs/kernfs/inode.c). `None` where
    /// it has none, or does not count them.
    fn folders(&self, _path: &str) -> Option<u32> {
        None
    }
}

/// The most that [`Controls::read_within`] reads.
pub const SHOWN_MOST: usize = 256;

/// The attributes of a machine, which can be changed.
pub trait Controls: Root {
    /// Writes to an existing file in one call, but gives up after `limit`: a driver that never
    /// returns from its remove function, or holds the device lock, would keep the caller for ever.
    /// The write itself may still come to pass then.
    ///
    /// # Errors
    /// What open or write answered; `ETIMEDOUT` at the limit.
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno>;

    /// Reads the start of a file, but gives up after `limit`: to show some attributes takes the device
    /// lock, too.
    ///
    /// # Errors
    /// What open or read answered; `ETIMEDOUT` at the limit.
    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8; SHOWN_MOST],
        limit: Duration,
    ) -> Result<&'b [u8], Errno>;
}

/// A machine that can be changed.
pub trait Machine: Controls {
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

//! The running machine: a directory tree, and what sysfs alone cannot do.

use core::cell::Cell;
use core::ffi::CStr;
use core::time::Duration;

use crate::children::wait;
use crate::helper::Helper;
use crate::sys::{self, Forked};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::thread::{Timespec, nanosleep};
use vfio_bind_agent::machine::sysfs::path;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Controls, LoadError, Loading, Machine, Root, SHOWN_MOST, deadline};
use vfio_bind_agent::text::Dec;

/// How long modprobe may take: slow storage and a large module under emulation need seconds.
const MODPROBE_LIMIT: Duration = Duration::from_secs(30);

/// Where initramfs images keep modprobe; the kernel's own choice is asked first.
static MODPROBES: [&CStr; 4] = [
    c"/sbin/modprobe",
    c"/usr/sbin/modprobe",
    c"/bin/modprobe",
    c"/usr/bin/modprobe",
];

/// The machine this program runs on.
pub struct Running {
    tree: Tree,
    /// Makes the calls that may never return, once there was one.
    helper: Cell<Option<Helper>>,
    /// When what is not begun is not begun any more, in microseconds of the clock.
    end: u64,
}

impl Running {
    /// Opens the root directory; the policy's files are taken from `given` where that is a directory.
    /// What is done to it may take as long as `within`.
    pub fn open(given: Option<&CStr>, within: Duration) -> Result<Self, Errno> {
        let tree = Tree::open(c"/")?;
        Ok(Self {
            end: sys::clock_us().saturating_add(within.as_micros() as u64),
            helper: Cell::new(None),
            tree: match given {
                Some(directory) => tree.with_policy_in(directory.to_bytes()),
                None => tree,
            },
        })
    }

    /// Its files.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(helper) = self.helper.take() {
            helper.dismiss();
        }
    }
}

impl Root for Running {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        self.tree.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.tree.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.tree.exists(path)
    }

    fn folders(&self, path: &str) -> Option<u32> {
        self.tree.folders(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        self.tree.list(path, each)
    }
}

impl Controls for Running {
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        self.call(path, data, &mut [], limit).map(drop)
    }

    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8; SHOWN_MOST],
        limit: Duration,
    ) -> Result<&'b [u8], Errno> {
        let length = self.call(path, b"", buffer, limit)?;
        Ok(buffer.get(..length.into()).unwrap_or_default())
    }
}

impl Machine for Running {
    fn is_late(&self) -> bool {
        sys::clock_us() >= self.end
    }

    fn load_module(&self, name: &str, how: Loading) -> Result<(), LoadError> {
        let mut buffer = [0; 256];
        let kernels = self
            .tree
            .read("proc/sys/kernel/modprobe", &mut buffer)
            .unwrap_or_default();
        let mut chosen = [0; 257];
        let modprobe = kernels_choice(kernels, &mut chosen)
            .filter(|choice| self.is_program(choice))
            .or_else(|| {
                MODPROBES
                    .iter()
                    .copied()
                    .find(|candidate| self.is_program(candidate))
            })
            .ok_or(LoadError::NoModprobe)?;
        let mut arguments = sys::Arguments::new();
        let fits = ["modprobe"]
            .into_iter()
            .chain(how.arguments(name))
            .all(|text| arguments.push(text));
        if !fits {
            return Err(LoadError::Spawn(Errno::TOOBIG));
        }
        let child = match sys::fork().map_err(LoadError::Spawn)? {
            Forked::Parent(child) => child,
            Forked::Child => {
                // What modprobe complains of belongs beside the lines of this program.
                if let Ok(log) = self.tree.open_node("dev/kmsg") {
                    let _ = rustix::stdio::dup2_stdout(&log);
                    let _ = rustix::stdio::dup2_stderr(&log);
                }
                sys::exec(modprobe, &arguments)
            }
        };
        let Some(status) = wait(child, self.limit(MODPROBE_LIMIT)).map_err(LoadError::Spawn)?
        else {
            let _ = rustix::process::kill_process(child, Signal::KILL);
            return Err(LoadError::TimedOut);
        };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => Ok(()),
            (Some(sys::EXEC_FAILED), _) => Err(LoadError::Spawn(Errno::NOEXEC)),
            (Some(status), _) => Err(LoadError::Status(status)),
            (None, signal) => Err(LoadError::Signal(signal.unwrap_or_default())),
        }
    }

    fn group_viable(&self, group: u32) -> Result<bool, Errno> {
        let node = path(format_args!("dev/vfio/{}", Dec(group.into())));
        sys::group_is_viable(&self.tree.open_node(&node)?)
    }
}

impl Running {
    /// Has the helper write `data`, or read where there is none; gives how much was read.
    fn call(
        &self,
        path: &str,
        data: &[u8],
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<u16, Errno> {
        let helper = match self.helper.take() {
            Some(helper) => helper,
            None => Helper::start()?,
        };
        let answer = helper.call(path, data, buffer, self.limit(limit));
        // One that is stuck, or no more, is left.
        if !matches!(answer, Err(Errno::TIMEDOUT | Errno::INTR)) {
            core::mem::forget(self.helper.replace(Some(helper)));
        }
        answer
    }

    /// How long a call may take that may take `limit`.
    fn limit(&self, limit: Duration) -> Duration {
        deadline::limit(limit, sys::clock_us(), self.end)
    }

    fn is_program(&self, path: &CStr) -> bool {
        use rustix::fs::{Access, access};
        access(path, Access::EXEC_OK).is_ok()
    }
}

/// The program that the kernel itself would run to load a module, without its line end.
fn kernels_choice<'b>(text: &[u8], buffer: &'b mut [u8]) -> Option<&'b CStr> {
    let text = text.trim_ascii_end();
    buffer.get_mut(..text.len())?.copy_from_slice(text);
    CStr::from_bytes_until_nul(buffer)
        .ok()
        .filter(|choice| !choice.is_empty())
}

/// Sleeps for so many microseconds, or less if a signal comes; they are less than a second.
pub fn pause(us: u64) {
    let _ = nanosleep(&Timespec {
        tv_sec: 0,
        tv_nsec: (1000 * us) as i64,
    });
}

//! As the first process of an image that knows nothing of vfio-bind (`rdinit=`): the work is done in
//! a child, so that whatever happens to it, the image's own init follows.

use core::ffi::CStr;
use core::time::Duration;

use crate::children::wait;
use crate::logger::{self, Sink};
use crate::place;
use crate::running::pause;
use crate::sys::{self, Forked, Start};
use crate::work::{self, Task};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;
use vfio_bind_agent::error;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND};
use vfio_bind_agent::text::Dec;
use vfio_bind_agent::text::errno::Answer;

/// How long the work is waited for before the boot goes on without it; it may take the usual time.
const WORK_LIMIT: Duration = Duration::from_secs(90);

/// How long its end is waited for then: one that hangs in the kernel has none.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// How often it is looked for the /run that the image's init mounts: for 30 seconds.
const RUN_TRIES: u32 = 15_000;
const RUN_PAUSE_US: u64 = 2000;

/// What the kernel itself would try, without and with a root file system (init/main.c).
static INITS: [&CStr; 5] = [
    c"/init",
    c"/sbin/init",
    c"/etc/init",
    c"/bin/init",
    c"/bin/sh",
];

/// A file system that the work needs.
struct Needed {
    name: &'static CStr,
    directory: &'static CStr,
}

/// It also tells who this process 1 is, so that nothing else is mounted where it is not the machine's.
static PROC: Needed = Needed {
    name: c"proc",
    directory: c"/proc",
};

static OTHERS: [Needed; 2] = [
    Needed {
        name: c"sysfs",
        directory: c"/sys",
    },
    // An image may have a /dev of its own, with a few nodes and without those of vfio.
    Needed {
        name: c"devtmpfs",
        directory: c"/dev",
    },
];

/// Does the work and becomes the image's own init, where this is the first process that the kernel
/// started. Returns only if it is not, or if there is no init.
pub fn run(start: &Start) -> Option<u8> {
    let proc = PROC.mount();
    if !is_first(proc) {
        PROC.unmount(proc);
        return None;
    }
    let mounted = OTHERS.each_ref().map(Needed::mount);
    logger::send_to(Sink::KernelLog);
    work_in_child();
    for (needed, mounted) in OTHERS.iter().zip(mounted) {
        needed.unmount(mounted);
    }
    PROC.unmount(proc);
    if rustix::fs::access(INITS[0], rustix::fs::Access::EXEC_OK).is_err() {
        error!("access(/init): it is not there or not executable; trying what the kernel tries");
    }
    for init in &INITS {
        let _ = start.become_program(init);
    }
    Some(EXIT_NOT_BOUND)
}

/// Whether this process 1 is the machine's, and not that of a container, whose kernel has a PID
/// namespace of its own for it. `rdinit=` and `init=` are the only ways to be it.
fn is_first(proc: Mounted) -> bool {
    match place::is_first_namespace() {
        Ok(first) => first,
        // A container may not mount; a kernel without a procfs cannot, and has no namespaces to show.
        Err(_) => proc == Mounted::Refused(Errno::NODEV),
    }
}

fn work_in_child() {
    match sys::fork() {
        Ok(Forked::Child) => sys::exit(work::apply(&Task::FIRST, &keep_for_run)),
        Ok(Forked::Parent(child)) => match wait(child, WORK_LIMIT) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let limit = Dec(WORK_LIMIT.as_secs());
                error!("gave up after {limit} s; what was set stays so, and the boot goes on");
                // What it would do now, it would do without /sys and beside the native drivers.
                let _ = rustix::process::kill_process(child, Signal::KILL);
                let _ = wait(child, KILL_LIMIT);
            }
            Err(errno) => error!("wait: {}; the boot goes on", Answer(errno)),
        },
        Err(errno) => error!(
            "clone: {}; nothing is done, the boot goes on",
            Answer(errno)
        ),
    }
}

/// What became of the wish to have a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mounted {
    /// It was there before.
    Before,
    /// It is now, on a directory that was there.
    Now,
    /// It is now, on a directory that was not.
    OnNew,
    /// What mount answered. The work finds out what it lacks and says so.
    Refused(Errno),
}

impl Needed {
    fn mount(&self) -> Mounted {
        if place::is_mounted(self.directory) {
            return Mounted::Before;
        }
        let made = rustix::fs::mkdir(self.directory, Mode::from_raw_mode(0o755)).is_ok();
        let flags = MountFlags::empty();
        match mount(self.name, self.directory, self.name, flags, None) {
            Ok(()) if made => Mounted::OnNew,
            Ok(()) => Mounted::Now,
            Err(errno) => {
                if made {
                    let _ = rustix::fs::rmdir(self.directory);
                }
                Mounted::Refused(errno)
            }
        }
    }

    /// Leaves all as it was.
    fn unmount(&self, mounted: Mounted) {
        if matches!(mounted, Mounted::Now | Mounted::OnNew) {
            // Detached: what the child left running may still look at it.
            let _ = unmount(self.directory, UnmountFlags::DETACH);
        }
        if mounted == Mounted::OnNew {
            let _ = rustix::fs::rmdir(self.directory);
        }
    }
}

/// Writes the report once the image's init has mounted /run: what is written before would be
/// hidden below it. The caller does not wait for that.
fn keep_for_run(write: &dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    if place::is_mounted(c"/run") {
        return write();
    }
    if let Forked::Parent(_) = sys::fork()? {
        return Ok(());
    }
    for _ in 0..RUN_TRIES {
        pause(RUN_PAUSE_US);
        if place::is_mounted(c"/run") {
            let _ = write();
            break;
        }
    }
    sys::exit(EXIT_DONE)
}

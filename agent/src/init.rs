//! As the first process of an image that knows nothing of vfio-bind (`rdinit=`): the work is done in
//! a child, so that whatever happens to it, the image's own init follows.

use core::ffi::CStr;
use core::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use vfio_bind::errno::Answer;
use vfio_bind::error;
use vfio_bind::record::EXIT_DONE;

use crate::command;
use crate::logger::{self, Place};
use crate::machine::{pause, wait};
use crate::sys::{self, Forked, Start};

/// How long the work may take before the boot goes on without it.
const WORK_LIMIT: Duration = Duration::from_secs(90);

/// How often it is looked for the /run that the image's init mounts: for 30 seconds.
const RUN_TRIES: u32 = 15_000;
const RUN_PAUSE: Duration = Duration::from_millis(2);

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
    /// What stands in it once it is mounted.
    sign: &'static CStr,
}

static NEEDED: [Needed; 3] = [
    Needed {
        name: c"proc",
        directory: c"/proc",
        sign: c"/proc/cmdline",
    },
    Needed {
        name: c"sysfs",
        directory: c"/sys",
        sign: c"/sys/bus",
    },
    Needed {
        name: c"devtmpfs",
        directory: c"/dev",
        sign: c"/dev/kmsg",
    },
];

/// Does the work and becomes the image's own init. Returns only if there is none.
pub fn run(start: &Start) -> u8 {
    let mounted = NEEDED.each_ref().map(Needed::mount);
    logger::send_to(Place::KernelLog);
    match sys::fork() {
        Ok(Forked::Child) => sys::exit(command::apply(None, &keep_for_run)),
        Ok(Forked::Parent(child)) => match wait(child, WORK_LIMIT) {
            Ok(Some(_)) => {}
            Ok(None) => error!("gave up after {} s; the boot goes on", WORK_LIMIT.as_secs()),
            Err(errno) => error!("wait: {}; the boot goes on", Answer(errno)),
        },
        Err(errno) => error!(
            "clone: {}; nothing is done, the boot goes on",
            Answer(errno)
        ),
    }
    if rustix::fs::access(INITS[0], rustix::fs::Access::EXEC_OK).is_err() {
        error!("access(/init): it is not there or not executable; trying what the kernel tries");
    }
    for (needed, mounted) in NEEDED.iter().zip(mounted).rev() {
        if mounted.is_some() {
            // Detached: what the child left running may still look at it.
            let _ = unmount(needed.directory, UnmountFlags::DETACH);
        }
        if mounted == Some(Directory::Made) {
            let _ = rustix::fs::rmdir(needed.directory);
        }
    }
    for init in &INITS {
        let _ = start.become_program(init);
    }
    command::NO_INIT
}

/// Whether a directory was there to mount on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directory {
    Found,
    Made,
}

impl Needed {
    /// Mounts it unless it is mounted; tells whether that was so, and whether the directory is new.
    fn mount(&self) -> Option<Directory> {
        if rustix::fs::access(self.sign, rustix::fs::Access::EXISTS).is_ok() {
            return None;
        }
        let directory = match rustix::fs::mkdir(self.directory, Mode::from_raw_mode(0o755)) {
            Ok(()) => Directory::Made,
            Err(_) => Directory::Found,
        };
        match mount(
            self.name,
            self.directory,
            self.name,
            MountFlags::empty(),
            None,
        ) {
            Ok(()) => Some(directory),
            // The work finds out what it lacks and says so.
            Err(_) if directory == Directory::Found => None,
            Err(_) => {
                let _ = rustix::fs::rmdir(self.directory);
                None
            }
        }
    }
}

/// Writes the report once the image's init has mounted /run: what is written before would be
/// hidden below it. The caller does not wait for that.
fn keep_for_run(write: &dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    if is_mounted(c"/run") {
        return write();
    }
    if let Forked::Parent(_) = sys::fork()? {
        return Ok(());
    }
    for _ in 0..RUN_TRIES {
        pause(RUN_PAUSE);
        if is_mounted(c"/run") {
            let _ = write();
            break;
        }
    }
    sys::exit(EXIT_DONE)
}

/// Whether something is mounted on a directory of the root.
fn is_mounted(directory: &CStr) -> bool {
    let device = |path: &CStr| rustix::fs::stat(path).map(|stat| stat.st_dev);
    matches!((device(directory), device(c"/")), (Ok(this), Ok(root)) if this != root)
}

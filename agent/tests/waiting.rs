//! How the executable waits: it has no tests itself.

use rustix::io::Errno;

#[path = "../src/boot/sys/waiting.rs"]
mod waiting;

// What the module has around it there.
const SIGCHLD: usize = 17;

fn errno(error: syscalls::Errno) -> Errno {
    Errno::from_raw_os_error(error.into_raw())
}

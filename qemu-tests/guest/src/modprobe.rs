//! In place of modprobe (`sysctl.kernel.modprobe=/init`) for an agent that works before the image's
//! init does: who asks is stopped, and so hangs in spite of every limit of its own.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::files;
use crate::kmod::MODPROBE;
use crate::program::AGENT;

/// Does it where this program is started as modprobe; gives its status.
pub(crate) fn start() -> Option<i32> {
    let mut words = env::args();
    let name = words.next()?;
    let arguments: Vec<String> = words.collect();
    // The kernel itself gives it its path for a name.
    let is_kernels = arguments.first().is_some_and(|word| word == "-q");
    if name != "modprobe" && !is_kernels {
        return None;
    }
    if fs::read_link("/proc/1/exe").is_ok_and(|first| first == Path::new(AGENT)) {
        return Some(match kill(Pid::parent(), Signal::SIGSTOP) {
            Ok(()) => 0,
            Err(errno) => errno as i32,
        });
    }
    if let Err(error) = files::no_signal_held_back() {
        eprintln!("guest-init: modprobe: {error:#}");
        return Some(1);
    }
    let error = Command::new(MODPROBE).args(arguments).exec();
    eprintln!("guest-init: exec({MODPROBE}): {error}");
    Some(1)
}

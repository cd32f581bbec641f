//! The end of a kernel, and the start of the one that would save its memory.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use nix::libc;
use qemu_tests::protocol::{CRASH_IMAGE, CRASH_KERNEL};

use crate::channel::Channel;
use crate::files;

/// `KEXEC_FILE_ON_CRASH` in include/uapi/linux/kexec.h.
const ON_CRASH: libc::c_ulong = 2;

/// The number of the call, which the C library's names lack on one architecture
/// (arch/s390/kernel/syscalls/syscall.tbl, Linux 6.12).
#[cfg(target_arch = "s390x")]
const KEXEC_FILE_LOAD: libc::c_long = 381;
#[cfg(not(target_arch = "s390x"))]
const KEXEC_FILE_LOAD: libc::c_long = libc::SYS_kexec_file_load;

/// Crashes into the other kernel, which gets the command line of this one; returns only where that fails.
pub(crate) fn crash(channel: &Channel) -> Result<()> {
    let line = files::read("/proc/cmdline")?;
    let words = line.split_whitespace();
    let words = words.filter(|word| !word.starts_with("crashkernel="));
    // In front: a bare `--` ends the kernel's part.
    let line = [channel.continuation().as_str()]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ");
    load(&line)?;
    fs::write("/proc/sysrq-trigger", "c").context("write(/proc/sysrq-trigger, c)")?;
    bail!("the kernel lives on after a panic that was asked for")
}

fn load(line: &str) -> Result<()> {
    let open = |path| File::open(path).with_context(|| format!("open({path})"));
    let (kernel, image) = (open(CRASH_KERNEL)?, open(CRASH_IMAGE)?);
    let line = CString::new(line).context("a command line")?;
    // SAFETY: the kernel reads the line, which lives until the call returns, with its closing zero byte.
    let answer = unsafe {
        libc::syscall(
            KEXEC_FILE_LOAD,
            kernel.as_raw_fd(),
            image.as_raw_fd(),
            line.as_bytes_with_nul().len(),
            line.as_ptr(),
            ON_CRASH,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).context("kexec_file_load"),
    }
}

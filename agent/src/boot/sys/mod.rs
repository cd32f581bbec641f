//! What has no safe form: start-up, the memory functions that the compiler calls, the logger,
//! fork, exec, waiting and one ioctl. Nothing else in the project is `unsafe` at boot.

use core::cell::RefCell;
use core::ffi::{CStr, c_char};
use core::ptr;

use log::Log;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use syscalls::{Sysno, syscall};

mod entry;
mod memory;
mod room;
mod start;
mod waiting;

pub use room::room;
pub use start::Start;
pub use waiting::{ChildSignal, is_readable_within};

/// What tells a process that a child has ended.
const SIGCHLD: usize = 17;

fn errno(error: syscalls::Errno) -> Errno {
    Errno::from_raw_os_error(error.into_raw())
}

/// Microseconds of the monotonic clock.
pub fn clock_us() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0i64; 2];
    // SAFETY: the kernel writes a timespec, two 64-bit numbers on every 64-bit Linux, to `time`.
    let answer = unsafe { syscall!(Sysno::clock_gettime, CLOCK_MONOTONIC, time.as_mut_ptr()) };
    let [seconds, nanoseconds] = time;
    match answer {
        Ok(_) => seconds.unsigned_abs() * 1_000_000 + nanoseconds.unsigned_abs() / 1000,
        Err(_) => 0,
    }
}

/// Ends the process.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: exit_group takes a number and does not return.
        let _ = unsafe { syscall!(Sysno::exit_group, usize::from(status)) };
    }
}

/// Sets the logger; true for the first one only.
///
/// `log::set_logger` needs an atomic exchange. On AArch64 that is a call of a compiler's helper
/// which asks the C library what the processor can do: there is none here. Elsewhere it is smaller.
pub fn set_logger(logger: &'static dyn Log) -> bool {
    if cfg!(target_arch = "aarch64") {
        // SAFETY: this process has one thread, so nothing else can set a logger meanwhile.
        unsafe { log::set_logger_racy(logger) }.is_ok()
    } else {
        log::set_logger(logger).is_ok()
    }
}

/// Something that the whole program changes.
pub struct Shared<T>(RefCell<T>);

// SAFETY: this process has one thread, and a child of a fork its own copy.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// With this in it.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Uses it; `None` where somebody up the stack does so already.
    pub fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0
            .try_borrow_mut()
            .ok()
            .map(|mut value| act(&mut value))
    }
}

/// Makes up for what whoever started this program left undone or set otherwise: closed standard
/// descriptors, whose numbers the files that are opened next would get, and ended children that are
/// not kept for [`wait`](crate::children::wait) because SIGCHLD is ignored.
pub fn settle_in() {
    /// A `struct sigaction` of zeros is `SIG_DFL` with no flag and no mask, whatever the order of its
    /// fields (include/linux/signal_types.h).
    const DEFAULT: [usize; 4] = [0; 4];
    const SET_SIZE: usize = 8;
    // SAFETY: the kernel reads the action and writes nothing, as there is no place for the old one.
    let _ = unsafe { syscall!(Sysno::rt_sigaction, SIGCHLD, DEFAULT.as_ptr(), 0, SET_SIZE) };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // A path alone can be neither read nor written, and the directory is always there.
    while let Ok(place) = rustix::fs::open(c"/", flags, Mode::empty())
        && place.as_raw_fd() <= 2
    {
        core::mem::forget(place);
    }
}

/// Which side of a fork this is.
pub enum Forked {
    /// The old process, with the new one's id.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Makes a copy of this process.
///
/// # Errors
/// What clone answered.
pub fn fork() -> Result<Forked, Errno> {
    // SAFETY: without CLONE_VM the child runs on its own copy of this stack; the process has one
    // thread and no libc whose state a fork could tear. The other arguments of clone are unused
    // without their flags; s390x takes the stack before the flags.
    let answer = unsafe {
        if cfg!(target_arch = "s390x") {
            syscall!(Sysno::clone, 0, SIGCHLD, 0, 0, 0)
        } else {
            syscall!(Sysno::clone, SIGCHLD, 0, 0, 0, 0)
        }
    };
    let child = answer.map_err(errno)?;
    Ok(match i32::try_from(child).ok().and_then(Pid::from_raw) {
        Some(child) => Forked::Parent(child),
        None => Forked::Child,
    })
}

/// The status of a child whose exec failed, as shells have it.
pub const EXEC_FAILED: i32 = 127;

/// The arguments of a program: up to [`Arguments::MOST`] texts, NUL-terminated in one buffer.
pub struct Arguments {
    text: heapless::Vec<u8, 256>,
    count: usize,
}

impl Arguments {
    const MOST: usize = 7;

    /// No arguments.
    pub const fn new() -> Self {
        Self {
            text: heapless::Vec::new(),
            count: 0,
        }
    }

    /// Adds one; false if it has no room or contains a NUL.
    #[must_use]
    pub fn push(&mut self, argument: &str) -> bool {
        let fits = self.count < Self::MOST
            && !argument.contains('\0')
            && self.text.len() + argument.len() < self.text.capacity();
        if fits {
            // It was just seen to fit.
            let _ = self.text.extend_from_slice(argument.as_bytes());
            let _ = self.text.push(0);
            self.count += 1;
        }
        fits
    }

    /// The pointers that execve wants, with the null one at their end.
    fn pointers(&self) -> [*const c_char; Self::MOST + 1] {
        let mut pointers = [ptr::null(); Self::MOST + 1];
        let starts = self.text.split_inclusive(|byte| *byte == 0);
        for (pointer, argument) in pointers.iter_mut().zip(starts.take(Self::MOST)) {
            *pointer = argument.as_ptr().cast();
        }
        pointers
    }
}

/// Becomes another program, with a minimal environment; ends the process if that fails.
pub fn exec(program: &CStr, arguments: &Arguments) -> ! {
    let argv = arguments.pointers();
    let path = c"PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    let envp = [path.as_ptr(), ptr::null()];
    // SAFETY: `program`, `argv` and `envp` are NUL-terminated, and outlive the call.
    let _ = unsafe {
        syscall!(
            Sysno::execve,
            program.as_ptr(),
            argv.as_ptr(),
            envp.as_ptr()
        )
    };
    exit(EXEC_FAILED.unsigned_abs() as u8)
}

/// Asks a VFIO group node whether its group is viable.
///
/// # Errors
/// What ioctl answered.
pub fn group_is_viable(node: &impl AsFd) -> Result<bool, Errno> {
    /// `_IO(VFIO_TYPE, VFIO_BASE + 3)`, include/uapi/linux/vfio.h.
    const VFIO_GROUP_GET_STATUS: usize = (b';' as usize) << 8 | (100 + 3);
    const VFIO_GROUP_FLAGS_VIABLE: u32 = 1;
    /// `struct vfio_group_status`.
    #[repr(C)]
    struct Status {
        argsz: u32,
        flags: u32,
    }
    let mut status = Status {
        argsz: size_of::<Status>() as u32,
        flags: 0,
    };
    let fd = node.as_fd().as_raw_fd();
    // SAFETY: the ioctl writes at most `argsz` bytes to `status`.
    unsafe { syscall!(Sysno::ioctl, fd, VFIO_GROUP_GET_STATUS, &raw mut status) }.map_err(errno)?;
    Ok(status.flags & VFIO_GROUP_FLAGS_VIABLE != 0)
}

/// Standard output.
pub fn stdout() -> BorrowedFd<'static> {
    // SAFETY: as for `standard`.
    unsafe { standard(1) }
}

/// Standard error.
pub fn stderr() -> BorrowedFd<'static> {
    // SAFETY: as for `standard`.
    unsafe { standard(2) }
}

/// # Safety
/// `fd` is a standard descriptor. [`settle_in`] has opened it where it was closed, and nothing in this
/// program closes it.
unsafe fn standard(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: the caller vouches for it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

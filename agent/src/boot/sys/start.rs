//! From the kernel's first instruction to `main`, and the end of a panic.

use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

use crate::command;
use rustix::io::Errno;
use syscalls::{Sysno, syscall};
use vfio_bind_agent::error;
use vfio_bind_agent::text::{Dec, Plain};

/// The kernel enters here, with the argument count, the arguments and a null pointer on the stack
/// (System V ABI, "Initial Process Stack"; the same for AArch64 and s390x).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "xor ebp, ebp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {start}",
        "ud2",
        start = sym start,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "mov x29, xzr",
        "mov x30, xzr",
        "mov x0, sp",
        "b {start}",
        start = sym start,
    );
    // A function stores its registers in 160 bytes that its caller provides; a zero in their first
    // word, the back chain, ends the chain of frames (s390x ELF ABI, "Stack frame allocation").
    #[cfg(target_arch = "s390x")]
    core::arch::naked_asm!(
        "lgr %r2, %r15",
        "aghi %r15, -160",
        "xc 0(8, %r15), 0(%r15)",
        "jg {start}",
        start = sym start,
    );
}

/// # Safety
/// `stack` is where the kernel put the argument count.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the caller vouches for the count; the arguments and a null pointer follow it, and
    // then the environment and another one. All of it lives as long as the process.
    let start = unsafe {
        let count = *stack;
        let argv = stack.add(1).cast::<*const c_char>();
        Start {
            argv,
            envp: argv.add(count + 1),
            count,
        }
    };
    super::exit(command::main(&start))
}

/// What the kernel handed to this process.
pub struct Start {
    argv: *const *const c_char,
    envp: *const *const c_char,
    count: usize,
}

impl Start {
    /// The arguments, the program's name first.
    pub fn arguments(&self) -> impl Iterator<Item = &'static CStr> {
        // SAFETY: only `start` makes one of these, from what the kernel put there.
        let arguments = unsafe { core::slice::from_raw_parts(self.argv, self.count) };
        arguments.iter().map(|argument| {
            // SAFETY: as above.
            unsafe { CStr::from_ptr(*argument) }
        })
    }

    /// Becomes another program with the same arguments and environment, but for its own name;
    /// returns only if that fails.
    pub fn become_program(&self, program: &CStr) -> Errno {
        if self.count > 0 {
            // SAFETY: there is a first argument, and the kernel put it on this process's own
            // stack. busybox goes by the name it is called.
            unsafe { self.argv.cast_mut().write(program.as_ptr()) };
        }
        // SAFETY: all three are what execve wants, by the kernel's own making.
        let answer = unsafe { syscall!(Sysno::execve, program.as_ptr(), self.argv, self.envp) };
        answer.map_or_else(super::errno, |_| Errno::IO)
    }
}

/// Nothing panics on purpose. Should it happen, it is told, and the boot goes on.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The message itself would bring in its formatting for every bounds check: 2 KiB.
    match info.location() {
        Some(place) => {
            let (file, line) = (Plain(place.file()), Dec(place.line().into()));
            let column = Dec(place.column().into());
            error!("internal error at {file}:{line}:{column}; please report it");
        }
        None => error!("internal error; please report it"),
    }
    super::exit(vfio_bind_agent::record::EXIT_NOT_BOUND)
}

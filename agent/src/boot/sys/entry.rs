//! From the kernel's first instruction to `main`, and the end of a panic.

use core::panic::PanicInfo;

use vfio_bind_agent::error;
use vfio_bind_agent::text::{Dec, Plain};

use super::Start;
use crate::command;

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
    // SAFETY: the caller vouches for it.
    let start = unsafe { Start::new(stack) };
    super::exit(command::main(&start))
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

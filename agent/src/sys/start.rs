//! From the kernel's first instruction to `main`, and the end of a panic.

use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

use vfio_bind::error;

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
}

/// # Safety
/// `stack` is where the kernel put the argument count.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the count is there, and as many pointers to NUL-terminated strings behind it, all of
    // which live as long as the process.
    let arguments = unsafe {
        let count = *stack;
        core::slice::from_raw_parts(stack.add(1).cast::<*const c_char>(), count)
    };
    let arguments = arguments.iter().skip(1).map(|argument| {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(*argument) }
    });
    super::exit(command::main(arguments))
}

/// Nothing panics on purpose. Should it happen, it is told, and the boot goes on.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The message itself would bring in its formatting for every bounds check: 2 KiB.
    match info.location() {
        Some(place) => error!("internal error at {place}; please report it"),
        None => error!("internal error; please report it"),
    }
    super::exit(vfio_bind::record::EXIT_NOT_BOUND)
}

//! What the kernel hands to a process.

use core::ffi::{CStr, c_char};

use rustix::io::Errno;
use syscalls::{Sysno, syscall};

/// What the kernel handed to this process.
pub struct Start {
    argv: *const *const c_char,
    envp: *const *const c_char,
    count: usize,
}

impl Start {
    /// # Safety
    /// `stack` is where the kernel put the argument count.
    pub(super) unsafe fn new(stack: *const usize) -> Self {
        // SAFETY: the caller vouches for the count; the arguments and a null pointer follow it, and
        // then the environment and another one. All of it lives as long as the process.
        unsafe {
            let count = *stack;
            let argv = stack.add(1).cast::<*const c_char>();
            Self {
                argv,
                envp: argv.add(count + 1),
                count,
            }
        }
    }

    /// The arguments, the program's name first.
    pub fn arguments(&self) -> impl Iterator<Item = &'static CStr> {
        // SAFETY: only `new` makes one of these, from what the kernel put there.
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

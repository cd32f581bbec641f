//! The memory functions of the executable, beside those of this machine's C library: the executable
//! itself has no tests.

#[path = "../src/boot/sys/memory.rs"]
mod memory;

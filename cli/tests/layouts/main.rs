//! Layouts of disks, each a directory tree as the kernel would show it, and what of them is
//! protected.

mod disks;
mod system;

//! Layouts of disks, each a directory tree as the kernel would show it, and what of them is
//! protected.

mod disks;
mod groups;
mod in_use;
mod moved;
mod network;
mod second_devices;
mod system;
mod wanted;

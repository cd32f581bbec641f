//! What the command `vfio-bind` does, under any root directory.
//!
//! [`storage`] goes from what is mounted and swapped to through the layers of block devices to the
//! PCI functions that carry it. [`usage`] is who uses a function otherwise. [`preview`] is what a running
//! system adds to a plan, [`doctor`] every check of a machine, [`status`] what a boot did by its [`records`],
//! [`next`] what comes once a device is bound, [`capture`] a whole system in a file.
//! [`inventory`] is all functions of a machine, [`names`] what people call them, [`terminal`] how output looks,
//! [`topics`] what one has to know. [`commands`] has a
//! file for each command, with its options, and [`arguments`] the list of them.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod capture;
pub mod commands;
pub mod doctor;
pub mod inventory;
pub mod names;
pub mod next;
pub mod preview;
pub mod records;
pub mod status;
pub mod storage;
pub mod terminal;
pub mod topics;
pub mod usage;

/// What the system answered to the agent's library.
fn system(errno: rustix::io::Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw_os_error())
}

//! What the command `vfio-bind` does, under any root directory.
//!
//! [`storage`] goes from what is mounted and swapped to through the layers of block devices to the
//! PCI functions that carry it. [`usage`] is who uses a function otherwise. [`preview`] is what a running
//! system adds to a plan, and [`image`] what the next boot has of policy and protections. [`facts`] is what there is
//! to say of a machine to its owner, [`listing`] says it in lines and [`page`] draws it. [`words`] turns devices into words
//! for the kernel command line, [`imports`] what other managers hold, and [`choice`] asks on the terminal. [`loader`] knows
//! where boot loaders keep the kernel command line, and [`setup`] writes it. [`whole`] writes files. [`names`] is what people
//! call devices, [`terminal`] how output looks, [`topics`] what one has to know. [`commands`] has a file for each command,
//! with its options, and [`arguments`] the list of them.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod choice;
pub mod commands;
pub mod facts;
pub mod image;
pub mod imports;
pub mod listing;
pub mod loader;
pub mod names;
pub mod page;
pub mod preview;
pub mod records;
pub mod setup;
pub mod storage;
pub mod terminal;
pub mod topics;
pub mod usage;
pub mod whole;
pub mod words;

/// What the system answered to the agent's library.
fn system(errno: rustix::io::Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw_os_error())
}

//! What the command `vfio-bind` does, under any root directory.
//!
//! [`arguments`] is the list of [`commands`], and each of those a file with its options. They stand on rooms of three
//! kinds:
//!
//! - what a machine is: [`storage`] goes from what is mounted and swapped to through the layers of block devices to
//!   the PCI functions that carry it, [`usage`] is who uses a function otherwise, [`facts`] all that there is to say of
//!   a machine to its owner, [`names`] what people call devices, [`records`] what runs left;
//! - what is wanted of it: [`preview`] adds to a plan what a running system knows, [`image`] what the next boot has of
//!   policy and protections; [`words`] turns devices into words for the kernel command line, [`imports`] what other
//!   managers hold, [`choice`] asks on the terminal; [`loader`] knows where boot loaders keep those words, and
//!   [`setup`] puts them there; [`doctor`] checks, [`status`] compares, [`next`] is what comes once a device is bound,
//!   [`export`] text for virtual machines and others, [`capture`] puts a whole system into a file;
//! - how it is told: [`listing`] in lines, [`page`] as a drawing, [`terminal`] in columns and colours and as JSON,
//!   [`topics`] in short texts about what one has to know; [`whole`] writes files.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod capture;
pub mod choice;
pub mod commands;
pub mod device;
pub mod doctor;
pub mod export;
pub mod facts;
pub mod image;
pub mod imports;
pub mod inventory;
pub mod listing;
pub mod loader;
pub mod names;
pub mod next;
pub mod page;
pub mod preview;
pub mod records;
pub mod release;
pub mod setup;
pub mod status;
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

//! What the command `vfio-bind` does, under any root directory.
//!
//! [`storage`] goes from what is mounted and swapped to through the layers of block devices to the
//! PCI functions that carry it; [`known`] joins that with what the image of this boot knew.
//! [`commands`] has a file for each command; [`in_use`] is what the system would miss, [`notes`] what
//! else there is to say of a plan, [`policy_file`] what is wrong in the policy file.
#![forbid(unsafe_code)]

pub mod commands;
pub mod in_use;
pub mod known;
pub mod notes;
pub mod policy_file;
pub mod storage;

/// What the system answered to the agent's library.
fn system(errno: rustix::io::Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw_os_error())
}

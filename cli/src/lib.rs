//! What the command `vfio-bind` does, under any root directory.
//!
//! [`protected::find`] goes from what is mounted and swapped to ([`mounts`]) through the layers of
//! block devices ([`walk`], [`block`]) to the PCI functions that carry it. [`plan::print`] shows what
//! the agent would do, and what the system would miss then ([`in_use`]).
#![forbid(unsafe_code)]

pub mod block;
pub mod in_use;
pub mod mounts;
pub mod plan;
pub mod protected;
pub mod walk;
pub mod zpool;

/// What the system answered to the agent's library.
fn system(errno: rustix::io::Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw_os_error())
}

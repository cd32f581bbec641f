//! What the command `vfio-bind` does, under any root directory.
//!
//! [`protected::find`] goes from what is mounted and swapped to ([`mounts`]) through the layers of
//! block devices ([`walk`], [`block`]) to the PCI functions that carry it.
#![forbid(unsafe_code)]

pub mod block;
pub mod mounts;
pub mod protected;
pub mod walk;
pub mod zpool;

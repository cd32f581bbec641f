//! From what a system needs to the PCI functions that carry it.
//!
//! [`protected::find`] joins it: what is [`needed`] or [`in_use`], mounted and swapped to ([`mounts`]) or wanted by
//! [`tables`], is followed ([`walk`]) through file systems ([`file_system`], [`second`]), block devices
//! ([`block`], [`volume_group`]) and networks ([`network`]); what no file tells is asked ([`ask`]).

pub mod ask;
pub mod block;
pub mod file_system;
pub mod in_use;
pub mod mounts;
pub mod needed;
pub mod network;
pub mod protected;
pub mod second;
pub mod tables;
pub mod volume_group;
pub mod walk;

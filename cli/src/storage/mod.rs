//! From what a system needs to the PCI functions that carry it.
//!
//! [`protected::find`] joins it: what is mounted and swapped to ([`mounts`]) is followed ([`walk`])
//! through sysfs ([`block`]); what no file tells is asked ([`ask`]).

pub mod ask;
pub mod block;
pub mod mounts;
pub mod protected;
pub mod walk;

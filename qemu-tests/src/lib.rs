//! What the tests in QEMU are made of, shared by the host (`lab`) and the guest (`guest`).
//!
//! [`scenarios`] say what must be true, [`machine`] is what they run on, [`protocol`] carries the
//! steps into the guest and what it saw out of it, and [`judge`] compares. Nothing here starts a
//! machine or touches one: that is `lab` on the host and `guest` in the guest.

pub mod architecture;
pub mod bench;
pub mod boot_case;
pub mod function;
pub mod hotplug;
pub mod ids;
pub mod installed;
pub mod judge;
pub mod lent;
pub mod machine;
pub mod matrix;
pub mod plug;
pub mod protocol;
pub mod rerun;
pub mod scenario;
pub mod scenarios;
pub mod storage;
pub mod units;
pub mod wire;

pub use vfio_bind_report as report;

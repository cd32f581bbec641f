//! What the tests in QEMU are made of, shared by the host (`xtask`) and the guest (`guest-init`).
//!
//! [`scenarios`] say what must be true, [`machine`] is what they run on, [`protocol`] carries the
//! steps into the guest and what it saw out of it, and [`judge`] compares. Nothing here starts a
//! machine or touches one: that is `xtask` on the host and `guest-init` in the guest.

pub mod architecture;
pub mod bench;
pub mod function;
pub mod ids;
pub mod image;
pub mod installed;
pub mod judge;
pub mod machine;
pub mod matrix;
pub mod protocol;
pub mod report;
pub mod rerun;
pub mod scenario;
pub mod scenarios;
pub mod storage;
pub mod wire;

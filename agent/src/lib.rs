//! vfio-bind: decides at boot which PCI functions belong to vfio-pci, and makes it so.
//!
//! The data flows one way, and a folder never imports one that stands below it in this list:
//!
//! - [`text`]: bytes and words, whatever they are about;
//! - [`pci`]: addresses, IDs and paths, as bytes say them;
//! - [`machine`]: what may be read of a machine and done to it, and what is there;
//! - [`policy`]: what its owner asks for, and what is wrong with it;
//! - [`plan`]: both joined, without any I/O;
//! - [`bind`]: the plan carried out; who is bound is decided by then;
//! - [`record`]: all of it, and every way to word it;
//! - [`run`]: one run from the command line to the record.
//!
//! Everything that touches a machine goes through the traits of [`machine`], so that every test can
//! run on a directory. Nothing here allocates, panics on input, or contains `unsafe`.
#![no_std]
#![forbid(unsafe_code)]
// At boot nothing may end in a panic; a test may.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

#[macro_use]
pub mod text;

pub mod bind;
pub mod machine;
pub mod pci;
pub mod plan;
pub mod policy;
pub mod record;
pub mod run;

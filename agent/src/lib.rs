//! vfio-bind: decides at boot which PCI functions belong to vfio-pci, and makes it so.
//!
//! The data flows one way. Bytes become a [`policy::Policy`] ([`cmdline`], [`grammar`],
//! [`kernel_ids`]); sysfs becomes a [`function::Inventory`] ([`scan`]); [`plan::plan`] joins the two
//! without any I/O; [`apply::apply`] carries the plan out and decides nothing about who is bound;
//! [`report`] and [`show`] tell what happened.
//!
//! Everything that touches a machine goes through the traits of [`host`], so that every test can
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
pub mod message;

pub mod address;
pub mod apply;
pub mod cmdline;
pub(crate) mod console;
pub mod controls;
pub mod deadline;
pub mod device_id;
pub mod digits;
pub mod errno;
pub mod function;
pub mod grammar;
pub mod grouping;
mod groups;
pub mod handed;
pub mod host;
pub mod iommu;
pub mod json;
pub mod kernel_ids;
pub(crate) mod loading;
pub mod lookalike;
pub mod misread;
pub mod modprobe_conf;
pub mod outcome;
pub mod pci_path;
pub mod plan;
pub mod policy;
pub mod presence;
pub mod problem;
pub mod record;
pub mod refusal;
pub mod report;
pub mod rescue;
pub mod resolve;
pub mod run;
pub mod scan;
pub mod selector;
pub mod show;
pub mod sources;
pub mod stage;
pub mod tell;
pub mod text;
pub mod tree;
pub mod unasked;
pub mod unmatched;
pub mod variant;

//! The laboratory: kernels, userlands, firmware, images and machines for the tests, and the rig that
//! boots them.
//!
//! It is handed built programs ([`supply`]) and never calls cargo. Everything that comes from outside is
//! a [`part::Part`], had or not had on its own; what cannot be had ([`lack`]) marks the rows that want
//! it, and no others.

pub mod appended;
pub mod bench;
pub mod boots;
pub mod cache;
pub mod debian;
pub mod elf;
pub mod fault;
pub mod files;
pub mod firmware;
pub mod images;
pub mod initrd;
pub mod kernel;
pub mod lack;
pub mod logs;
pub mod matrix;
pub mod monitor;
pub mod packages;
pub mod part;
pub mod program;
pub mod progress;
pub mod rig;
pub mod row;
pub mod schedule;
pub mod supply;
pub mod system;
pub mod table;
pub mod tools;
pub mod unpacked;
pub mod userland;
pub mod vm;

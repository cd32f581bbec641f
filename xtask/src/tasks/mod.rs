//! The tasks, each with its options in a file of its own.

pub mod bench;
pub mod build;
mod conclusion;
pub mod cpio;
pub mod demo;
pub mod dist;
pub mod export_test;
pub mod install;
pub mod package_test;
pub mod page_test;
pub mod qemu_test;
pub mod test;
pub mod unit_tests;

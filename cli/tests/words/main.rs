//! Words for devices, plans of them, and what other managers hold: on made-up machines and on real ones.

mod choice;
mod command;
mod imports;
#[path = "../initramfs/mod.rs"]
mod initramfs;
mod machine;
mod named;
mod next_boot;
mod plan;
mod real;
#[path = "../snapshot/mod.rs"]
mod snapshot;

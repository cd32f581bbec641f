//! `vfio-bind doctor`: each check on machines made of directories, and the command as its user sees it.

mod command;
mod devices;
#[path = "../initramfs/mod.rs"]
mod initramfs;
mod machine;
mod machines;
#[path = "../program/mod.rs"]
mod program;
mod set_not_booted;
#[path = "../snapshot/mod.rs"]
mod snapshot;
mod topologies;

//! `vfio-bind capture`: what it leaves of a system, and what of its owner.

mod archive;
#[path = "../initramfs/mod.rs"]
mod initramfs;
mod private;
mod same;
mod system;

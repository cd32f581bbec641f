//! `vfio-bind setup` on the files of machines, each boot loader's.

mod cases;
mod engine;
mod grub;
mod grubby;
mod image;
#[path = "../initramfs/mod.rs"]
mod initramfs;
mod json;
mod kernel_line;
mod menus;
mod once;
mod ostree;
#[path = "../program/mod.rs"]
mod program;
mod tree;
mod unified;

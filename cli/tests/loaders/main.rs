//! `vfio-bind setup` on the files of machines, each boot loader's.

mod cases;
mod engine;
mod grub;
mod tree;

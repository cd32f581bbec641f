//! `vfio-bind status`: what a boot did, beside the machine, and what is different since the last good one.

mod changes;
mod command;
mod system;

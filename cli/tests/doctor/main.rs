//! `vfio-bind doctor`: each check on machines made of directories, and the command as its user sees it.

mod command;
mod devices;
mod machine;
mod machines;
mod set_not_booted;
mod topologies;

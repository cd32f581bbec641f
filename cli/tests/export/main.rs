//! The command `vfio-bind export`: what each target is given for machines made of directories.

mod machine;
mod schema;
mod targets;
mod telling;

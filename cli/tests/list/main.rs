//! What `vfio-bind list` finds out and shows.

mod command;
mod facts;
mod machine;
mod page;
mod snapshots;
mod topology;

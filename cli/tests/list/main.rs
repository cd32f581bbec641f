//! What `vfio-bind list` finds out and shows.

mod command;
mod facts;
mod hostile;
mod machine;
mod page;
#[path = "../snapshot/mod.rs"]
mod snapshot;
mod snapshots;
mod topology;

//! What `vfio-bind list` finds out and shows.

mod facts;
mod machine;

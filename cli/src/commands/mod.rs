//! The commands: a file for each.

pub mod bind;
pub mod plan;
pub mod protected;

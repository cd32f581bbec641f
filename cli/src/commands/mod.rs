//! The commands: a file for each.

pub mod plan;
pub mod protected;

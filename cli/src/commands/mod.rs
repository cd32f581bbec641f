//! The commands: a file for each.

pub mod bind;
pub mod check;
pub mod completions;
pub mod help;
pub mod list;
pub mod plan;
pub mod protected;
pub mod setup;
mod turn;
pub mod udev;
pub mod verify;
pub mod words;

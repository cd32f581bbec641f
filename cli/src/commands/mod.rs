//! The commands: a file for each.

pub mod bind;
pub mod check;
pub mod completions;
pub mod export;
pub mod help;
pub mod plan;
pub mod protected;
pub mod release;
pub mod sysfs;
mod turn;
pub mod udev;
pub mod verify;

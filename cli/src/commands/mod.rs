//! The commands: a file for each.

pub mod bind;
pub mod check;
pub mod export;
pub mod plan;
pub mod protected;
pub mod release;
pub mod sysfs;
mod turn;
pub mod udev;
pub mod verify;

//! The commands: a file for each.

pub mod bind;
pub mod check;
pub mod export;
pub mod plan;
pub mod protected;
mod turn;
pub mod udev;
pub mod verify;

//! The commands: a file for each.

pub mod bind;
pub mod capture;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod help;
pub mod plan;
pub mod protected;
pub mod status;
mod turn;
pub mod udev;
pub mod verify;

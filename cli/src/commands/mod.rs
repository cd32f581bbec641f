//! The commands: a file for each.

pub mod bind;
pub mod capture;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod help;
pub mod list;
pub mod plan;
pub mod protected;
pub mod setup;
pub mod status;
mod turn;
pub mod udev;
pub mod verify;
pub mod words;

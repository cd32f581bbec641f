//! The commands: a file for each.

pub mod bind;
pub mod capture;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod export;
pub mod help;
pub mod list;
pub mod plan;
pub mod protected;
pub mod release;
pub mod setup;
pub mod status;
pub mod sysfs;
mod turn;
pub mod udev;
pub mod verify;
pub mod words;

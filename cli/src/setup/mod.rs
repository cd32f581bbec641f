//! Words put where a machine's boot loader keeps them, and taken out again: shown first, with a backup and a
//! manifest of all that was done, and all of it or nothing.

pub mod ask;
pub mod base;
pub mod engine;
pub mod files;
pub mod lock;
pub mod manifest;
pub mod plan;
pub mod read_back;
pub mod request;
pub mod taken_out;
pub mod told;
pub mod tools;
pub mod transaction;
pub mod undo;

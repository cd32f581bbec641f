//! What a person needs once a device is bound: who may open it ([`access`]), how much memory its guest may lock
//! ([`memlock`]), the line for a virtual machine and the way back ([`lines`]).

pub mod access;
pub mod lines;
pub mod memlock;

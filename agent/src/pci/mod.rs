//! Where a function sits and what it is, as bytes say it: no machine is looked at.

pub mod address;
pub mod id;
pub mod path;

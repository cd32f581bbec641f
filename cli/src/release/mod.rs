//! Functions go back to their native drivers, on a running system.
//!
//! [`back`] does it, one function after another; [`running`] is the machine that it does it to, [`members`] what goes
//! back together, [`record`] what is left of it.

pub mod back;
pub mod members;
pub mod record;
pub mod running;

//! `vfio-bind capture`: what it leaves of a system, and what of its owner.

mod archive;
mod private;
mod same;
mod system;

//! A machine in a directory: the tree that sysfs would show, and a kernel that reacts to writes.

mod attributes;
mod calls;
mod card;
mod fake_machine;
mod hotplug;
mod kernel;
mod record;
mod sriov;
mod trouble;

pub use card::{Card, topology};
pub use fake_machine::{FakeMachine, open, write};
pub use record::{address, bound, problems, unmatched};
pub use sriov::{Virtual, network};
pub use trouble::Trouble;

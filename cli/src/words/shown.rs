//! Addresses in output for programs.

use serde::Serializer;
use vfio_bind_agent::pci::address::Address;

/// A list of them.
pub fn all<S: Serializer>(all: &[Address], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(all.iter().map(ToString::to_string))
}

/// One.
pub fn one<S: Serializer>(one: &Address, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(one)
}

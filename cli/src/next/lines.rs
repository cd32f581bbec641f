//! The commands that come next.

use vfio_bind_agent::pci::address::Address;

/// The one that prints the line for a virtual machine.
#[must_use]
pub fn export(function: Address) -> String {
    format!("vfio-bind export {function} --to qemu")
}

/// The one that gives the device back now. By hand it does not do: without clearing driver_override the native
/// driver answers "No such device".
#[must_use]
pub fn release(function: Address) -> String {
    format!("vfio-bind release {function}")
}

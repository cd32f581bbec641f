//! All functions of a machine, whatever a policy asks for.

use anyhow::{Context, Result};
use rustix::io::Errno;
use vfio_bind_agent::machine::inventory::{Function, Inventory};
use vfio_bind_agent::machine::survey;
use vfio_bind_agent::machine::sysfs::DEVICES;
use vfio_bind_agent::machine::tree::Tree;

/// Every function, by address; none where there is no PCI bus.
///
/// # Errors
/// Where they cannot be listed.
pub fn functions(tree: &Tree) -> Result<Vec<Function>> {
    let mut inventory = Box::new(Inventory::EMPTY);
    match survey::scan(tree, &mut inventory) {
        Ok(()) | Err(Errno::NOENT) => Ok(inventory.functions().to_vec()),
        Err(errno) => Err(crate::system(errno)).with_context(|| format!("list(/{DEVICES})")),
    }
}

//! What udev has done for a function that has come: the rules that the agent leaves in each boot say when.

use std::path::Path;

use super::bind::{self, Extent};
use anyhow::{Result, bail};
use vfio_bind_agent::pci::address::Address;

/// Binds the function at `address`, with the rest of its IOMMU group, where the policy asks for it: as `bind`
/// does, which leaves alone what is in use. Gives the agent's exit status.
///
/// # Errors
/// Where `address` is none, and as those of [`bind::bind`].
pub fn udev(root: &Path, agent: &Path, address: &str) -> Result<u8> {
    let Some(address) = Address::parse(address.as_bytes()) else {
        bail!("`{address}` is not the address of a function, such as 0000:42:00.0");
    };
    bind::run(root, agent, Extent::Late(address)).map(|ran| ran.exit)
}

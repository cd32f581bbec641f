//! What udev has done for a function that has come: the rules that the agent leaves in each boot say when.

use std::path::{Path, PathBuf};

use super::bind::{self, Extent};
use anyhow::{Result, bail};
use clap::Args;
use vfio_bind_agent::pci::address::Address;

/// Bind a function that has come, where the policy asks for it: udev runs this.
///
/// The same as `bind`, for one function and its IOMMU group. What nobody asks for, or is bound already,
/// leaves no record. The rules that start it are those of this boot, /run/udev/rules.d/60-vfio-bind.rules.
#[derive(Debug, Args)]
pub struct Options {
    /// Its address, as sysfs spells it.
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// The agent to run, in place of the installed one.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`udev`].
    pub fn run(self) -> Result<u8> {
        let agent = self.agent.unwrap_or_else(bind::agent);
        udev(Path::new("/"), &agent, &self.address)
    }
}

/// Binds the function at `address`, with the rest of its IOMMU group, where the policy asks for it: as `bind`
/// does, which leaves alone what is in use. Gives the agent's exit status.
///
/// # Errors
/// Where `address` is none, and as those of [`bind::bind`].
pub fn udev(root: &Path, agent: &Path, address: &str) -> Result<u8> {
    let Some(address) = Address::parse(address.as_bytes()) else {
        bail!("`{address}` is not the address of a function, such as 0000:42:00.0");
    };
    bind::run_agent(root, agent, Extent::Late(address)).map(|ran| ran.exit)
}

//! The archive for images that cannot be rebuilt.

use std::path::PathBuf;

use anyhow::Result;
use lab::appended::{self, Content};
use lab::debian::Debian;
use lab::progress::say;

use crate::build::executable::Executable;

/// Write an archive that brings the agent into an image that cannot be rebuilt.
///
/// Give it to the boot loader as a second initrd, behind the image or in front of it (or append it
/// to a copy of the image, however that is compressed), and add `rdinit=/usr/bin/vfio-bind-agent` to the kernel command line: the
/// kernel starts the agent, which binds and becomes the image's own /init. The image itself
/// must have modprobe and the modules vfio-pci and vfio_iommu_type1.
#[derive(Clone, Debug, clap::Args)]
pub struct Cpio {
    /// The archive.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A policy for the image, in the words of the command line, one to a line.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What `vfio-bind protected` printed on the machine that the archive is for: the functions that
    /// it boots from, which are left alone.
    #[arg(long, value_name = "FILE")]
    protected: Option<PathBuf>,
    /// An agent to pack instead of building one.
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

/// Writes it.
///
/// # Errors
/// Where something cannot be built, read or written.
pub fn run(options: &Cpio, debian: &Debian) -> Result<bool> {
    let content = Content {
        agent: &Executable::agent(None).unless(options.agent.as_deref(), debian)?,
        policy: options.policy.as_deref(),
        protected: options.protected.as_deref(),
    };
    appended::write(&options.file, content)?;
    if options.protected.is_none() {
        say(
            "the archive has no list of what its system boots from: what stores (PCI class 01) will be \
             taken only where vfio.bind= names it by address, path, slot or serial number. `vfio-bind \
             protected > LIST`, run as root on the machine that it is for, makes one for --protected LIST",
        );
    }
    println!("{}", options.file.display());
    Ok(true)
}

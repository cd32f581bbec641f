//! What the running system needs to boot, as lines for an image.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::storage::ask;
use crate::storage::protected::{self, Scope};

/// Prints a line for each function that the system at `root` needs, and one for each thing
/// whose functions could not be found: that goes to standard error as well, where whoever builds an
/// image sees it.
///
/// # Errors
/// Where the mounts of the system cannot be read, or nothing be written.
pub fn print(root: &Path, scope: Scope) -> Result<()> {
    let protected = protected::find(root, ask::of(root), scope)?;
    for open in &protected.unresolved {
        eprintln!(
            "vfio-bind: not protected: {open}; name its function with vfio.protect= in \
             /etc/vfio-bind/policy.conf"
        );
    }
    if !protected.unresolved.is_empty() {
        eprintln!(
            "vfio-bind: the list is not whole and says so (vfio.unprotected=): what stores (PCI class 01) \
             will be taken only where vfio.bind= names it by address, path, slot or serial number"
        );
    }
    let mut out = io::stdout().lock();
    let written = out.write_all(protected.conf().as_bytes());
    written
        .and_then(|()| out.flush())
        .context("write(standard output)")
}

//! What the running system needs to boot, as lines for an image.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::storage::ask;
use crate::storage::protected::{self, Scope};
use crate::terminal::{self, json};

/// Print a `vfio.protect=` line for each PCI function that the running system needs to boot.
///
/// These are the controllers behind /, /usr, /boot, the EFI system partition, swap, and what
/// fstab, crypttab and the kernel command line want. Images carry the lines as
/// /etc/vfio-bind/protected.conf. What could not be found is said on standard error.
#[derive(Debug, Args)]
pub struct Options {
    /// A directory with the `proc`, `sys` and `dev` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Add what is mounted, swapped to, in a pool or the way of the default route now.
    #[arg(long)]
    now: bool,
    /// One JSON object (docs/schema/protected.json).
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`print`].
    pub fn run(self) -> Result<u8> {
        let scope = if self.now { Scope::Now } else { Scope::Boot };
        print(&self.root, scope, self.json).map(|()| 0)
    }
}

/// Prints a line for each function that the system at `root` needs, and one for each thing
/// whose functions could not be found: that goes to standard error as well, where whoever builds an
/// image sees it.
///
/// # Errors
/// Where the mounts of the system cannot be read, or nothing be written.
pub fn print(root: &Path, scope: Scope, json: bool) -> Result<()> {
    let protected = protected::find(root, ask::of(root), scope)?;
    for open in &protected.unresolved {
        terminal::tell(format_args!(
            "vfio-bind: not protected: {open}; name its function with vfio.protect= in \
             /etc/vfio-bind/policy.conf"
        ));
    }
    if !protected.unresolved.is_empty() {
        terminal::tell(format_args!(
            "vfio-bind: the list is not whole and says so (vfio.unprotected=): what stores (PCI class 01) \
             will be taken only where vfio.bind= names it by address, path, slot or serial number"
        ));
    }
    if !json {
        return terminal::write(&protected.conf());
    }
    let functions = protected.lines.iter().filter_map(|line| {
        let (word, why) = line.split_once("  # ")?;
        let selector = word.strip_prefix("vfio.protect=")?;
        Some(Function { selector, why })
    });
    let told = Told {
        functions: functions.collect(),
        unresolved: &protected.unresolved,
    };
    json::write("protected", &told)
}

/// What programs get.
#[derive(Serialize)]
struct Told<'p> {
    functions: Vec<Function<'p>>,
    unresolved: &'p [String],
}

#[derive(Serialize)]
struct Function<'p> {
    selector: &'p str,
    why: &'p str,
}

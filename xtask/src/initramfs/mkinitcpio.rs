//! mkinitcpio, which Debian has not: taken from where it is installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::image::{FORCED, ROOT};

use super::root::link_tree;
use crate::install;

/// Its program under a prefix.
const PROGRAM: &str = "usr/bin/mkinitcpio";
/// Its functions, hooks and init under that prefix.
const LIBRARY: &str = "usr/lib/initcpio";

/// The program: the one that was named, or else that of this machine.
#[must_use]
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("mkinitcpio"));
    places.find(|path| path.is_file())
}

/// Puts mkinitcpio into `root`, and configures it.
///
/// # Errors
/// Where it is not an installation, or something cannot be written.
pub fn prepare(root: &Path, program: &Path, systemd: bool) -> Result<()> {
    let program = fs::canonicalize(program).with_context(|| {
        format!(
            "--mkinitcpio {}: name the program `mkinitcpio` of an installation",
            program.display()
        )
    })?;
    let prefix = program.ancestors().nth(3).unwrap_or(Path::new("/"));
    ensure!(
        prefix.join(PROGRAM) == program && prefix.join(LIBRARY).is_dir(),
        "{}: not an installation of mkinitcpio, which has {PROGRAM} and {LIBRARY} under one folder",
        program.display()
    );
    fs::copy(&program, root.join(PROGRAM))
        .with_context(|| format!("copy({})", program.display()))?;
    link_tree(&prefix.join(LIBRARY), &root.join(LIBRARY))?;
    let hooks = if systemd {
        "systemd modconf block filesystems"
    } else {
        "base udev modconf block filesystems"
    };
    let text = format!(
        "MODULES=({} {})\nBINARIES=()\nFILES=()\nHOOKS=({hooks})\nCOMPRESSION=cat\n",
        FORCED.join(" "),
        ROOT.join(" ")
    );
    install::write(&root.join("etc/mkinitcpio.conf"), text.as_bytes(), 0o644)
}

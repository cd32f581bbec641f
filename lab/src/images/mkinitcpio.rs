//! mkinitcpio, which Debian has not: taken from where it is installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::boot_case::{FORCED, ROOT};

use crate::files::{self, link, link_tree};

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

/// Gives programs and libraries the places that they have on Arch, where each have one folder: hooks
/// look there, and systemd loads libkmod only at run time.
fn place_as_on_arch(root: &Path) -> Result<()> {
    for (from, to) in [
        ("usr/sbin", "usr/bin"),
        ("usr/lib/x86_64-linux-gnu", "usr/lib"),
    ] {
        let (from, to) = (root.join(from), root.join(to));
        for entry in fs::read_dir(&from).with_context(|| format!("list({})", from.display()))? {
            let entry = entry?;
            if fs::symlink_metadata(to.join(entry.file_name())).is_err() {
                link(&entry, &to)?;
            }
        }
    }
    Ok(())
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
    // Arch has it in a package of its own.
    let busybox = root.join(LIBRARY).join("busybox");
    fs::copy(root.join("usr/bin/busybox"), &busybox)
        .with_context(|| format!("copy({})", busybox.display()))?;
    place_as_on_arch(root)?;
    let hooks = if systemd {
        "systemd modconf"
    } else {
        "base udev modconf"
    };
    let text = format!(
        "MODULES=({} {})\nBINARIES=()\nFILES=()\nHOOKS=({hooks})\nCOMPRESSION=cat\n",
        FORCED.join(" "),
        ROOT.join(" ")
    );
    files::write(&root.join("etc/mkinitcpio.conf"), text.as_bytes(), 0o644)
}

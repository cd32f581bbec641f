//! EFI firmware for guests.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::kernel::ARCHITECTURE;

/// The release that guests get it from, whatever their kernel.
const RELEASE: &str = "bookworm";
/// Code and variables in one file: what the machine changes is lost with it.
const IMAGE: &str = "usr/share/ovmf/OVMF.fd";

/// OVMF from Debian's package.
///
/// # Errors
/// Where it cannot be had.
pub fn ovmf(cache: &Cache) -> Result<PathBuf> {
    let check = |root: &Path| {
        ensure!(root.join(IMAGE).is_file(), "no {IMAGE}");
        Ok(())
    };
    let name = format!("debian-{RELEASE}-{ARCHITECTURE}-ovmf");
    let root = cache.folder(&name, check, |root| {
        Apt::update(RELEASE, ARCHITECTURE)?.unpack(&["ovmf".to_owned()], root)
    })?;
    Ok(root.join(IMAGE))
}

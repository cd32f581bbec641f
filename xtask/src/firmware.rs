//! EFI firmware for guests.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use qemu_tests::architecture::Architecture;

use crate::apt::Apt;
use crate::cache::Cache;

/// The release that guests get it from, whatever their kernel.
const RELEASE: &str = "bookworm";

/// EDK2 for `architecture`, from Debian's package: code and variables in one file, so that what the
/// machine changes is lost with it.
///
/// # Errors
/// Where it cannot be had.
pub fn edk2(architecture: Architecture, cache: &Cache) -> Result<PathBuf> {
    let (package, image) = match architecture {
        Architecture::X86_64 => ("ovmf", "usr/share/ovmf/OVMF.fd"),
        Architecture::Aarch64 => ("qemu-efi-aarch64", "usr/share/qemu-efi-aarch64/QEMU_EFI.fd"),
        Architecture::S390x => bail!("there is no EFI firmware for {architecture}"),
    };
    let check = |root: &Path| {
        ensure!(root.join(image).is_file(), "no {image}");
        Ok(())
    };
    // Firmware is code of the guest, in a package for every host.
    let name = format!("debian-{RELEASE}-{}-{package}", architecture.debian());
    let root = cache.folder(&name, check, |root| {
        Apt::with(RELEASE, architecture, |apt| {
            apt.unpack(&[package.to_owned()], root)
        })
    })?;
    Ok(root.join(image))
}

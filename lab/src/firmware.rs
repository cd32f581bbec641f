//! EFI firmware for guests.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use qemu_tests::architecture::Architecture;

use crate::debian::{Debian, Release};

/// The releases that guests get it from, whatever their kernel; the best first.
const RELEASES: [Release; 2] = ["bookworm", "trixie"];

/// EDK2 for `architecture`, from Debian's package: code and variables in one file, so that what the
/// machine changes is lost with it.
///
/// # Errors
/// Where it cannot be had.
pub fn edk2(architecture: Architecture, debian: &Debian) -> Result<PathBuf> {
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
    let (_, root) = debian.unpacked(&RELEASES, architecture, package, check, |lists, root| {
        lists.unpack(&[package.to_owned()], root)
    })?;
    Ok(root.join(image))
}

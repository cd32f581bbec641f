//! EFI firmware for guests.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use qemu_tests::architecture::Architecture;

use crate::debian::{Debian, Release};

/// The releases that guests get it from, whatever their kernel; the best first.
const RELEASES: [Release; 2] = ["bookworm", "trixie"];

/// Firmware in two files.
#[derive(Clone, Debug)]
pub struct Split {
    /// The code, only read from.
    pub code: PathBuf,
    /// The variables of a new machine: each machine has a copy of its own.
    pub variables: PathBuf,
}

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
    let [image] = unpacked(architecture, debian, package, [image])?;
    Ok(image)
}

/// The same in two files: what a machine changes, such as what its loader boots next, lasts.
///
/// # Errors
/// Where it cannot be had.
pub fn edk2_with_variables(architecture: Architecture, debian: &Debian) -> Result<Split> {
    if architecture != Architecture::X86_64 {
        bail!("firmware with variables is used on x86_64 only, not on {architecture}");
    }
    let files = [
        "usr/share/OVMF/OVMF_CODE_4M.fd",
        "usr/share/OVMF/OVMF_VARS_4M.fd",
    ];
    let [code, variables] = unpacked(architecture, debian, "ovmf", files)?;
    Ok(Split { code, variables })
}

/// Where these files of a package are.
fn unpacked<const N: usize>(
    architecture: Architecture,
    debian: &Debian,
    package: &str,
    files: [&str; N],
) -> Result<[PathBuf; N]> {
    let check = |root: &Path| {
        for file in files {
            ensure!(root.join(file).is_file(), "no {file}");
        }
        Ok(())
    };
    // Firmware is code of the guest, in a package for every host.
    let (_, root) = debian.unpacked(&RELEASES, architecture, package, check, |lists, root| {
        lists.unpack(&[package.to_owned()], root)
    })?;
    Ok(files.map(|file| root.join(file)))
}

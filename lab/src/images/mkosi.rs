//! mkosi-initrd: it makes a small Debian of packages and calls that an image. It has no hooks; what
//! is to be in its images stands in its configuration, as docs/install.md says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use qemu_tests::boot_case::{FORCED, PROTECTED, ROOT};

use crate::files;
use crate::system::POOL;

/// What mkosi-initrd installs into an image of Debian, by its own configuration.
pub const PACKAGES: [&str; 21] = [
    "base-files",
    "bash",
    "btrfs-progs",
    "dmsetup",
    "dosfstools",
    "e2fsprogs",
    "gzip",
    "kmod",
    "less",
    "libcryptsetup12",
    "libfdisk1",
    "libfido2-1",
    "libseccomp2",
    "mount",
    "procps",
    "systemd",
    "systemd-cryptsetup",
    "systemd-repart",
    "systemd-tpm",
    "udev",
    "util-linux",
];

/// Its configuration.
const CONFIGURATION: &str = "etc/mkosi-initrd/mkosi.conf";
/// What docs/install.md adds to it, and where.
const OURS: &str = "\
[Content]
ExtraTrees=
    /usr/bin/vfio-bind-agent:/usr/bin/vfio-bind-agent
    /usr/lib/systemd/system/vfio-bind.service:/usr/lib/systemd/system/vfio-bind.service
    /usr/lib/systemd/system/vfio-bind-give-back.service:/usr/lib/systemd/system/vfio-bind-give-back.service
    /usr/lib/systemd/system/vfio-bind-root.target:/usr/lib/systemd/system/vfio-bind-root.target
    /etc/vfio-bind:/etc/vfio-bind
    /etc/modprobe.d:/etc/modprobe.d
KernelModules=vfio_pci vfio_iommu_type1
";
const OURS_PLACE: &str = "etc/mkosi-initrd/mkosi.conf.d/vfio-bind.conf";
/// What `vfio-bind protected` says goes here, by hand.
const PROTECTED_PLACE: &str = "etc/vfio-bind/protected.conf";
/// Files that it puts into every image as they are.
const EXTRA: &str = "etc/mkosi-initrd/mkosi.extra";
/// Links that start the units. A preset would do as well, but not in system-preset: systemd 262 reads
/// those of an image from initrd-preset.
const WANTS: &str = "usr/lib/systemd/system/sysinit.target.wants";
/// What they lead to.
const UNITS: [&str; 2] = ["../vfio-bind.service", "../vfio-bind-root.target"];
/// What gives the watch over the root device more time, as the machine gives the device: one that is
/// emulated on a busy host needs it.
const PATIENCE: (&str, &str) = (
    "usr/lib/systemd/system/vfio-bind-root.target.d/patience.conf",
    "[Unit]\nJobTimeoutSec=200\n",
);
/// What systemd-modules-load reads in the image.
const LOAD: &str = "etc/modules-load.d/native.conf";

/// Tells it where its packages are, which drivers to force and what the root file system needs.
///
/// # Errors
/// Where something cannot be written.
pub fn configure(root: &Path) -> Result<()> {
    let modules = [&FORCED[..], &ROOT].concat();
    let text = format!(
        "[Output]\nCompressOutput=none\n\n[Content]\nPackageDirectories=/{POOL}\nKernelModules={}\n",
        modules.join(" ")
    );
    write(root, CONFIGURATION, &text)?;
    add_file(root, LOAD, &(FORCED.join("\n") + "\n"))?;
    // It takes the folder for granted.
    write(root, "usr/lib/firmware/none", "")
}

/// Adds what docs/install.md says; `configured`, with a list of what to protect.
///
/// # Errors
/// Where it cannot be written.
pub fn add_ours(root: &Path, configured: bool) -> Result<()> {
    write(root, OURS_PLACE, OURS)?;
    write(
        root,
        PROTECTED_PLACE,
        if configured { PROTECTED } else { "" },
    )?;
    let folder = root.join(EXTRA).join(WANTS);
    fs::create_dir_all(&folder).with_context(|| format!("mkdir({})", folder.display()))?;
    for unit in UNITS {
        let link = folder.join(unit.trim_start_matches("../"));
        std::os::unix::fs::symlink(unit, &link)
            .with_context(|| format!("symlink({})", link.display()))?;
    }
    let (place, text) = PATIENCE;
    add_file(root, place, text)
}

/// Adds a file to its images.
///
/// # Errors
/// Where it cannot be written.
pub fn add_file(root: &Path, place: &str, text: &str) -> Result<()> {
    write(&root.join(EXTRA), place, text)
}

/// The command that builds an image for `release`. It is for any machine: this one's modules say
/// nothing of the one that boots it.
pub fn command(release: &str) -> Vec<&str> {
    let mut words = vec!["mkosi-initrd", "--generic", "--kernel-version", release];
    words.extend(["--output", "image", "--output-dir", "/tmp"]);
    words
}

fn write(root: &Path, place: &str, text: &str) -> Result<()> {
    files::write(&root.join(place), text.as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_what_the_documents_say() {
        const TOLD: &str = include_str!("../../../docs/install.md");
        let lines = OURS.lines().map(|line| format!("    {line}\n"));
        let text: String = lines.collect();
        for words in [
            &*text,
            OURS_PLACE,
            PROTECTED_PLACE,
            EXTRA,
            UNITS[0],
            UNITS[1],
        ] {
            assert!(
                TOLD.contains(words),
                "docs/install.md says nothing of {words}"
            );
        }
    }
}

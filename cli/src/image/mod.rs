//! The initramfs image that the next boot will have: which one, and what of it the agent will go by.
//!
//! It is that of the kernel that runs now. Which kernel a boot menu starts next is its own affair, and an image of
//! another kernel has the same policy where all were built by the same hand.

pub mod archive;
pub mod uki;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::storage::block::{entries, name};
use archive::Contents;

/// An image, and what could be read of it.
#[derive(Debug)]
pub struct Image {
    /// Where it is, below the root.
    pub path: PathBuf,
    /// What it has.
    pub contents: Contents,
}

/// What is known of the image of the next boot.
#[derive(Debug)]
pub enum Look {
    /// It was read.
    Read(Image),
    /// None was found: why.
    Absent(String),
    /// It is there and was not read.
    Unread {
        /// Where it is, below the root.
        path: PathBuf,
        /// Why.
        error: anyhow::Error,
    },
}

/// Where the EFI system partition or the boot partition may be mounted.
const PLACES: [&str; 3] = ["boot", "efi", "boot/efi"];

/// Looks into the image that the system at `root` will boot with its kernel of now.
#[must_use]
pub fn look(root: &Path) -> Look {
    let path = match find(root) {
        Ok(path) => path,
        Err(why) => return Look::Absent(why),
    };
    match read(&root.join(&path)) {
        Ok(contents) => Look::Read(Image {
            path: Path::new("/").join(path),
            contents,
        }),
        Err(error) => Look::Unread {
            path: Path::new("/").join(path),
            error,
        },
    }
}

/// The image that the system at `root` will boot with its kernel of now, relative to the root.
///
/// # Errors
/// Why none is found, as a sentence.
pub fn find(root: &Path) -> Result<PathBuf, String> {
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
    let release = release.trim();
    if release.is_empty() || release.contains('/') {
        return Err("which kernel runs is not known".to_owned());
    }
    let path = candidates(root, release).into_iter().next();
    let below = path.and_then(|path| path.strip_prefix(root).ok().map(Path::to_owned));
    below.ok_or_else(|| {
        format!(
            "no image of Linux {release} was found in /boot or on the EFI system partition, or none that \
             you may see"
        )
    })
}

/// The images of a kernel, the one that is booted first where several are there.
fn candidates(root: &Path, release: &str) -> Vec<PathBuf> {
    let line = fs::read_to_string(root.join("proc/cmdline")).unwrap_or_default();
    let mut all = Vec::new();
    // What a boot loader without a file system of its own hands over as a word; of several the last has the system.
    let words = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("initrd="));
    for word in words.collect::<Vec<_>>().into_iter().rev() {
        let path = word.replace('\\', "/");
        let path = path.trim_start_matches('/');
        all.extend(PLACES.iter().map(|place| root.join(place).join(path)));
    }
    let unified = unified(root, release);
    // systemd-stub leaves this variable (systemd-stub(7)); a kernel that was started otherwise does not.
    let by_stub = entries(&root.join("sys/firmware/efi/efivars"))
        .iter()
        .any(|variable| name(variable).starts_with("StubInfo-"));
    if by_stub {
        all.extend(unified.clone());
    }
    let boot = root.join("boot");
    all.extend([
        boot.join(format!("initrd.img-{release}")),
        boot.join(format!("initramfs-{release}.img")),
        boot.join(format!("initrd-{release}")),
    ]);
    // Arch names images for the package of the kernel.
    for modules in ["usr/lib/modules", "lib/modules"] {
        let package = root.join(modules).join(release).join("pkgbase");
        if let Ok(package) = fs::read_to_string(package) {
            all.extend(PLACES.iter().map(|place| {
                root.join(place)
                    .join(format!("initramfs-{}.img", package.trim()))
            }));
        }
    }
    // kernel-install's and ostree's folders: TOKEN/RELEASE/initrd, ostree/SYSTEM/initramfs-RELEASE.img.
    for place in PLACES.map(|place| root.join(place)) {
        for folder in entries(&place) {
            let images = entries(&folder.join(release)).into_iter();
            all.extend(images.filter(|image| {
                name(image).starts_with("initrd") || name(image).starts_with("initramfs")
            }));
        }
        for folder in entries(&place.join("ostree")) {
            all.push(folder.join(format!("initramfs-{release}.img")));
        }
    }
    all.extend(unified);
    all.retain(|path| path.is_file());
    all.dedup();
    all
}

/// The unified images of a kernel.
fn unified(root: &Path, release: &str) -> Vec<PathBuf> {
    let folders = PLACES.map(|place| root.join(place).join("EFI/Linux"));
    let programs = folders.iter().flat_map(|folder| entries(folder));
    let programs = programs.filter(|path| path.extension().is_some_and(|kind| kind == "efi"));
    programs
        .filter(|path| uki::text(path, ".uname").as_deref() == Some(release))
        .collect()
}

fn read(path: &Path) -> Result<Contents> {
    let opened = File::open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(error).context("it can be read by root only: run this as root");
        }
        opened => opened.context("open")?,
    };
    let section = uki::section(&mut file, ".initrd").context("read")?;
    let (start, length) = section.map_or((0, u64::MAX), |section| (section.start, section.length));
    file.seek(SeekFrom::Start(start)).context("seek")?;
    archive::read(file.take(length))
}

/// What builds the images of a system.
#[derive(Debug, PartialEq, Eq)]
pub struct Builder {
    /// What says that it is the one.
    program: &'static str,
    /// What says so where no program does, as in a captured tree.
    folder: &'static str,
    /// What is typed.
    pub told: &'static str,
    /// What builds those of all kernels; nothing where that is the owner's to decide.
    pub all: &'static [&'static str],
    /// Where its hook of ours may be.
    hooks: &'static [&'static str],
}

/// All of them, the first that is there counts.
const BUILDERS: [Builder; 4] = [
    Builder {
        program: "run/ostree-booted",
        folder: "run/ostree-booted",
        told: "rpm-ostree initramfs --enable",
        all: &[],
        hooks: &[],
    },
    Builder {
        program: "usr/sbin/update-initramfs",
        folder: "etc/initramfs-tools",
        told: "update-initramfs -u",
        all: &["update-initramfs", "-u", "-k", "all"],
        // Debian's dracut brings an update-initramfs.
        hooks: &[
            "usr/share/initramfs-tools/hooks/vfio-bind",
            "etc/initramfs-tools/hooks/vfio-bind",
            "usr/lib/dracut/modules.d/50vfio-bind",
        ],
    },
    Builder {
        program: "usr/bin/mkinitcpio",
        folder: "etc/mkinitcpio.conf",
        told: "mkinitcpio -P",
        all: &["mkinitcpio", "-P"],
        hooks: &[
            "usr/lib/initcpio/install/vfio-bind",
            "etc/initcpio/install/vfio-bind",
        ],
    },
    Builder {
        program: "usr/bin/dracut",
        folder: "etc/dracut.conf.d",
        told: "dracut --force",
        all: &["dracut", "--force", "--regenerate-all"],
        hooks: &["usr/lib/dracut/modules.d/50vfio-bind"],
    },
];

impl Builder {
    /// That of a system, where it is known.
    #[must_use]
    pub fn of(root: &Path) -> Option<&'static Self> {
        let find = |mark: fn(&Self) -> &str| {
            let mut all = BUILDERS.iter();
            all.find(|builder| root.join(mark(builder)).exists())
        };
        find(|builder| builder.program).or_else(|| find(|builder| builder.folder))
    }

    /// Whether an image that it builds has the agent.
    #[must_use]
    pub fn knows_us(&self, root: &Path) -> bool {
        self.hooks.iter().any(|hook| root.join(hook).exists())
    }
}

/// What builds the images of a system, as a command behind a sentence: ` (`update-initramfs -u`)`; empty where that is
/// not known.
#[must_use]
pub fn rebuild(root: &Path) -> String {
    Builder::of(root).map_or_else(String::new, |builder| format!(" (`{}`)", builder.told))
}

//! Kernels to boot: Debian's, from the cache, or one of the user's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::architecture::Architecture;
use qemu_tests::scenario::{BUILT_IN, NEWEST};

use crate::apt::Apt;
use crate::built_kernel;
use crate::bzimage;
use crate::cache::Cache;
use crate::command;
use crate::tools::DEPMOD;

/// A kernel and its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `6.1.0-56-amd64`.
    pub release: String,
    /// The image to boot.
    pub image: PathBuf,
    /// The image as packaged, which is what firmware can start.
    pub packed: PathBuf,
    /// The folder with `modules.dep`.
    pub modules: PathBuf,
    /// What it runs on.
    pub architecture: Architecture,
    /// The release of Debian that it comes from, if it does.
    pub debian: Option<&'static str>,
}

/// A kernel that Debian packages, under the same name for every architecture.
struct Packaged {
    /// As on the command line.
    version: &'static str,
    /// The release of Debian that has it.
    debian: &'static str,
    /// How the package of a build starts.
    prefix: &'static str,
}

const PACKAGED: [Packaged; 4] = [
    Packaged {
        version: "6.1",
        debian: "bookworm",
        prefix: "linux-image-6.1.",
    },
    Packaged {
        version: "5.10",
        debian: "bullseye",
        prefix: "linux-image-5.10.",
    },
    Packaged {
        version: "6.12",
        debian: "trixie",
        prefix: "linux-image-6.12.",
    },
    Packaged {
        version: NEWEST,
        debian: "forky",
        prefix: "linux-image-",
    },
];

/// What the packages of a kernel are called where they are more than one.
const PARTS: [&str; 3] = ["linux-base-", "linux-binary-", "linux-modules-"];

/// The kernel that is used where none is named.
pub const DEFAULT: &str = PACKAGED[0].version;

impl Kernel {
    /// The kernel called `name`: a version that Debian packages, [`BUILT_IN`], or a path that comes
    /// with the folder of its modules.
    ///
    /// # Errors
    /// Where there is no such kernel or it cannot be had.
    pub fn get(
        name: &str,
        modules: Option<&Path>,
        architecture: Architecture,
        cache: &Cache,
    ) -> Result<Self> {
        if let Some(modules) = modules {
            return Self::own(Path::new(name), modules, architecture);
        }
        if let Some(packaged) = PACKAGED.iter().find(|packaged| packaged.version == name) {
            return packaged.get(architecture, cache);
        }
        if name == BUILT_IN {
            return built_kernel::get(cache);
        }
        let versions: Vec<_> = PACKAGED.iter().map(|packaged| packaged.version).collect();
        ensure!(
            Path::new(name).exists(),
            "no kernel `{name}`: neither a file, nor `{BUILT_IN}`, nor one of the packaged versions ({})",
            versions.join(", ")
        );
        bail!("--kernel {name} needs --modules DIR, the folder with its modules.dep")
    }

    /// A kernel of the user's own.
    fn own(image: &Path, modules: &Path, architecture: Architecture) -> Result<Self> {
        ensure!(
            image.is_file(),
            "--kernel {}: no such file",
            image.display()
        );
        let index = modules.join("modules.dep");
        ensure!(
            index.is_file(),
            "--modules {}: it has no modules.dep; name the folder that is called after the \
             kernel's release, and run depmod where it has none",
            modules.display()
        );
        let modules =
            fs::canonicalize(modules).with_context(|| format!("path({})", modules.display()))?;
        let release = modules
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            release,
            image: image.to_owned(),
            packed: image.to_owned(),
            modules,
            architecture,
            debian: None,
        })
    }

    /// The kernel in an unpacked package, in its quickest form.
    fn unpacked(root: &Path, architecture: Architecture) -> Result<Self> {
        let folder = root.join("lib/modules");
        let release = only_entry(&folder)?;
        let modules = folder.join(&release);
        let packed = image_in(root, &release)?;
        let quick = Some(beside(&packed, &release)).filter(|path| path.is_file());
        let packaged = Self::own(&packed, &modules, architecture)?;
        Ok(Self {
            image: quick.unwrap_or(packed),
            ..packaged
        })
    }
}

/// The image of `release` in an unpacked package: in /boot, or beside the modules since Linux 7.0's
/// packages.
fn image_in(root: &Path, release: &str) -> Result<PathBuf> {
    let places = [
        root.join(format!("boot/vmlinuz-{release}")),
        root.join(format!("lib/modules/{release}/vmlinuz")),
    ];
    let found = places.iter().find(|path| path.is_file());
    found.cloned().with_context(|| {
        let names = places.map(|path| path.display().to_string());
        format!("the package has none of {}", names.join(", "))
    })
}

/// Where the unpacked image of `release` is, beside the packaged one.
fn beside(packed: &Path, release: &str) -> PathBuf {
    packed.with_file_name(format!("vmlinux-{release}"))
}

/// The name of the only entry of a folder.
///
/// # Errors
/// Where it cannot be listed, or has another number of entries.
pub fn only_entry(folder: &Path) -> Result<String> {
    let listing = fs::read_dir(folder).with_context(|| format!("list({})", folder.display()))?;
    let names: Vec<_> = listing.collect::<std::io::Result<_>>()?;
    match &names[..] {
        [entry] => Ok(entry.file_name().to_string_lossy().into_owned()),
        other => bail!("{} has {} entries, not one", folder.display(), other.len()),
    }
}

impl Packaged {
    /// Takes it from the cache, or gets it.
    fn get(&self, architecture: Architecture, cache: &Cache) -> Result<Kernel> {
        let name = format!(
            "debian-{}-{}-linux-{}",
            self.debian,
            architecture.debian(),
            self.version
        );
        let check = |root: &Path| Kernel::unpacked(root, architecture).map(drop);
        let root = cache.folder(&name, check, |root| {
            Apt::with(self.debian, architecture, |apt| {
                apt.unpack(&self.packages(apt, architecture)?, root)
            })?;
            if !root.join("lib").exists() {
                // Packages since Debian 13 know only this folder, depmod only that one.
                symlink("usr/lib", root.join("lib")).context("symlink(lib)")?;
            }
            let release = only_entry(&root.join("lib/modules"))?;
            let mut depmod = DEPMOD.command()?;
            command::output(depmod.arg("-b").arg(root).arg(&release))?;
            let path = image_in(root, &release)?;
            let image = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
            if let Some(kernel) = bzimage::unpack(&image)? {
                let path = beside(&path, &release);
                fs::write(&path, kernel).with_context(|| format!("write({})", path.display()))?;
            }
            Ok(())
        })?;
        Ok(Kernel {
            debian: Some(self.debian),
            ..Kernel::unpacked(&root, architecture)?
        })
    }

    /// The packages of the current build: one, or the parts that it was split into in Linux 7.0's.
    fn packages(&self, apt: &Apt, architecture: Architecture) -> Result<Vec<String>> {
        let current = format!("linux-image-{}", architecture.debian());
        let build = apt.dependency(&current, self.prefix)?;
        let is_part = |name: &String| PARTS.iter().any(|part| name.starts_with(part));
        let parts: Vec<_> = apt
            .dependencies(&build)?
            .into_iter()
            .filter(is_part)
            .collect();
        Ok(if parts.is_empty() { vec![build] } else { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_ones_own_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let modules = folder.path().join("5.4.0-mine");
        let image = folder.path().join("bzImage");
        fs::create_dir(&modules).unwrap();
        let error = |image: &Path| {
            Kernel::own(image, &modules, Architecture::X86_64)
                .unwrap_err()
                .to_string()
        };
        assert!(error(&image).contains("bzImage: no such file"));
        fs::write(&image, "").unwrap();
        assert!(error(&image).contains("modules.dep"));
        fs::write(modules.join("modules.dep"), "").unwrap();
        assert_eq!(
            Kernel::own(&image, &modules, Architecture::X86_64)
                .unwrap()
                .release,
            "5.4.0-mine"
        );
    }
}

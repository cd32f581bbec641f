//! Kernels to boot: Debian's, from the cache, or one of the user's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use qemu_tests::scenario::BUILT_IN;

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
    /// The release of Debian that it comes from, if it does.
    pub debian: Option<&'static str>,
}

/// A kernel that Debian packages.
struct Packaged {
    /// As on the command line.
    version: &'static str,
    /// The release of Debian that has it.
    debian: &'static str,
    /// The package that depends on the current build of it.
    package: &'static str,
    /// How the package of a build starts.
    prefix: &'static str,
}

const PACKAGED: [Packaged; 3] = [
    Packaged {
        version: "6.1",
        debian: "bookworm",
        package: "linux-image-amd64",
        prefix: "linux-image-6.1.",
    },
    Packaged {
        version: "5.10",
        debian: "bullseye",
        package: "linux-image-amd64",
        prefix: "linux-image-5.10.",
    },
    Packaged {
        version: "6.12",
        debian: "trixie",
        package: "linux-image-amd64",
        prefix: "linux-image-6.12.",
    },
];

/// What the unpacked image is called, beside the packaged one.
const UNPACKED: &str = "vmlinux";

/// The kernel that is used where none is named.
pub const DEFAULT: &str = PACKAGED[0].version;
/// Debian's name of the architecture of the guests.
pub const ARCHITECTURE: &str = "amd64";

impl Kernel {
    /// The kernel called `name`: a version that Debian packages, [`BUILT_IN`], or a path that comes
    /// with the folder of its modules.
    ///
    /// # Errors
    /// Where there is no such kernel or it cannot be had.
    pub fn get(name: &str, modules: Option<&Path>, cache: &Cache) -> Result<Self> {
        if let Some(modules) = modules {
            return Self::own(Path::new(name), modules);
        }
        if let Some(packaged) = PACKAGED.iter().find(|packaged| packaged.version == name) {
            return packaged.get(cache);
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
    fn own(image: &Path, modules: &Path) -> Result<Self> {
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
            debian: None,
        })
    }

    /// The kernel in an unpacked package, in its quickest form.
    fn unpacked(root: &Path) -> Result<Self> {
        let folder = root.join("lib/modules");
        let release = only_entry(&folder)?;
        let image = |name| root.join(format!("boot/{name}-{release}"));
        let packaged = Self::own(&image("vmlinuz"), &folder.join(&release))?;
        let quick = Some(image(UNPACKED)).filter(|path| path.is_file());
        Ok(Self {
            image: quick.unwrap_or_else(|| packaged.packed.clone()),
            ..packaged
        })
    }
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
    fn get(&self, cache: &Cache) -> Result<Kernel> {
        let name = format!(
            "debian-{}-{ARCHITECTURE}-linux-{}",
            self.debian, self.version
        );
        let check = |root: &Path| Kernel::unpacked(root).map(drop);
        let root = cache.folder(&name, check, |root| {
            let apt = Apt::update(self.debian, ARCHITECTURE)?;
            let build = apt.dependency(self.package, self.prefix)?;
            apt.unpack(&[build], root)?;
            if !root.join("lib").exists() {
                // Packages since Debian 13 know only this folder, depmod only that one.
                symlink("usr/lib", root.join("lib")).context("symlink(lib)")?;
            }
            let release = only_entry(&root.join("lib/modules"))?;
            let mut depmod = DEPMOD.command()?;
            command::output(depmod.arg("-b").arg(root).arg(&release))?;
            let path = root.join(format!("boot/vmlinuz-{release}"));
            let image = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
            if let Some(kernel) = bzimage::unpack(&image)? {
                let path = root.join(format!("boot/{UNPACKED}-{release}"));
                fs::write(&path, kernel).with_context(|| format!("write({})", path.display()))?;
            }
            Ok(())
        })?;
        Ok(Kernel {
            debian: Some(self.debian),
            ..Kernel::unpacked(&root)?
        })
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
        let error = |image: &Path| Kernel::own(image, &modules).unwrap_err().to_string();
        assert!(error(&image).contains("bzImage: no such file"));
        fs::write(&image, "").unwrap();
        assert!(error(&image).contains("modules.dep"));
        fs::write(modules.join("modules.dep"), "").unwrap();
        assert_eq!(Kernel::own(&image, &modules).unwrap().release, "5.4.0-mine");
    }
}

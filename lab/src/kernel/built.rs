//! A kernel with vfio-pci built in, as some distributions ship it and Debian does not: built once
//! from Debian's packaged source.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;

use super::Kernel;
use crate::debian::{Debian, Release};
use crate::files::only_entry;
use crate::program;
use crate::progress::say;
use crate::tools::{self, BC, BISON, DEPMOD, FLEX, GCC, MAKE, TAR, XZ};

/// The release with the source: the first whose kernel has device nodes and iommufd as well as group
/// nodes, so that a client can be tried on both.
const DEBIAN: Release = "trixie";
/// Where the source may be had.
const SOURCES: &[Release] = &[DEBIAN, "trixie-proposed-updates", "bookworm-backports"];
/// The package of the source.
const SOURCE: &str = "linux-source-6.12";
/// What the options are for.
const ARCHITECTURE: Architecture = Architecture::X86_64;
/// The options that are wanted.
const CONFIG: &str = include_str!("../../../qemu-tests/kernel/built-in.config");

/// The kernel's objtool reads object files with it. Of the oldest release that serves, so that this
/// machine's C library is not older.
const LIBELF: (&[Release], [&str; 2]) = (&["bookworm", "bullseye"], ["libelf-dev", "libelf1"]);
/// Half of the source, which is of no use for a PC without such a graphics card; all options stay.
const UNUSED: [&str; 5] = [
    "*/Documentation/*/*",
    "*/arch/*/boot/dts/*",
    "*/drivers/gpu/drm/amd/*.c",
    "*/drivers/gpu/drm/amd/*.h",
    "*/tools/testing",
];

/// The kernel, from the cache or built now.
///
/// # Errors
/// Where source or tools cannot be had, or this source does not have an option that is wanted.
pub(super) fn get(debian: &Debian) -> Result<Kernel> {
    let mut hasher = DefaultHasher::new();
    CONFIG.hash(&mut hasher);
    let name = format!(
        "debian-{DEBIAN}-{}-{SOURCE}-built-{:016x}",
        ARCHITECTURE.debian(),
        hasher.finish()
    );
    let check = |root: &Path| installed(root).map(drop);
    let root = debian
        .cache()
        .folder(&name, check, |root| build(root, debian))?;
    installed(&root)
}

/// The kernel in a folder that [`build`] has filled.
fn installed(root: &Path) -> Result<Kernel> {
    let folder = root.join("lib/modules");
    let release = only_entry(&folder)?;
    let image = root.join("vmlinux");
    let modules = folder.join(&release);
    for file in [&image, &modules.join("modules.dep")] {
        ensure!(file.is_file(), "no {}", file.display());
    }
    Ok(Kernel {
        release,
        packed: image.clone(),
        image,
        modules,
        architecture: ARCHITECTURE,
        debian: Some(DEBIAN),
    })
}

/// Builds it into `root`.
fn build(root: &Path, debian: &Debian) -> Result<()> {
    tools::ensure_all(&[GCC, MAKE, FLEX, BISON, BC, TAR, XZ, DEPMOD])?;
    // Beside the result: a gigabyte may be too much for /tmp.
    let work = tempfile::tempdir_in(root).context("a folder for a kernel's source")?;
    let (package, elf) = (work.path().join("package"), work.path().join("elf"));
    debian.get(SOURCES, ARCHITECTURE, |lists| {
        lists.unpack(&[SOURCE.to_owned()], &package)
    })?;
    let (releases, libraries) = LIBELF;
    debian.get(releases, ARCHITECTURE, |lists| {
        lists.unpack(&libraries.map(str::to_owned), &elf)
    })?;
    let archive = package.join(format!("usr/src/{SOURCE}.tar.xz"));
    let tree = Tree {
        folder: work.path().join(SOURCE),
        libraries: elf.join("usr/lib/x86_64-linux-gnu"),
        headers: elf.join("usr/include"),
    };
    let mut tar = TAR.command()?;
    tar.args(["--extract", "--xz", "--directory"])
        .arg(work.path());
    tar.args(UNUSED.map(|pattern| format!("--exclude={pattern}")));
    program::output(tar.arg("--file").arg(&archive))?;
    tree.configure(&work.path().join("wanted.config"))?;
    say("building a kernel with vfio-pci in it, which takes minutes, once");
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut make = tree.make()?;
    program::output(make.arg(format!("-j{jobs}")).args(["vmlinux", "modules"]))?;
    let mut install = tree.make()?;
    let depmod = DEPMOD.find().context("no depmod")?;
    install.arg(format!("INSTALL_MOD_PATH={}", root.display()));
    install.arg(format!("DEPMOD={}", depmod.display()));
    program::output(install.args(["INSTALL_MOD_STRIP=1", "modules_install"]))?;
    // It leads into the source, which is gone soon.
    let link = root
        .join("lib/modules")
        .join(only_entry(&root.join("lib/modules"))?)
        .join("build");
    fs::remove_file(&link).with_context(|| format!("remove({})", link.display()))?;
    let image = tree.folder.join("vmlinux");
    fs::copy(&image, root.join("vmlinux")).with_context(|| format!("copy({})", image.display()))?;
    Ok(())
}

/// A kernel's source, and the library that its build programs need.
struct Tree {
    folder: PathBuf,
    libraries: PathBuf,
    headers: PathBuf,
}

impl Tree {
    /// The kernel's build system.
    fn make(&self) -> Result<Command> {
        let mut make = MAKE.command()?;
        make.arg("-C").arg(&self.folder);
        make.arg(format!("LIBELF_FLAGS=-I{}", self.headers.display()));
        make.arg(format!("LIBELF_LIBS=-L{} -lelf", self.libraries.display()));
        make.env("LD_LIBRARY_PATH", &self.libraries);
        Ok(make)
    }

    /// Writes the configuration, by way of `file`.
    fn configure(&self, file: &Path) -> Result<()> {
        fs::write(file, CONFIG).with_context(|| format!("write({})", file.display()))?;
        let mut make = self.make()?;
        make.env("KCONFIG_ALLCONFIG", file).arg("allnoconfig");
        program::output(&mut make)?;
        let path = self.folder.join(".config");
        let config =
            fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))?;
        let lost = lost(CONFIG, &config);
        ensure!(
            lost.is_empty(),
            "{SOURCE} does not take these lines of qemu-tests/kernel/built-in.config: {}. An option \
             that they depend on may have to be added there",
            lost.join(", ")
        );
        Ok(())
    }
}

/// The wanted lines that a finished configuration does not have: options are dropped in silence where
/// one that they depend on is off. One that is to be off may be absent.
fn lost<'a>(wanted: &'a str, config: &str) -> Vec<&'a str> {
    let is_there = |line: &&str| match line.strip_prefix("# ") {
        Some(off) => {
            let option = off.strip_suffix(" is not set").unwrap_or(off);
            !config.lines().any(|other| {
                let value = other.strip_prefix(option);
                value.is_some_and(|value| value.starts_with('='))
            })
        }
        None => config.lines().any(|other| other == *line),
    };
    let lines = wanted.lines().filter(|line| line.contains("CONFIG_"));
    lines.filter(|line| !is_there(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_was_dropped_is_named() {
        let wanted = "# Words.\nCONFIG_VFIO=y\nCONFIG_NVME=m\nCONFIG_USB_PCI=y\n# CONFIG_SMP is not set\n\
                      # CONFIG_GONE is not set\n";
        let config = "CONFIG_VFIO=y\nCONFIG_NVME=y\n# CONFIG_USB_PCI is not set\nCONFIG_SMP=y\n\
                      CONFIG_GONE_TOO=y\n";
        assert_eq!(
            lost(wanted, config),
            [
                "CONFIG_NVME=m",
                "CONFIG_USB_PCI=y",
                "# CONFIG_SMP is not set"
            ]
        );
    }

    #[test]
    fn what_the_kernel_is_for_is_asked_for() {
        for option in [
            "VFIO_PCI",
            "VFIO_GROUP",
            "VFIO_DEVICE_CDEV",
            "SERIAL_8250_PCI",
        ] {
            assert!(CONFIG.contains(&format!("CONFIG_{option}=y\n")), "{option}");
        }
    }
}

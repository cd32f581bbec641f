//! The package for Debian and its kin, by dpkg-deb.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::program;
use lab::tools::{self, DPKG_DEB};

use super::stage::{self, gzip, source};
use super::{MAINTAINER, Package, sums};
use crate::install::Packaging;

/// Where the documents of a package are.
const DOC: &str = "usr/share/doc/vfio-bind";

/// Writes it into `folder`; gives its path.
///
/// # Errors
/// Where dpkg-deb cannot be had, or something not be read or written.
pub fn build(package: &Package<'_>, folder: &Path) -> Result<PathBuf> {
    tools::ensure_all(&[DPKG_DEB])?;
    let root = folder.join(format!("stage/deb-{}", package.architecture));
    stage::fill(package, Packaging::Deb, &documents(package)?, &root)?;
    let control = root.join("DEBIAN");
    let files = stage::files(&root)?;
    let write = |name: &str, content: &[u8], mode: u32| {
        lab::files::write(&control.join(name), content, mode)
    };
    write("md5sums", sums("md5sum", &root, &files)?.as_bytes(), 0o644)?;
    write("control", text(package, size(&files)?)?.as_bytes(), 0o644)?;
    for name in ["prerm", "postrm"] {
        write(name, &source(&format!("packaging/debian/{name}"))?, 0o755)?;
    }
    write("triggers", &source("packaging/debian/triggers")?, 0o644)?;
    stage::settle(&root, package.time)?;
    let (version, architecture) = (package.full_version(), package.architecture.debian());
    let path = folder.join(format!("vfio-bind_{version}_{architecture}.deb"));
    let mut dpkg = DPKG_DEB.command()?;
    // Debian 12's dpkg reads no zstd.
    dpkg.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"])
        .env("SOURCE_DATE_EPOCH", package.time.0.to_string());
    program::output(dpkg.arg(&root).arg(&path))?;
    Ok(path)
}

/// What Debian's policy wants beside the files.
fn documents(package: &Package<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let changes = format!(
        "vfio-bind ({}) unstable; urgency=medium\n\n  * New release: see changelog.gz.\n\n -- {MAINTAINER}  {}\n",
        package.full_version(),
        package.time.format("--rfc-email")?
    );
    Ok(vec![
        (
            format!("{DOC}/changelog.Debian.gz"),
            gzip(changes.as_bytes())?,
        ),
        (
            format!("{DOC}/changelog.gz"),
            gzip(&source("CHANGELOG.md")?)?,
        ),
        (
            format!("{DOC}/copyright"),
            source("packaging/debian/copyright")?,
        ),
        (
            format!("{DOC}/linked-licences.gz"),
            gzip(package.licences.as_bytes())?,
        ),
        (
            "usr/share/lintian/overrides/vfio-bind".to_owned(),
            source("packaging/debian/lintian-overrides")?,
        ),
    ])
}

/// The size of files once they are installed, in KiB.
fn size(files: &[PathBuf]) -> Result<u64> {
    let mut sum = 0;
    for file in files {
        let metadata = fs::metadata(file).with_context(|| format!("stat({})", file.display()))?;
        sum += metadata.len().div_ceil(1024);
    }
    Ok(sum)
}

/// The fields of deb-control(5).
fn text(package: &Package<'_>, size: u64) -> Result<String> {
    Ok(format!(
        "Package: vfio-bind\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {size}\n\
         Depends: kmod, libc6 (>= {libc}), libgcc-s1 (>= 4.2)\n\
         Recommends: initramfs-tools | dracut, pci.ids\n\
         Section: admin\n\
         Priority: optional\n\
         Description: hand PCI devices to virtual machines at boot\n\
         \x20Binds the PCI functions that the kernel command line or a policy file\n\
         \x20names to vfio-pci in the initramfs, before any native driver can have\n\
         \x20them, and with each function all that shares its IOMMU group. What the\n\
         \x20machine boots from is left alone, and a record says what was done.\n\
         \x20.\n\
         \x20Nothing is bound before the owner asks for it: the command vfio-bind\n\
         \x20shows what can be lent, writes the words where the boot loader keeps\n\
         \x20them, and takes them out again.\n",
        version = package.full_version(),
        architecture = package.architecture.debian(),
        libc = package.libc()?,
    ))
}

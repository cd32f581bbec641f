//! The package for Arch and its kin, as makepkg writes it, by bsdtar; and a PKGBUILD, which builds it there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::program;
use lab::tools::{self, BSDTAR, ZSTD};
use qemu_tests::architecture::Architecture;

use super::stage::{self, gzip, source};
use super::{MAINTAINER, Package, VERSION, sha256};
use crate::install::Packaging;

/// What `.MTREE` has of each file (makepkg 6.0).
const MTREE: &str = "!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link";

/// Whether there is an Arch Linux for it.
#[must_use]
pub const fn has(architecture: Architecture) -> bool {
    !matches!(architecture, Architecture::S390x)
}

/// Writes it into `folder`; gives its path.
///
/// # Errors
/// Where bsdtar cannot be had, or something not be read or written.
pub fn build(package: &Package<'_>, folder: &Path) -> Result<PathBuf> {
    tools::ensure_all(&[BSDTAR, ZSTD])?;
    let folder = fs::canonicalize(folder).with_context(|| format!("path({})", folder.display()))?;
    let top = folder.join(format!("stage/arch-{}", package.architecture));
    let root = top.join("root");
    stage::fill(package, Packaging::Arch, &stage::licences(package)?, &root)?;
    let mut size = 0;
    for file in stage::files(&root)? {
        let metadata = fs::metadata(&file).with_context(|| format!("stat({})", file.display()))?;
        size += metadata.len();
    }
    let info = text(package, size)?;
    lab::files::write(&root.join(".PKGINFO"), info.as_bytes(), 0o644)?;
    stage::settle(&root, package.time)?;
    let plain = top.join("plain");
    pack(&root, &["--format=mtree", "--options", MTREE], &plain)?;
    let tree = fs::read(&plain).with_context(|| format!("read({})", plain.display()))?;
    lab::files::write(&root.join(".MTREE"), &gzip(&tree)?, 0o644)?;
    stage::settle(&root, package.time)?;
    pack(&root, &["--no-fflags", "--format=gnutar"], &plain)?;
    let name = format!(
        "vfio-bind-{}-{}.pkg.tar.zst",
        package.full_version(),
        package.architecture
    );
    let path = folder.join(name);
    let mut zstd = ZSTD.command()?;
    zstd.args(["-19", "--quiet", "--force", "-o"]).arg(&path);
    program::output(zstd.arg(&plain))?;
    Ok(path)
}

/// Packs `root` into `file`, as root's whoever runs this.
fn pack(root: &Path, options: &[&str], file: &Path) -> Result<()> {
    let mut names = Vec::new();
    for place in stage::walk(root)? {
        names.extend(place.as_os_str().as_encoded_bytes());
        names.push(0);
    }
    let list = root.with_extension("names");
    lab::files::write(&list, &names, 0o644)?;
    let mut bsdtar = BSDTAR.command()?;
    bsdtar
        .args(["--create", "--no-recursion", "--null"])
        .args([
            "--uid", "0", "--gid", "0", "--uname", "root", "--gname", "root",
        ])
        .args(options)
        .arg("--file")
        .arg(file)
        .arg("--files-from")
        .arg(&list)
        .current_dir(root);
    program::output(bsdtar.env("LC_ALL", "C")).map(drop)
}

/// The fields of `.PKGINFO`.
fn text(package: &Package<'_>, size: u64) -> Result<String> {
    Ok(format!(
        "pkgname = vfio-bind\n\
         pkgbase = vfio-bind\n\
         pkgver = {version}\n\
         pkgdesc = Hand PCI devices to virtual machines at boot\n\
         builddate = {time}\n\
         packager = {MAINTAINER}\n\
         size = {size}\n\
         arch = {architecture}\n\
         license = MIT OR Apache-2.0\n\
         backup = etc/mkinitcpio.conf.d/zz-vfio-bind.conf\n\
         depend = glibc>={libc}\n\
         depend = gcc-libs\n\
         depend = kmod\n\
         optdepend = mkinitcpio: puts it into an image, by a hook of pacman's\n\
         optdepend = dracut: puts it into an image, when it is run\n\
         optdepend = hwdata: names of devices\n",
        version = package.full_version(),
        time = package.time.0,
        architecture = package.architecture,
        libc = package.libc()?,
    ))
}

/// Writes the PKGBUILD for the source in `archive` beside it; gives its path.
///
/// # Errors
/// Where the archive cannot be read.
pub fn pkgbuild(archive: &Path, folder: &Path) -> Result<PathBuf> {
    let text = String::from_utf8(source("packaging/arch/PKGBUILD")?).context("PKGBUILD")?;
    let text = text
        .replace("@VERSION@", VERSION)
        .replace("@SUM@", &sha256(archive)?);
    let path = folder.join("PKGBUILD");
    lab::files::write(&path, text.as_bytes(), 0o644)?;
    Ok(path)
}

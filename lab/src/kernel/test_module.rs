//! Kernel modules of the tests' own, built for a packaged kernel.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;
use qemu_tests::scenario::{STALL, VARIANT};

use super::Kernel;
use crate::debian::{Debian, Release};
use crate::lack::Unavailable;
use crate::program;
use crate::tools::{self, GCC, MAKE};

/// Their names and sources.
const MODULES: [(&str, &str); 2] = [
    (
        STALL,
        include_str!("../../../qemu-tests/modules/vfio_bind_stall.c"),
    ),
    (
        VARIANT,
        include_str!("../../../qemu-tests/modules/vfio_bind_variant.c"),
    ),
];

/// The module `name` for `kernel`, from the cache or built with this machine's compiler and the headers
/// of the kernel's package.
///
/// # Errors
/// Where the headers cannot be had or the module not be built.
pub fn build(name: &str, kernel: &Kernel, archive: &Debian) -> Result<PathBuf> {
    let release = &kernel.release;
    let debian = kernel
        .debian
        .with_context(|| format!("no package of headers is known for {release}"))?;
    let (_, source) = MODULES
        .into_iter()
        .find(|(module, _)| *module == name)
        .with_context(|| format!("no test module {name}"))?;
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let file = format!("{name}.ko");
    let check = |root: &Path| {
        ensure!(root.join(&file).is_file(), "no {file}");
        Ok(())
    };
    let folder = format!("{name}-{release}-{:016x}", hasher.finish());
    let built = archive.cache().folder(&folder, check, |root| {
        tools::ensure_all(&[GCC, MAKE])?;
        let headers = headers(debian, release, kernel.architecture, archive)?;
        let work = tempfile::tempdir().context("a folder for a module")?;
        let kbuild = format!("obj-m := {name}.o\n");
        for (file, text) in [
            (format!("{name}.c"), source),
            ("Kbuild".to_owned(), &kbuild),
        ] {
            fs::write(work.path().join(&file), text).with_context(|| format!("write({file})"))?;
        }
        // Named in full, for the packages' own makefiles speak of /usr/src.
        let tree = headers.join("usr/src");
        let mut make = MAKE.command()?;
        make.arg("-C")
            .arg(tree.join(format!("linux-headers-{release}")));
        let common = common(release).context("a release without a flavour")?;
        make.arg("-f").arg(tree.join(common).join("Makefile"));
        make.arg(format!("CC={}", GCC.program));
        make.arg(format!("M={}", work.path().display()))
            .arg("modules");
        // Some of the kernel's build programs need it.
        make.env("LD_LIBRARY_PATH", headers.join("usr/lib/x86_64-linux-gnu"));
        program::output(&mut make)?;
        let from = work.path().join(&file);
        fs::copy(&from, root.join(&file)).with_context(|| format!("copy({})", from.display()))?;
        Ok(())
    })?;
    Ok(built.join(file))
}

/// The package of what all flavours of a release share: `linux-headers-6.1.0-56-common`.
fn common(release: &str) -> Option<String> {
    let (base, _flavour) = release.rsplit_once('-')?;
    Some(format!("linux-headers-{base}-common"))
}

/// The headers of a kernel, unpacked.
fn headers(
    debian: Release,
    release: &str,
    architecture: Architecture,
    archive: &Debian,
) -> Result<PathBuf> {
    let package = format!("linux-headers-{release}");
    let check = |root: &Path| {
        let symbols = root.join("usr/src").join(&package).join("Module.symvers");
        ensure!(symbols.is_file(), "no {}", symbols.display());
        Ok(())
    };
    let name = format!("debian-{debian}-{}-{package}", architecture.debian());
    archive.cache().folder(&name, check, |root| {
        archive.get(&[debian], architecture, |lists| {
            // An archive drops the headers of a kernel together with the kernel.
            let dependency = |prefix| {
                lists.dependency(&package, prefix).map_err(|_| Unavailable {
                    reason: format!("the archive has no {package} any more"),
                    log: None,
                })
            };
            let (common, kbuild) = (dependency("linux-headers-")?, dependency("linux-kbuild-")?);
            let packages = [package.clone(), common, kbuild, "libelf1".to_owned()];
            lists.unpack(&packages, root)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_flavours_of_a_release_share_a_package() {
        let expected = "linux-headers-6.1.0-56-common";
        assert_eq!(common("6.1.0-56-amd64").as_deref(), Some(expected));
    }

    #[test]
    fn a_module_takes_its_name_from_its_file() {
        for (name, source) in MODULES {
            assert!(
                source.contains("SPDX-License-Identifier: GPL-2.0"),
                "{name}"
            );
            assert!(
                source.contains(&format!(".name = \"{name}\""))
                    || source.contains(".name = KBUILD_MODNAME")
            );
        }
    }
}

//! kmod for guests, with the libraries it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::elf;
use crate::kernel::ARCHITECTURE;

/// The release that guests get kmod from, whatever their kernel.
const RELEASE: &str = "bookworm";
/// Where kmod may be.
const PROGRAMS: [&str; 4] = ["usr/bin/kmod", "bin/kmod", "usr/sbin/kmod", "sbin/kmod"];
/// Where libraries may be.
const LIBRARIES: [&str; 6] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib64",
    "lib64",
    "usr/lib",
    "lib",
];

/// Files for an image, by their path in it.
pub type Files = BTreeMap<String, PathBuf>;

/// kmod and its libraries from Debian's package.
///
/// # Errors
/// Where it cannot be had.
pub fn packaged_kmod(cache: &Cache) -> Result<Files> {
    let name = format!("debian-{RELEASE}-{ARCHITECTURE}-kmod");
    let check = |root: &Path| collect(root).map(drop);
    let root = cache.folder(&name, check, |root| {
        let apt = Apt::update(RELEASE, ARCHITECTURE)?;
        apt.unpack(&apt.closure("kmod")?, root)
    })?;
    collect(&root)
}

/// This machine's own kmod and libraries: for a kernel of the user's own, which needs no network.
///
/// # Errors
/// Where there is none.
pub fn own_kmod() -> Result<Files> {
    collect(Path::new("/"))
}

/// Finds kmod under `root`, and all that it needs.
fn collect(root: &Path) -> Result<Files> {
    let program = PROGRAMS
        .iter()
        .map(|path| root.join(path))
        .find(|path| path.is_file());
    let program = program.with_context(|| format!("no kmod in {}", root.display()))?;
    let needs = elf::needs(&program)?;
    let mut files = Files::from([("usr/bin/kmod".to_owned(), program)]);
    let mut wanted = needs.libraries;
    if let Some(loader) = needs.loader {
        // Images have one folder of libraries, and links to it by all its names.
        wanted.push(loader.rsplit('/').next().unwrap_or(&loader).to_owned());
    }
    while let Some(name) = wanted.pop() {
        let place = format!("usr/lib/{name}");
        if files.contains_key(&place) {
            continue;
        }
        let candidates = LIBRARIES.iter().map(|folder| root.join(folder).join(&name));
        let library = candidates.into_iter().find(|path| path.is_file());
        let library = library.with_context(|| format!("no {name} in {}", root.display()))?;
        wanted.extend(elf::needs(&library)?.libraries);
        files.insert(place, library);
    }
    Ok(files)
}

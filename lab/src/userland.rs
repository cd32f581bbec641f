//! kmod and a shell for guests, with the libraries they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qemu_tests::architecture::Architecture;

use crate::debian::{Debian, Release};
use crate::elf;

/// The releases that guests get programs from, whatever their kernel; the best first.
pub const RELEASES: [Release; 3] = ["bookworm", "trixie", "bullseye"];
/// Where programs may be.
const PROGRAMS: [&str; 4] = ["usr/bin", "bin", "usr/sbin", "sbin"];
/// Where libraries may be, besides Debian's folders for an architecture in the last two.
const LIBRARIES: [&str; 4] = ["usr/lib64", "lib64", "usr/lib", "lib"];

/// Files for an image, by their path in it.
pub type Files = BTreeMap<String, PathBuf>;

/// kmod and its libraries from Debian's package.
///
/// # Errors
/// Where it cannot be had.
pub fn packaged_kmod(architecture: Architecture, debian: &Debian) -> Result<Files> {
    packaged("kmod", architecture, debian)
}

/// The program of a package that is called like it, and its libraries.
///
/// # Errors
/// Where it cannot be had.
pub fn packaged(name: &str, architecture: Architecture, debian: &Debian) -> Result<Files> {
    let check = |root: &Path| collect(name, root, architecture).map(drop);
    let (_, root) = debian.unpacked(&RELEASES, architecture, name, check, |lists, root| {
        lists.unpack(&lists.closure(name)?, root)
    })?;
    collect(name, &root, architecture)
}

/// This machine's own kmod and libraries: for a kernel of the user's own, which needs no network.
///
/// # Errors
/// Where there is none.
pub fn own_kmod(architecture: Architecture) -> Result<Files> {
    collect("kmod", Path::new("/"), architecture)
}

/// Finds a program under `root`, and all that it needs.
///
/// # Errors
/// Where something is not there.
pub fn collect(name: &str, root: &Path, architecture: Architecture) -> Result<Files> {
    collect_with(name, &[], root, architecture)
}

/// Finds a program under `root`, libraries that it opens while it runs, and all that these need.
///
/// # Errors
/// Where something is not there.
pub fn collect_with(
    name: &str,
    opens: &[&str],
    root: &Path,
    architecture: Architecture,
) -> Result<Files> {
    let gnu = architecture.gnu();
    let packaged = [
        format!("usr/lib/{gnu}"),
        format!("lib/{gnu}"),
        // What systemd's programs share.
        format!("usr/lib/{gnu}/systemd"),
    ];
    let folders: Vec<_> = packaged
        .iter()
        .map(String::as_str)
        .chain(LIBRARIES)
        .collect();
    let program = PROGRAMS
        .iter()
        .map(|folder| root.join(folder).join(name))
        .find(|path| path.is_file());
    let program = program.with_context(|| format!("no {name} in {}", root.display()))?;
    let needs = elf::needs(&program)?;
    let mut files = Files::from([(format!("usr/bin/{name}"), program)]);
    let mut wanted = needs.libraries;
    wanted.extend(opens.iter().map(|name| (*name).to_owned()));
    if let Some(loader) = needs.loader {
        // Images have one folder of libraries, and links to it by all its names.
        wanted.push(loader.rsplit('/').next().unwrap_or(&loader).to_owned());
    }
    while let Some(name) = wanted.pop() {
        let place = format!("usr/lib/{name}");
        if files.contains_key(&place) {
            continue;
        }
        let candidates = folders.iter().map(|folder| root.join(folder).join(&name));
        let library = candidates.into_iter().find(|path| path.is_file());
        let library = library.with_context(|| format!("no {name} in {}", root.display()))?;
        wanted.extend(elf::needs(&library)?.libraries);
        files.insert(place, library);
    }
    Ok(files)
}

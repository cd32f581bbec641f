//! What a row does with packages, and how it looks at images.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::rig::Rig;
use crate::supply::AGENT;
use crate::system::Recipe;

/// A package, and one of the same with a higher revision.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The package.
    pub first: PathBuf,
    /// The other one.
    pub newer: PathBuf,
}

/// The packages, for machines of [`crate::system::ARCHITECTURE`].
#[derive(Clone, Debug)]
pub struct Packages {
    /// dpkg's.
    pub deb: Pair,
    /// rpm's.
    pub rpm: Pair,
    /// pacman's.
    pub arch: Pair,
    /// What builds pacman's on Arch.
    pub pkgbuild: PathBuf,
}

/// Who makes them, once.
pub trait Packer: Sync {
    /// Gives them.
    ///
    /// # Errors
    /// Where they cannot be made.
    fn packages(&self) -> Result<Packages>;
}

/// A row: its name, the system that it changes, and what it does there.
pub(super) struct Course {
    pub(super) name: &'static str,
    pub(super) recipe: Recipe,
    pub(super) run: fn(&Rig<'_>, Recipe, &Packages) -> Result<String>,
}

/// Demands that an image's list of files has us, or has us not.
pub(super) fn look(step: &str, list: &str, expected: bool) -> Result<()> {
    let lines = list.lines().filter(|line| line.contains("vfio-bind"));
    let ours: Vec<_> = lines.collect();
    let agent = ours.iter().any(|line| line.ends_with(AGENT));
    match expected {
        true => ensure!(agent, "{step}: the image has no {AGENT}, but {ours:?}"),
        false => ensure!(ours.is_empty(), "{step}: the image still has {ours:?}"),
    }
    Ok(())
}

/// The name of a file.
pub(super) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_by_the_agent_in_it() {
        let with = "-rwxr-xr-x 1 root root 9 Jan  1 1970 usr/bin/vfio-bind-agent\n";
        look("x", with, true).unwrap();
        look("x", "usr/bin/true\n", false).unwrap();
        assert!(look("x", with, false).is_err());
        assert!(look("x", "scripts/init-top/00-vfio-bind\n", true).is_err());
        assert!(look("x", "scripts/init-top/00-vfio-bind\n", false).is_err());
    }
}

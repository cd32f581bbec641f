//! Packages for dpkg, rpm and pacman, of the one list of installed files: the same bytes each time.

pub mod arch;
pub mod built;
pub mod deb;
pub mod linked;
pub mod notes;
pub mod rpm;
pub mod same;
pub mod sbom;
pub mod source;
pub mod stage;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::elf;
use lab::program;
use lab::supply::Executables;
use qemu_tests::architecture::Architecture;

/// The version of the workspace, and so of its packages.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who answers for a package.
pub const MAINTAINER: &str = "The vfio-bind developers <maintainers@vfio-bind.example>";

/// What is packed.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// The version of what is in it.
    pub version: &'a str,
    /// How often that version was packed: 1 for the first.
    pub revision: u32,
    /// What its executables run on.
    pub architecture: Architecture,
    /// The executables.
    pub executables: Executables<'a>,
    /// The licences of what is linked into them.
    pub licences: &'a str,
    /// The time that all of it is of.
    pub time: Time,
}

impl Package<'_> {
    /// The version with the revision, as `0.1.0-1`.
    #[must_use]
    pub fn full_version(&self) -> String {
        format!("{}-{}", self.version, self.revision)
    }

    /// The C library that the command needs at least, as `2.34`.
    ///
    /// # Errors
    /// Where the command names none.
    pub fn libc(&self) -> Result<String> {
        let command = self.executables.command;
        let versions = elf::versions(command)?;
        let numbers = |version: &str| -> Option<Vec<u32>> {
            let parts = version.split('.').map(str::parse);
            parts.collect::<Result<_, _>>().ok()
        };
        let all = versions
            .iter()
            .filter_map(|name| name.strip_prefix("GLIBC_"));
        let newest = all.max_by_key(|version| numbers(version));
        newest
            .map(str::to_owned)
            .with_context(|| format!("{} needs no version of glibc", command.display()))
    }
}

/// A time, in seconds since 1970: that of the last commit, so that a package has the same bytes whenever it is
/// made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub u64);

impl Time {
    /// `SOURCE_DATE_EPOCH`, or when the last commit in `folder` was made.
    ///
    /// # Errors
    /// Where neither is known.
    pub fn of(folder: &Path) -> Result<Self> {
        let text = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text,
            Err(_) => {
                let mut git = Command::new("git");
                git.args(["log", "-1", "--format=%ct"]).current_dir(folder);
                program::output(&mut git).with_context(|| {
                    format!(
                        "{} is no clone of git's, which would tell the time of the last commit: set \
                         SOURCE_DATE_EPOCH to the seconds since 1970 that all files are to be of",
                        folder.display()
                    )
                })?
            }
        };
        let seconds = text.trim().parse();
        seconds
            .map(Self)
            .with_context(|| format!("SOURCE_DATE_EPOCH: `{}` is no number", text.trim()))
    }

    /// As date(1) writes it in UTC with `format`, its option or its `+FORMAT`.
    ///
    /// # Errors
    /// Where date(1) fails.
    pub fn format(self, format: &str) -> Result<String> {
        let mut date = Command::new("date");
        date.args(["--utc", &format!("--date=@{}", self.0), format])
            .env("LC_ALL", "C");
        Ok(program::output(&mut date)?.trim().to_owned())
    }
}

/// The checksums of files by a program of coreutils (`sha256sum`, `md5sum`): a line for each, by its path from
/// `folder`.
///
/// # Errors
/// Where one cannot be read.
pub fn sums(tool: &str, folder: &Path, files: &[PathBuf]) -> Result<String> {
    let mut command = Command::new(tool);
    for file in files {
        let path = file.strip_prefix(folder).unwrap_or(file);
        command.arg(path);
    }
    program::output(command.current_dir(folder))
}

/// The SHA-256 of one file.
///
/// # Errors
/// Where it cannot be read.
pub fn sha256(file: &Path) -> Result<String> {
    let text = sums("sha256sum", Path::new("."), &[file.to_owned()])?;
    let sum = text.split_whitespace().next();
    sum.map(str::to_owned).context("a checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_changelogs_have_it() {
        let time = Time(1_795_819_033);
        let text = time.format("--rfc-email").unwrap();
        assert_eq!(text, "Fri, 27 Nov 2026 22:37:13 +0000");
        assert_eq!(time.format("+%F").unwrap(), "2026-11-27");
    }

    #[test]
    fn sums_name_files_from_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("usr");
        std::fs::write(&file, "").unwrap();
        let text = sums("md5sum", folder.path(), &[file]).unwrap();
        assert_eq!(text, "d41d8cd98f00b204e9800998ecf8427e  usr\n");
    }
}

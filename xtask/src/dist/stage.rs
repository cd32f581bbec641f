//! The files of a package in a folder, as they are on a system that has it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use lab::files;

use super::{Package, Time};
use crate::install::{self, Packaging};
use crate::workspace;

/// Lays the files of a kind of package below `root`, which is made anew: manual pages compressed, and beside
/// them what that kind has of its own.
///
/// # Errors
/// Where one cannot be read or written.
pub fn fill(
    package: &Package<'_>,
    packaging: Packaging,
    own: &[(String, Vec<u8>)],
    root: &Path,
) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("rm({})", root.display()))?;
    }
    for (from, to, mode) in install::files(package.executables, Some(packaging)) {
        let content = fs::read(&from).with_context(|| format!("read({})", from.display()))?;
        match to.starts_with("usr/share/man/") {
            true => files::write(&root.join(format!("{to}.gz")), &gzip(&content)?, mode)?,
            false => files::write(&root.join(to), &content, mode)?,
        }
    }
    for (place, content) in own {
        files::write(&root.join(place), content, 0o644)?;
    }
    Ok(())
}

/// Where the licences of a package are, but Debian's.
pub const LICENCES: &str = "usr/share/licenses/vfio-bind";

/// The licences of a package, and of what is linked into it.
///
/// # Errors
/// Where one cannot be read.
pub fn licences(package: &Package<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let place = |name: &str| format!("{LICENCES}/{name}");
    Ok(vec![
        (place("LICENSE-MIT"), source("LICENSE-MIT")?),
        (place("LICENSE-APACHE"), source("LICENSE-APACHE")?),
        (place("linked-licences.txt"), package.licences.into()),
    ])
}

/// A file of the repository.
///
/// # Errors
/// Where it cannot be read.
pub fn source(place: &str) -> Result<Vec<u8>> {
    let path = workspace::folder().join(place);
    fs::read(&path).with_context(|| format!("read({})", path.display()))
}

/// Compressed as `gzip -9n` does: no name and no time.
///
/// # Errors
/// Where memory does not take it.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::best());
    writer.write_all(content).context("gzip")?;
    writer.finish().context("gzip")
}

/// All that is below a folder, by its place there, each folder before what is in it.
///
/// # Errors
/// Where a folder cannot be listed.
pub fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    files::walk(root, &|_| false)
}

/// Every file below a folder, sorted.
///
/// # Errors
/// Where a folder cannot be listed.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let all = walk(root)?.into_iter().map(|place| root.join(place));
    Ok(all.filter(|path| !path.is_dir()).collect())
}

/// Gives the whole of `root` one time, and folders the mode that all of them have on a system.
///
/// # Errors
/// Where something cannot be changed.
pub fn settle(root: &Path, time: Time) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.0);
    let all = walk(root)?.into_iter().map(|place| root.join(place));
    let all: Vec<_> = [root.to_owned()].into_iter().chain(all).collect();
    // What is in a folder first: it changes the folder's.
    for path in all.iter().rev() {
        if path.is_dir() {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755))
                .with_context(|| format!("chmod({})", path.display()))?;
        }
        let file = File::open(path).with_context(|| format!("open({})", path.display()))?;
        file.set_modified(time)
            .with_context(|| format!("utimes({})", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_has_no_time_and_says_that_it_is_small() {
        let bytes = gzip(b"x").unwrap();
        // MTIME, and XFL of the slowest (RFC 1952).
        assert_eq!(bytes[4..9], [0, 0, 0, 0, 2]);
    }

    #[test]
    fn all_is_of_one_time() {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join("b/c"), b"", 0o644).unwrap();
        files::write(&folder.path().join("a"), b"", 0o755).unwrap();
        settle(folder.path(), Time(7)).unwrap();
        let time = |place: &str| {
            let metadata = fs::metadata(folder.path().join(place)).unwrap();
            let since = metadata.modified().unwrap();
            since
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        assert_eq!(["", "a", "b", "b/c"].map(time), [7; 4]);
        let names = super::files(folder.path()).unwrap();
        assert_eq!(names, ["a", "b/c"].map(|name| folder.path().join(name)));
    }
}

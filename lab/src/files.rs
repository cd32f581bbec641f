//! Files and folders of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Writes a file as a whole: a program that runs, or a hard link to what is there, stays as it is.
///
/// # Errors
/// Where it cannot be written.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(".new");
    let new = folder.join(name);
    let fill = || -> std::io::Result<()> {
        fs::write(&new, content)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        fs::rename(&new, path)
    };
    fill().with_context(|| format!("write({})", path.display()))
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

/// All that is below a folder, by its place there: sorted, and each folder before what is in it. What `is_left_out`
/// says of a place or of a folder above it, is not there.
///
/// # Errors
/// Where a folder cannot be listed.
pub fn walk(root: &Path, is_left_out: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    walk_into(root, Path::new(""), is_left_out, &mut all)?;
    Ok(all)
}

fn walk_into(
    root: &Path,
    folder: &Path,
    is_left_out: &dyn Fn(&Path) -> bool,
    all: &mut Vec<PathBuf>,
) -> Result<()> {
    let path = root.join(folder);
    let listing = fs::read_dir(&path).with_context(|| format!("list({})", path.display()))?;
    let mut entries: Vec<_> = listing.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let place = folder.join(entry.file_name());
        if is_left_out(&place) {
            continue;
        }
        all.push(place.clone());
        if entry.file_type()?.is_dir() {
            walk_into(root, &place, is_left_out, all)?;
        }
    }
    Ok(())
}

/// Copies a folder with everything in it: files are hard links where that is possible.
///
/// # Errors
/// Where something cannot be read or made.
pub fn link_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("mkdir({})", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list({})", from.display()))? {
        link(&entry?, to)?;
    }
    Ok(())
}

/// Copies what a folder lists into the folder `to`, as [`link_tree`] does.
///
/// # Errors
/// Where something cannot be read or made.
pub fn link(entry: &fs::DirEntry, to: &Path) -> Result<()> {
    let (kind, old, new) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
    if kind.is_dir() {
        link_tree(&old, &new)?;
    } else if kind.is_symlink() {
        let target = fs::read_link(&old).with_context(|| format!("readlink({})", old.display()))?;
        std::os::unix::fs::symlink(target, &new)
            .with_context(|| format!("symlink({})", new.display()))?;
    } else if fs::hard_link(&old, &new).is_err() {
        // On another file system.
        fs::copy(&old, &new)
            .with_context(|| format!("copy({}, {})", old.display(), new.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_before_what_is_in_it_and_what_is_left_out_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["b/c", "b.d", "a/x/y", "a/z"] {
            write(&folder.path().join(place), b"", 0o644).unwrap();
        }
        std::os::unix::fs::symlink("b", folder.path().join("link")).unwrap();
        let all = walk(folder.path(), &|place| place == Path::new("a/x")).unwrap();
        let expected = ["a", "a/z", "b", "b/c", "b.d", "link"].map(PathBuf::from);
        assert_eq!(all, expected);
    }

    #[test]
    fn a_copy_is_its_own_where_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("etc")).unwrap();
        fs::write(from.join("etc/x"), "old").unwrap();
        std::os::unix::fs::symlink("etc", from.join("link")).unwrap();
        link_tree(&from, &to).unwrap();
        write(&to.join("link/x"), b"new", 0o644).unwrap();
        assert_eq!(fs::read(to.join("etc/x")).unwrap(), b"new");
        assert_eq!(fs::read(from.join("etc/x")).unwrap(), b"old");
    }
}

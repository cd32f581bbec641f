//! Files that are written whole: a temporary one beside each, and a rename.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// At the end of the name of a file that is not yet whole: no tool takes it for a setting.
const UNFINISHED: &str = ".vfio-bind-new";

/// Writes a file whole, with the mode and the owner of the one in its place; a new one has `mode`. Gives the
/// directories that had to be made, the outermost first.
///
/// # Errors
/// Where the system refuses a step: then the file is as it was.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<Vec<PathBuf>> {
    let directory = path.parent().context("a file has a directory")?;
    let made = directories(directory)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    let new = directory.join(name);
    let written = put(&new, path, content, mode);
    if written.is_err() {
        // It was never in use.
        let _ = fs::remove_file(&new);
        remove_directories(&made);
    }
    written.map(|()| made)
}

fn put(new: &Path, path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let show = new.display();
    // What a run left that was cut off.
    let _ = fs::remove_file(new);
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(new);
    let mut file = file.with_context(|| format!("open({show})"))?;
    file.write_all(content)
        .with_context(|| format!("write({show}), {} bytes", content.len()))?;
    let own = file.metadata().with_context(|| format!("stat({show})"))?;
    let mut mode = mode;
    if let Ok(old) = fs::metadata(path) {
        mode = old.mode() & 0o7777;
        // FAT has no owners, and refuses to change what is the same.
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))
                .with_context(|| format!("chown({show})"))?;
        }
    }
    if own.mode() & 0o7777 != mode {
        let set = file.set_permissions(Permissions::from_mode(mode));
        set.with_context(|| format!("chmod({show})"))?;
    }
    file.sync_all().with_context(|| format!("fsync({show})"))?;
    fs::rename(new, path).with_context(|| format!("rename({show}, {})", path.display()))?;
    sync_directory(path);
    Ok(())
}

/// Removes a file; one that is not there is no fault.
///
/// # Errors
/// Where the system refuses.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("unlink({})", path.display()))
        }
        _ => {
            sync_directory(path);
            Ok(())
        }
    }
}

/// A name is on the disk when its directory is. Not each file system can be asked for that.
fn sync_directory(path: &Path) {
    if let Some(directory) = path.parent().and_then(|parent| File::open(parent).ok()) {
        let _ = directory.sync_all();
    }
}

fn directories(directory: &Path) -> Result<Vec<PathBuf>> {
    let missing = directory.ancestors().take_while(|path| !path.exists());
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    for (index, path) in missing.iter().enumerate() {
        let made = fs::create_dir(path);
        if let Err(error) = made {
            remove_directories(&missing[..index]);
            return Err(error).with_context(|| format!("mkdir({})", path.display()));
        }
    }
    Ok(missing)
}

/// Removes directories that are empty, the innermost first.
pub fn remove_directories(made: &[PathBuf]) {
    for directory in made.iter().rev() {
        // One that something else is in stays.
        let _ = fs::remove_dir(directory);
    }
}

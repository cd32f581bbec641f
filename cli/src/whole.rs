//! Files that are there whole or as they were before.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Writes a file under a name of its own beside it, and renames it. Where a link leads to it, it is what is
/// replaced, and not the link.
///
/// # Errors
/// What the system answered, or that there is something that is no file; then all is as before.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let path = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            bail!("{}: it is there and is no regular file", path.display())
        }
        Ok(_) => fs::canonicalize(path).with_context(|| format!("open({})", path.display()))?,
        Err(_) => path.to_owned(),
    };
    let name = path.file_name().context("a file has a name")?;
    let new = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let new: PathBuf = path.with_file_name(new);
    // What was left behind by a process with this number.
    let _ = fs::remove_file(&new);
    let created = OpenOptions::new().write(true).create_new(true).open(&new);
    let mut file = created.with_context(|| format!("create({})", new.display()))?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write({})", new.display()))
        .and_then(|()| {
            fs::rename(&new, &path)
                .with_context(|| format!("rename({}, {})", new.display(), path.display()))
        });
    if written.is_err() {
        // It is of no use to anybody.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        write(&file, b"1").unwrap();
        symlink("a", folder.path().join("link")).unwrap();
        write(&folder.path().join("link"), b"2").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"2");
        assert!(folder.path().join("link").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(folder.path(), b"1").unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
        let error = format!(
            "{:#}",
            write(&folder.path().join("no/a"), b"1").unwrap_err()
        );
        assert!(
            error.contains("create(") && error.contains("No such file"),
            "{error}"
        );
    }
}

//! A text put in its place in one step: who reads the file sees all of it or what was there before.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Puts `text` at `path` by rename. The name that it has until then begins with a dot and ends with `.part`: what
/// reads a directory passes it over.
///
/// # Errors
/// What the system answered to the first call that failed; what was there is as it was.
pub fn file(path: &Path, text: &str) -> Result<()> {
    let Some(name) = path.file_name() else {
        bail!("{}: name a file", path.display());
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(hidden);
    let written = write(&part, text).and_then(|()| {
        fs::rename(&part, path)
            .with_context(|| format!("rename({}, {})", part.display(), path.display()))
    });
    if written.is_err() {
        // What remains of it is of no use to anybody.
        let _ = fs::remove_file(&part);
    }
    written
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("open({})", path.display()))?;
    let written = file.write_all(text.as_bytes());
    written
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write({})", path.display()))
}

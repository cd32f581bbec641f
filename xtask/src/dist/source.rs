//! The source as an archive: what the repository has, and nothing of a build.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lab::program;
use lab::tools::TAR;

use super::stage::gzip;
use super::{Time, VERSION};
use crate::workspace;

/// Writes it into `folder`; gives its path.
///
/// # Errors
/// Where tar fails, or something cannot be read or written.
pub fn write(time: Time, folder: &Path) -> Result<PathBuf> {
    let root = workspace::folder();
    let files = workspace::sources(root)?;
    ensure!(!files.is_empty(), "{} has no files", root.display());
    let name = format!("vfio-bind-{VERSION}");
    let (list, plain) = (folder.join("stage/source"), folder.join("stage/source.tar"));
    let mut text = Vec::new();
    for file in &files {
        text.extend(file.as_os_str().as_encoded_bytes());
        text.push(0);
    }
    lab::files::write(&list, &text, 0o644)?;
    let mut tar = TAR.command()?;
    tar.args(["--create", "--null", "--no-recursion", "--format=ustar"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        // Whatever umask it was cloned with.
        .args(["--mode=u=rwX,go=rX", &format!("--mtime=@{}", time.0)])
        .arg(format!("--transform=s,^,{name}/,"))
        .arg("--directory")
        .arg(root)
        .arg("--files-from")
        .arg(&list);
    program::output(tar.arg("--file").arg(&plain))?;
    let content = fs::read(&plain).with_context(|| format!("read({})", plain.display()))?;
    let path = folder.join(format!("{name}.tar.gz"));
    lab::files::write(&path, &gzip(&content)?, 0o644)?;
    Ok(path)
}

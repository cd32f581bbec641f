//! The folder for everything that is too long to say: consoles, and what programs said when they failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

static FOLDER: OnceLock<PathBuf> = OnceLock::new();
static NUMBER: AtomicUsize = AtomicUsize::new(1);

/// Chooses the folder; later calls change nothing.
pub fn set_folder(path: PathBuf) {
    let _ = FOLDER.set(path);
}

/// The folder, by default one of the system's for temporary files.
///
/// # Errors
/// Where it cannot be made.
pub fn folder() -> Result<&'static Path> {
    let folder = FOLDER.get_or_init(|| std::env::temp_dir().join("vfio-bind-logs"));
    fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
    Ok(folder)
}

/// Keeps what a program said; gives the file.
///
/// # Errors
/// Where it cannot be written.
pub fn keep(program: &str, text: &str) -> Result<PathBuf> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder()?.join(format!("{program}-{}-{number}.log", std::process::id()));
    fs::write(&path, text).with_context(|| format!("write({})", path.display()))?;
    Ok(path)
}

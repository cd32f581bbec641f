//! Small files, with errors that name them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The text of a file, without the white space around it.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).with_context(|| format!("read({})", path.display()))?;
    Ok(text.trim().to_owned())
}

/// That whoever started this program holds back no signal from it.
pub(crate) fn no_signal_held_back() -> Result<()> {
    let status = read("/proc/self/status")?;
    let held = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let held = held.context("/proc/self/status has no SigBlk")?.trim();
    ensure!(
        held.bytes().all(|digit| digit == b'0'),
        "signals are held back: {held}"
    );
    Ok(())
}

/// Writes a file in one call, as sysfs wants it.
pub(crate) fn write(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    fs::write(path, text).with_context(|| format!("write({}, {text:?})", path.display()))
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &str) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove({path})"))
        }
        _ => Ok(()),
    }
}

/// The last part of what a symbolic link points to, where there is one.
pub(crate) fn link_name(path: impl AsRef<Path>) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// What a directory holds, sorted.
pub(crate) fn list(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    let listing = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut entries = listing().with_context(|| format!("list({})", path.display()))?;
    entries.sort();
    Ok(entries)
}

/// Those of `paths` that there are, as soon as there are all, or after a while.
pub(crate) fn find(paths: &[String]) -> Vec<String> {
    const LIMIT: Duration = Duration::from_secs(5);
    let start = Instant::now();
    loop {
        let there = paths.iter().filter(|path| Path::new(path).exists());
        let there: Vec<_> = there.cloned().collect();
        if there.len() == paths.len() || start.elapsed() > LIMIT {
            return there;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! A copy of the system with the readers, with what they are to read in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::files;
use lab::program;
use lab::system;

/// Where the files are in the system that has their readers.
pub(super) const INPUT: &str = "tmp/fleets";

/// Runs a program in the system, among the files; gives what it printed.
pub(super) fn output(root: &Path, words: &[&str]) -> Result<String> {
    // Ansible wants UTF-8, and all of them a home.
    let folder = format!("/{INPUT}");
    let begin = ["env", "--chdir", &folder, "LC_ALL=C.UTF-8", "HOME=/root"];
    let all = [&begin[..], words].concat();
    program::output(&mut system::command(root, &all)?)
}

/// Changes a file among them, as somebody might who errs.
pub(super) fn spoil(root: &Path, place: &str, good: &str, bad: &str) -> Result<()> {
    let path = root.join(INPUT).join(place);
    let text = fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))?;
    ensure!(text.contains(good), "{place} does not say `{good}`");
    files::write(&path, text.replace(good, bad).as_bytes(), 0o644)
}

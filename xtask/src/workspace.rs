//! Where the repository is, and what it has.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use lab::program;
use lab::progress::say;

/// The variable that names another folder with the same source, which is to be built by this xtask.
pub const ELSEWHERE: &str = "VFIO_BIND_SOURCE";

/// The top folder of the repository.
#[must_use]
pub fn folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = || here.parent().unwrap_or(here).to_owned();
        env::var_os(ELSEWHERE).map_or_else(here, PathBuf::from)
    });
    &FOLDER
}

/// Every file of the repository in `root`, by its path there: what git has or would take; where git has none of
/// it, all that was not built.
///
/// # Errors
/// Where a folder cannot be listed.
pub fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let mut files: Vec<PathBuf> = match program::output(git.current_dir(root)) {
        // A copy within another repository, which ignores it.
        Ok(names) if names.is_empty() => all(root)?,
        Ok(names) => names.split_terminator('\0').map(PathBuf::from).collect(),
        Err(error) => {
            say(format_args!(
                "no git here, looking through all folders: {error:#}"
            ));
            all(root)?
        }
    };
    files.retain(|file| root.join(file).is_file());
    files.sort();
    Ok(files)
}

fn all(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(root, Path::new(""), &mut files)?;
    Ok(files)
}

/// All files under `root/folder`, but neither hidden ones' folders of git nor what was built.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = root.join(folder);
    for entry in fs::read_dir(&path).with_context(|| format!("list({})", path.display()))? {
        let entry = entry?;
        let place = folder.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true if [".git", "target"]
                .iter()
                .any(|name| entry.file_name() == *name) => {}
            true => walk(root, &place, files)?,
            false => files.push(place),
        }
    }
    Ok(())
}

//! Where the repository is, and what it has.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::Result;
use lab::progress::say;
use lab::{files, program};

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

/// All that is neither git's nor was built.
fn all(root: &Path) -> Result<Vec<PathBuf>> {
    let is_left_out = |place: &Path| {
        let name = place.file_name();
        let is_one = [".git", "target"]
            .iter()
            .any(|one| name == Some(one.as_ref()));
        is_one && root.join(place).is_dir()
    };
    files::walk(root, &is_left_out)
}

//! The same source in another folder, with cargo's home elsewhere, as the same packages.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::program;

use super::Time;
use crate::workspace;

/// Builds packages of a copy of the source, and compares them with those in `ours`; tells how many are the
/// same.
///
/// # Errors
/// Where one cannot be built, or is not the same: it is named.
pub fn compare(ours: &Path, folder: &Path, options: &[&str]) -> Result<String> {
    // As long as no other one is likely to be.
    let copy = folder.join("the same source in a folder of another name");
    let copy = PathBuf::from(copy.to_string_lossy().replace(' ', "-"));
    // What cargo built of it before serves, where nothing changed since.
    for old in [&copy, &folder.join("dist"), &folder.join("cargo")] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("rm({})", old.display()))?;
        }
    }
    let root = workspace::folder();
    for file in workspace::sources(root)? {
        let (from, to) = (root.join(&file), copy.join(&file));
        let parent = to.parent().unwrap_or(&copy);
        fs::create_dir_all(parent).with_context(|| format!("mkdir({})", parent.display()))?;
        fs::copy(&from, &to).with_context(|| format!("copy({})", from.display()))?;
        let time = fs::metadata(&from)?.modified()?;
        let copied = File::open(&to).with_context(|| format!("open({})", to.display()))?;
        copied
            .set_modified(time)
            .with_context(|| format!("utimes({})", to.display()))?;
    }
    let home = folder.join("cargo");
    link_home(&home)?;
    let theirs = folder.join("dist");
    // Its path may have another program by now: cargo builds this one anew for its tests.
    let mut xtask = Command::new("/proc/self/exe");
    xtask
        .arg("dist")
        .args(options)
        .arg("--folder")
        .arg(&theirs)
        .current_dir(&copy)
        .env(workspace::ELSEWHERE, &copy)
        .env("CARGO_HOME", &home)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("SOURCE_DATE_EPOCH", Time::of(root)?.0.to_string());
    program::output(&mut xtask)?;
    let names = |folder: &Path| -> Result<Vec<String>> {
        let path = folder.join("SHA256SUMS");
        let text =
            fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let (ours, theirs) = (names(ours)?, names(&theirs)?);
    let differ: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    ensure!(
        differ.is_empty() && ours.len() == theirs.len(),
        "{} of {} files are other ones where the source is in {}: {differ:?}",
        differ.len(),
        ours.len(),
        copy.display()
    );
    Ok(format!("{} files are the same", ours.len()))
}

/// A home for cargo with all that its own has.
fn link_home(home: &Path) -> Result<()> {
    fs::create_dir_all(home).with_context(|| format!("mkdir({})", home.display()))?;
    let own = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    let set = env::var_os("CARGO_HOME").map(PathBuf::from);
    let own = set
        .or_else(own)
        .context("neither CARGO_HOME nor HOME is set")?;
    for entry in fs::read_dir(&own).with_context(|| format!("list({})", own.display()))? {
        let entry = entry?;
        let link = home.join(entry.file_name());
        symlink(entry.path(), &link).with_context(|| format!("symlink({})", link.display()))?;
    }
    Ok(())
}

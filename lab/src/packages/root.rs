//! A system that a row may change, with a kernel in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use super::course::name;
use crate::files;
use crate::initrd::{self, Choice};
use crate::program;
use crate::rig::Rig;
use crate::system::{self, ARCHITECTURE, Recipe};

/// Where package managers and builds keep what changes with each run, and what is mounted over.
const UNLIKE: [&str; 13] = [
    "boot",
    "dev",
    "etc/ld.so.cache",
    "input",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/cache",
    "var/lib/dpkg",
    "var/lib/pacman",
    "var/lib/rpm",
    "var/log",
];

/// Has images built quickly, where the tool is there.
const QUICK: [(&str, &str); 2] = [
    ("etc/dracut.conf.d/test.conf", "compress=cat\ndo_strip=no\n"),
    (
        "etc/initramfs-tools/conf.d/test",
        "COMPRESS=gzip\nCOMPRESSLEVEL=1\nRESUME=none\n",
    ),
];

/// What package managers are given.
const INPUT: &str = "input";

/// The system.
pub(super) struct Root {
    /// Holds it, and goes with it.
    folder: tempfile::TempDir,
    /// The kernel's.
    pub(super) release: String,
}

impl Root {
    /// A copy of what `recipe` installs.
    pub(super) fn new(rig: &Rig<'_>, recipe: Recipe) -> Result<Self> {
        let folder = tempfile::tempdir_in(rig.folder()).context("a folder for a system")?;
        let kernel = rig.kernel(None, ARCHITECTURE)?;
        let root = Self {
            folder,
            release: kernel.release.clone(),
        };
        rig.copy_installed(recipe, &root.folder.path().join("root"))?;
        let staged = initrd::stage_modules(&kernel, &Choice::default())?;
        let modules = staged.path().join("lib/modules");
        files::link_tree(&modules, &root.place("usr/lib/modules"))?;
        for (place, text) in QUICK {
            let folder = Path::new(place).parent().unwrap_or(Path::new(""));
            if root.place("").join(folder).is_dir() {
                root.write(place, text)?;
            }
        }
        let boot = |name: &str, from: &Path| -> Result<()> {
            let to = root.place(&format!("boot/{name}-{}", kernel.release));
            fs::copy(from, &to).with_context(|| format!("copy({})", to.display()))?;
            Ok(())
        };
        boot("vmlinuz", &kernel.packed)?;
        let config = format!("config-{}", kernel.release);
        boot("config", &kernel.image.with_file_name(config))?;
        Ok(root)
    }

    /// The path of a place in it.
    pub(super) fn place(&self, place: &str) -> PathBuf {
        self.folder.path().join("root").join(place)
    }

    /// The image of its kernel.
    pub(super) fn image(&self, start: &str) -> String {
        format!("boot/{start}{}", self.release)
    }

    /// Runs a command in it; gives all that it said.
    pub(super) fn run(&self, words: &[&str]) -> Result<String> {
        let all = [&["sh", "-c", "exec \"$@\" 2>&1", "sh"], words].concat();
        program::output(&mut system::command(&self.place(""), &all)?)
    }

    /// Puts a file in it; gives its path there.
    pub(super) fn put(&self, from: &Path) -> Result<String> {
        let to = format!("{INPUT}/{}", name(from));
        let content = fs::read(from).with_context(|| format!("read({})", from.display()))?;
        files::write(&self.place(&to), &content, 0o644)?;
        Ok(format!("/{to}"))
    }

    /// Writes a file in it.
    pub(super) fn write(&self, place: &str, text: &str) -> Result<()> {
        files::write(&self.place(place), text.as_bytes(), 0o644)
    }

    /// Makes an image old, so that it can be told whether it is built anew.
    pub(super) fn age(&self, image: &str) -> Result<()> {
        let path = self.place(image);
        let file = File::open(&path).with_context(|| format!("open({})", path.display()))?;
        file.set_modified(SystemTime::UNIX_EPOCH)
            .with_context(|| format!("utimes({})", path.display()))
    }

    /// Demands that an image was built since it was made old.
    pub(super) fn ensure_built(&self, step: &str, image: &str) -> Result<()> {
        let path = self.place(image);
        let metadata = fs::metadata(&path).with_context(|| format!("stat({})", path.display()))?;
        let old = metadata.modified()? == SystemTime::UNIX_EPOCH;
        ensure!(!old, "{step}: {image} was not built anew");
        Ok(())
    }

    /// All that is in it and is not [`UNLIKE`] from run to run.
    pub(super) fn names(&self) -> Result<BTreeSet<PathBuf>> {
        names(&self.place(""))
    }
}

fn names(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let is_unlike = |place: &Path| UNLIKE.iter().any(|one| Path::new(one) == place);
    Ok(files::walk(root, &is_unlike)?.into_iter().collect())
}

/// What is in one and not in the other.
pub(super) fn ensure_same(
    step: &str,
    before: &BTreeSet<PathBuf>,
    after: &BTreeSet<PathBuf>,
) -> Result<()> {
    let more: Vec<_> = after.difference(before).collect();
    let less: Vec<_> = before.difference(after).collect();
    ensure!(
        more.is_empty() && less.is_empty(),
        "{step}: there are {more:?} that were not there, and {less:?} are gone"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_what_is_gone_is_named() {
        let set = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        ensure_same("x", &set(&["a"]), &set(&["a"])).unwrap();
        for (before, after) in [(set(&["a"]), set(&[])), (set(&[]), set(&["a"]))] {
            let error = ensure_same("x", &before, &after).unwrap_err();
            assert!(error.to_string().contains("\"a\""), "{error}");
        }
    }

    #[test]
    fn what_changes_with_each_run_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["var/log/x", "var/lib/x", "etc/ld.so.cache"] {
            files::write(&folder.path().join(place), b"", 0o644).unwrap();
        }
        let all = names(folder.path()).unwrap();
        let expected = ["etc", "var", "var/lib", "var/lib/x"].map(PathBuf::from);
        assert_eq!(all, expected.into_iter().collect());
    }
}

//! A folder of things that are costly to get, shared by all runs on a machine.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::progress::say;

/// The folder.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

impl Cache {
    /// `$VFIO_BIND_CACHE`, or `vfio-bind` in `$XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// Where none of them is set or the folder cannot be made.
    pub fn open() -> Result<Self> {
        let under = |name: &str, rest: &str| {
            let value = env::var_os(name).filter(|value| !value.is_empty());
            value.map(|value| PathBuf::from(value).join(rest))
        };
        let folder = under("VFIO_BIND_CACHE", "")
            .or_else(|| under("XDG_CACHE_HOME", "vfio-bind"))
            .or_else(|| under("HOME", ".cache/vfio-bind"))
            .context("no place for downloads: set VFIO_BIND_CACHE, XDG_CACHE_HOME or HOME")?;
        Self::at(&folder)
    }

    fn at(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
        // Programs run elsewhere get paths of it.
        Ok(Self(
            fs::canonicalize(folder).with_context(|| format!("path({})", folder.display()))?,
        ))
    }

    /// The folder `name`, made by `fill` unless it is there and passes `check`.
    ///
    /// `fill` gets an empty folder, which takes its name only when it is complete: neither a
    /// second process nor a killed one can leave half of it. A process that wants what another
    /// one is getting waits for it.
    ///
    /// # Errors
    /// Where `fill` fails or leaves what does not pass `check`.
    pub fn folder(
        &self,
        name: &str,
        check: impl Fn(&Path) -> Result<()>,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let (path, partial) = (self.0.join(name), self.0.join(format!("{name}.partial")));
        let _lock = self.lock(name)?;
        if path.exists() {
            match check(&path) {
                Ok(()) => return Ok(path),
                Err(error) => say(format_args!(
                    "{} does not serve any more, getting it again: {error:#}",
                    path.display()
                )),
            }
        }
        for leftover in [&path, &partial] {
            if leftover.exists() {
                fs::remove_dir_all(leftover)
                    .with_context(|| format!("remove({})", leftover.display()))?;
            }
        }
        fs::create_dir(&partial).with_context(|| format!("mkdir({})", partial.display()))?;
        fill(&partial)?;
        check(&partial)?;
        fs::rename(&partial, &path)
            .with_context(|| format!("rename({}, {})", partial.display(), path.display()))?;
        Ok(path)
    }

    /// Holds the lock of `name` as long as the value lives.
    fn lock(&self, name: &str) -> Result<File> {
        let path = self.0.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("create({})", path.display()))?;
        if file.try_lock().is_err() {
            say(format_args!(
                "waiting for another process that is getting {name}"
            ));
            file.lock()
                .with_context(|| format!("lock({})", path.display()))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{bail, ensure};

    fn whole(path: &Path) -> Result<()> {
        ensure!(path.join("whole").exists(), "no file `whole`");
        Ok(())
    }

    fn touch(path: &Path) -> Result<()> {
        Ok(fs::write(path.join("whole"), "")?)
    }

    #[test]
    fn a_folder_is_filled_once() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::at(temporary.path()).unwrap();
        let first = cache.folder("x", whole, touch).unwrap();
        let second = cache.folder("x", whole, |_| bail!("filled again")).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn half_a_folder_is_never_used() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::at(temporary.path()).unwrap();
        cache
            .folder("x", whole, |_| bail!("no network"))
            .unwrap_err();
        cache.folder("x", whole, |_| Ok(())).unwrap_err();
        let path = cache.folder("x", whole, touch).unwrap();
        fs::remove_file(path.join("whole")).unwrap();
        cache.folder("x", whole, touch).unwrap();
        whole(&path).unwrap();
    }
}

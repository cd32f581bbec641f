//! A folder of things that are costly to get, shared by all runs on a machine.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::lack::Unavailable;
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

    /// The cache in `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn at(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
        // Programs run elsewhere get paths of it.
        Ok(Self(
            fs::canonicalize(folder).with_context(|| format!("path({})", folder.display()))?,
        ))
    }

    /// Where `name` is or would be.
    #[must_use]
    pub fn place(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder `name`, if it is there and passes `check`.
    pub fn existing(&self, name: &str, check: impl Fn(&Path) -> Result<()>) -> Option<PathBuf> {
        Some(self.place(name)).filter(|path| path.exists() && check(path).is_ok())
    }

    /// The folder `name`, made by `fill` unless it is there and passes `check`.
    ///
    /// `fill` gets an empty folder, which takes its name only when it is complete: neither a
    /// second process nor a killed one can leave half of it, and what was there before goes only then. A
    /// process that wants what another one is getting waits for it.
    ///
    /// # Errors
    /// Where `fill` fails or leaves what does not pass `check`.
    pub fn folder(
        &self,
        name: &str,
        check: impl Fn(&Path) -> Result<()>,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let (path, partial) = (self.place(name), self.place(&format!("{name}.partial")));
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
        remove(&partial)?;
        fs::create_dir(&partial).with_context(|| format!("mkdir({})", partial.display()))?;
        if let Err(error) = fill(&partial) {
            // A lack says nothing about what came so far; anything else may be looked into.
            if Unavailable::behind(&error).is_some() {
                remove(&partial)?;
            }
            return Err(error);
        }
        check(&partial)?;
        remove(&path)?;
        fs::rename(&partial, &path)
            .with_context(|| format!("rename({}, {})", partial.display(), path.display()))?;
        Ok(path)
    }

    /// Holds the lock of `name` as long as the value lives.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
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

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove({})", folder.display()))?;
    }
    Ok(())
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

    #[test]
    fn what_does_not_serve_goes_only_when_there_is_something_better() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::at(temporary.path()).unwrap();
        let path = cache.folder("x", |_| Ok(()), |path| Ok(fs::write(path.join("old"), "")?));
        let path = path.unwrap();
        let lack = || Unavailable {
            reason: "404".to_owned(),
            log: None,
        };
        cache
            .folder("x", whole, |_| Err(lack().into()))
            .unwrap_err();
        assert!(path.join("old").exists(), "the old one stays");
        assert!(!cache.place("x.partial").exists());
        assert_eq!(cache.existing("x", whole), None);
        cache.folder("x", whole, touch).unwrap();
        assert_eq!(cache.existing("x", whole), Some(path));
    }
}

//! Packages of any Debian release and architecture, without changing the system.
//!
//! apt works with folders of its own in the cache, for lists and for packages. Mirror and keyring are
//! those of the system's own apt, so a machine behind a proxy or on a local mirror just works. apt
//! verifies every signature and checksum; nothing that it does not vouch for is ever used.
//!
//! A live archive is not always whole. What does not come is tried again, by hash, in another version
//! and from another release that serves as well; lists of an earlier run serve where new ones do not
//! come. What still cannot be had is an [`Unavailable`], and nothing else is.

mod apt;
mod archives;
mod bootstrap;
mod lists;
mod packages;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use qemu_tests::architecture::Architecture;

use crate::cache::Cache;
use crate::lack::{Memo, Unavailable};
use crate::progress::say;
use apt::Apt;
pub use archives::Archives;
pub use lists::{Lists, Release};

/// Debian's archive, as this machine reaches it.
#[derive(Debug)]
pub struct Debian {
    apt: Arc<Apt>,
    /// One set of lists for each release and architecture: asked for once in a run.
    lists: Memo<(Release, Architecture), Arc<Lists>>,
}

impl Debian {
    /// The archives that the system's apt names; they are looked up when something is first wanted.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self {
            apt: Arc::new(Apt::new(cache)),
            lists: Memo::default(),
        }
    }

    /// Other archives than the system's.
    #[must_use]
    pub fn at(archives: Archives, cache: Cache) -> Self {
        let debian = Self::new(cache);
        debian.apt.set_archives(archives);
        debian
    }

    /// Where unpacked packages are kept.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.apt.cache
    }

    /// Gets something by the lists of the first of `releases` that has it.
    ///
    /// # Errors
    /// [`Unavailable`] where none has it at present, with the reason of the first; at once, where
    /// `get` fails otherwise.
    pub fn get<T>(
        &self,
        releases: &[Release],
        architecture: Architecture,
        get: impl Fn(&Lists) -> Result<T>,
    ) -> Result<T> {
        let mut first = None;
        for release in releases {
            let lists = self.lists(release, architecture);
            let error = match lists.and_then(|lists| get(&lists)) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if Unavailable::behind(&error).is_none() {
                return Err(error);
            }
            if first.is_none() && releases.len() > 1 {
                say(format_args!("{error:#}: trying other releases"));
            }
            first.get_or_insert(error);
        }
        Err(first.context("no release is named")?)
    }

    /// The folder of what is unpacked from the first of `releases` that has it, and that release: from the
    /// cache, whichever release it is of, or filled by `fill`. It is called after release, architecture and `name`.
    ///
    /// # Errors
    /// As [`Debian::get`]; where `check` is not content with it.
    pub fn unpacked(
        &self,
        releases: &[Release],
        architecture: Architecture,
        name: &str,
        check: impl Fn(&Path) -> Result<()>,
        fill: impl Fn(&Lists, &Path) -> Result<()>,
    ) -> Result<(Release, PathBuf)> {
        let folder =
            |release: Release| format!("debian-{release}-{}-{name}", architecture.debian());
        for release in releases.iter().copied() {
            if let Some(root) = self.cache().existing(&folder(release), &check) {
                return Ok((release, root));
            }
        }
        self.get(releases, architecture, |lists| {
            let release = lists.release();
            let fill = |root: &Path| fill(lists, root);
            let root = self.cache().folder(&folder(release), &check, fill)?;
            Ok((release, root))
        })
    }

    /// The package lists of a release.
    fn lists(&self, release: Release, architecture: Architecture) -> Result<Arc<Lists>> {
        self.lists.get((release, architecture), || {
            Lists::open(&self.apt, release, architecture).map(Arc::new)
        })
    }
}

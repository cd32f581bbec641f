//! Takes files, directories and links from a system into a capture.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::disguise::Disguise;
use super::tree::{Entry, Meta, Tree, relative};

/// The most that is read of one file.
const MOST: u64 = 16 << 20;

/// A system on its way into a capture.
pub struct Taker<'r> {
    /// Its root directory, without links in its path.
    pub root: &'r Path,
    /// What was taken.
    pub tree: Tree,
    /// What stands for what.
    pub disguise: Disguise,
    /// Texts that are looked through again in the end, when all words are known.
    loose: Vec<PathBuf>,
}

impl<'r> Taker<'r> {
    /// Of the system whose root directory, without links in its path, is `root`.
    #[must_use]
    pub fn of(root: &'r Path) -> Self {
        Self {
            root,
            tree: Tree::default(),
            disguise: Disguise::default(),
            loose: Vec::new(),
        }
    }

    /// Adds a text, which is looked through again in the end.
    pub fn put_loose(&mut self, path: impl AsRef<Path>, text: String) {
        let place = self.place(path.as_ref());
        self.loose.push(place);
        self.put_text(path, text);
    }

    /// Adds a text with the time that its file has.
    pub fn put_text(&mut self, path: impl AsRef<Path>, text: String) {
        let path = path.as_ref();
        self.put_dated(path, path, text.into_bytes());
    }

    /// Adds a file with the time that the one at `from` has.
    pub fn put_dated(&mut self, path: impl AsRef<Path>, from: &Path, content: Vec<u8>) {
        let place = self.place(path.as_ref());
        let time = self.time(from);
        self.tree
            .add(&place, Entry::File(content), Meta { time, mode: None });
    }

    /// Ends it: no word that was replaced anywhere stands anywhere else.
    #[must_use]
    pub fn finish(mut self) -> (Tree, Disguise) {
        for path in std::mem::take(&mut self.loose) {
            let disguise = &self.disguise;
            self.tree.change(&path, |content| {
                let text = String::from_utf8_lossy(content);
                disguise.replaced_elsewhere(&text).into_bytes()
            });
        }
        (self.tree, self.disguise)
    }

    fn time(&self, path: &Path) -> u64 {
        let time = fs::metadata(self.root.join(path)).and_then(|metadata| metadata.modified());
        let time = time
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        time.map_or(0, |time| time.as_secs())
    }

    /// The bytes of a file; `None` where there is none. What may not be read is told.
    pub fn read(&mut self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let read = fs::File::open(self.root.join(path))
            .and_then(|file| file.take(MOST).read_to_end(&mut bytes));
        match read {
            Ok(_) => Some(bytes),
            Err(error) => {
                if error.kind() == ErrorKind::PermissionDenied {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    self.tree
                        .leave_out(format!("what only root may read ({name}, ...)"));
                }
                None
            }
        }
    }

    /// The text of a file.
    pub fn read_text(&mut self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = self.read(path)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A path as the capture has it.
    pub fn place(&mut self, path: &Path) -> PathBuf {
        let parts = path.components().map(|part| {
            let part = part.as_os_str().to_string_lossy();
            match part.as_ref() {
                ".." | "/" => part.into_owned(),
                part => self.disguise.numbers(part),
            }
        });
        parts.collect()
    }

    /// Adds a file with this content.
    pub fn put(&mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) {
        let place = self.place(path.as_ref());
        self.tree
            .add(&place, Entry::File(content.into()), Meta::default());
    }

    /// Adds a file that only is there, with its time and its permissions.
    pub fn put_mark(&mut self, path: impl AsRef<Path>) {
        self.put_instead(path, "");
    }

    /// The same with something in place of what is in it.
    pub fn put_instead(&mut self, path: impl AsRef<Path>, content: &str) {
        let path = path.as_ref();
        let Ok(metadata) = fs::metadata(self.root.join(path)) else {
            return;
        };
        let meta = Meta {
            time: self.time(path),
            mode: Some(metadata.mode() & 0o777),
        };
        let place = self.place(path);
        self.tree.add(&place, Entry::File(content.into()), meta);
    }

    /// Adds a directory, where there is one.
    pub fn put_directory(&mut self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        if self.root.join(path).is_dir() {
            let place = self.place(path);
            self.tree.add(&place, Entry::Directory, Meta::default());
        }
    }

    /// Adds a link, where there is one, and the directory that it leads to, empty.
    pub fn put_link(&mut self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        let from = self.root.join(path);
        let Ok(target) = fs::read_link(&from) else {
            return;
        };
        let target = relative(path, &target, self.root);
        let (place, target) = (self.place(path), self.place(&target));
        self.tree.add(&place, Entry::Link(target), Meta::default());
        if let Ok(directory) = fs::canonicalize(&from)
            && let Ok(below) = directory.strip_prefix(self.root)
            && directory.is_dir()
            && !below.as_os_str().is_empty()
        {
            let place = self.place(below);
            self.tree.add(&place, Entry::Directory, Meta::default());
        }
    }

    /// Where a link leads, below the root.
    #[must_use]
    pub fn target(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let target = fs::canonicalize(self.root.join(path)).ok()?;
        target.strip_prefix(self.root).ok().map(Path::to_owned)
    }

    /// The names in a directory, in order.
    #[must_use]
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

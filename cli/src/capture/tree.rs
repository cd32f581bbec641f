//! What a capture consists of, and how it is written: as a tar archive, or as a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

/// The most entries, and the most bytes in files, of one capture: a server with all its disks has a tenth.
const MOST_ENTRIES: usize = 200_000;
const MOST_BYTES: usize = 128 << 20;

/// Something at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file.
    File(Vec<u8>),
    /// A link to this target, as it is written there.
    Link(PathBuf),
}

/// What is known of an entry beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// When it was written, in seconds since 1970; 0 where that tells nothing.
    pub time: u64,
    /// Its permissions, where they matter.
    pub mode: Option<u32>,
}

/// All of it, by path below the root.
#[derive(Debug, Default)]
pub struct Tree {
    entries: BTreeMap<PathBuf, (Entry, Meta)>,
    bytes: usize,
    /// What was left out, in words.
    pub left_out: Vec<String>,
}

impl Tree {
    /// Adds an entry with the directories above it. The first one at a path stays.
    pub fn add(&mut self, path: &Path, entry: Entry, meta: Meta) {
        if self
            .entries
            .get(path)
            .is_some_and(|(known, _)| *known != Entry::Directory)
        {
            return;
        }
        let length = match &entry {
            Entry::File(content) => content.len(),
            _ => 0,
        };
        if self.entries.len() >= MOST_ENTRIES || self.bytes + length > MOST_BYTES {
            self.leave_out("what is beyond 200,000 entries or 128 MiB");
            return;
        }
        for above in path.ancestors().skip(1) {
            if above.as_os_str().is_empty() {
                break;
            }
            self.entries
                .entry(above.to_owned())
                .or_insert((Entry::Directory, Meta::default()));
        }
        if entry == Entry::Directory && self.entries.contains_key(path) {
            return;
        }
        self.bytes += length;
        self.entries.insert(path.to_owned(), (entry, meta));
    }

    /// Changes the content of a file.
    pub fn change(&mut self, path: &Path, new: impl FnOnce(&[u8]) -> Vec<u8>) {
        if let Some((Entry::File(content), _)) = self.entries.get_mut(path) {
            *content = new(content);
        }
    }

    /// Says once what is not here.
    pub fn leave_out(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is at a path.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path).map(|(entry, _)| entry)
    }

    /// The sum of all files.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes it: into a new directory where `file` ends in `/`, else into a tar archive, compressed where its name
    /// ends in `gz`. Nothing that is there is overwritten, and nothing half is left.
    ///
    /// # Errors
    /// Where something is there, or what the system answered.
    pub fn write(&self, file: &Path) -> Result<()> {
        let name = file.as_os_str().as_encoded_bytes();
        if fs::symlink_metadata(file).is_ok() {
            bail!("{}: it is there already; give another name", file.display());
        }
        if name.ends_with(b"/") {
            let written = self.write_directory(file);
            if written.is_err() {
                // It is ours: it was not there before.
                let _ = fs::remove_dir_all(file);
            }
            return written;
        }
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let opened = File::options().write(true).create_new(true).open(&beside);
        let opened = opened.with_context(|| format!("open({})", beside.display()))?;
        let compressed = name.ends_with(b".gz") || name.ends_with(b".tgz");
        let written = match compressed {
            true => self
                .write_tar(GzEncoder::new(opened, Compression::default()))
                .and_then(GzEncoder::finish),
            false => self.write_tar(opened),
        };
        let written = written
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&beside, file));
        if written.is_err() {
            // Half an archive is of no use to anybody.
            let _ = fs::remove_file(&beside);
        }
        written.with_context(|| format!("write({})", file.display()))
    }

    fn write_tar<W: Write>(&self, out: W) -> io::Result<W> {
        let mut archive = Builder::new(out);
        for (path, (entry, meta)) in &self.entries {
            let mut header = Header::new_gnu();
            header.set_mtime(meta.time);
            let mode = |otherwise| meta.mode.unwrap_or(otherwise);
            match entry {
                Entry::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(mode(0o755));
                    header.set_size(0);
                    archive.append_data(&mut header, path, io::empty())?;
                }
                Entry::File(content) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_mode(mode(0o644));
                    header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
                    archive.append_data(&mut header, path, &content[..])?;
                }
                Entry::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    archive.append_link(&mut header, path, target)?;
                }
            }
        }
        archive.into_inner()
    }

    fn write_directory(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("mkdir({})", directory.display()))?;
        for (path, (entry, meta)) in &self.entries {
            let place = directory.join(path);
            let done = match entry {
                Entry::Directory => fs::create_dir_all(&place),
                Entry::File(content) => File::options()
                    .write(true)
                    .create_new(true)
                    .open(&place)
                    .and_then(|mut file| {
                        file.write_all(content)?;
                        let time =
                            std::time::UNIX_EPOCH + std::time::Duration::from_secs(meta.time);
                        if meta.time > 0 {
                            file.set_modified(time)
                        } else {
                            Ok(())
                        }
                    }),
                Entry::Link(target) => symlink(target, &place),
            };
            done.with_context(|| format!("write({})", place.display()))?;
        }
        Ok(())
    }
}

/// A link's target such that it leads within a capture where it led within the system: relative.
#[must_use]
pub fn relative(link: &Path, target: &Path, root: &Path) -> PathBuf {
    if target.is_relative() {
        return target.to_owned();
    }
    let below = target
        .strip_prefix(root)
        .or_else(|_| target.strip_prefix("/"));
    let below = below.unwrap_or(target);
    let depth = link.components().count().saturating_sub(1);
    let up = std::iter::repeat_n(Component::ParentDir, depth);
    up.collect::<PathBuf>().join(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_within_the_capture() {
        let root = Path::new("/tmp/x");
        for (link, target, expected) in [
            ("sys/a/b", "../c", "../c"),
            ("sys/a/b", "/tmp/x/sys/c", "../../sys/c"),
            ("a", "/etc/b", "etc/b"),
        ] {
            assert_eq!(
                relative(Path::new(link), Path::new(target), root),
                Path::new(expected)
            );
        }
    }

    #[test]
    fn nothing_is_overwritten_and_both_forms_have_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.add(
            Path::new("a/b"),
            Entry::File(b"text".to_vec()),
            Meta {
                time: 77,
                mode: None,
            },
        );
        tree.add(Path::new("a/c"), Entry::Link("b".into()), Meta::default());
        let place = |name: &str| folder.path().join(name);
        for name in ["x.tar", "x.tar.gz", "x/"] {
            tree.write(&place(name)).unwrap();
            let again = tree.write(&place(name)).unwrap_err().to_string();
            assert!(again.contains("it is there already"), "{again}");
        }
        assert_eq!(fs::read(place("x/a/c")).unwrap(), b"text");
        let mut archive = tar::Archive::new(File::open(place("x.tar")).unwrap());
        assert_eq!(archive.entries().unwrap().count(), 3);
        let packed = flate2::read::GzDecoder::new(File::open(place("x.tar.gz")).unwrap());
        tar::Archive::new(packed).unpack(place("y")).unwrap();
        assert_eq!(fs::read(place("y/a/c")).unwrap(), b"text");
        assert!(tree.write(&place("none/x.tar")).is_err());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 4, "{left:?}");
    }
}

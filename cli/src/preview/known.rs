//! What a later run and a plan must know: the list of what is protected and the policy, as the image
//! of this boot had them and as they are now.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::storage::ask;
use crate::storage::protected::{self, Scope};
use anyhow::{Context, Result};
use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED, Tree};
use vfio_bind_agent::record::report::DIRECTORY;

/// The texts that stand for the two files of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The list of what is protected.
    pub protected: String,
    /// The policy, where there is one.
    pub policy: Option<Vec<u8>>,
    /// What there is to say about them.
    pub told: Vec<String>,
}

impl Known {
    /// Has the policy ask for these selectors as well. In front: a quote that nobody closed takes in what is behind it.
    pub fn ask_for(&mut self, words: &[String]) {
        let lines = words.iter().map(|word| format!("\"vfio.bind={word}\"\n"));
        let mut policy = lines.collect::<String>().into_bytes();
        policy.extend(self.policy.take().unwrap_or_default());
        self.policy = Some(policy);
    }
}

/// What a line of the list protects, without why.
pub(super) fn selector(line: &str) -> &str {
    line.split("  #").next().unwrap_or_default().trim()
}

/// Joins what the image of this boot knew, which the agent kept beside its report, with what the system
/// at `root` shows now. The policy file of the system counts before that of the image: its owner may
/// have changed it.
///
/// # Errors
/// Where a file is there and cannot be read, or the mounts of the system cannot be.
pub fn gather(root: &Path, scope: Scope) -> Result<Known> {
    let mut known = files(root)?;
    let found = protected::find(root, ask::of(root), scope)
        .context("what the system boots from is not known")?;
    let listed = known.protected.lines().map(selector);
    let listed: BTreeSet<_> = listed.map(str::to_owned).collect();
    let conf = found.conf();
    for line in conf.lines().filter(|line| !listed.contains(selector(line))) {
        known.protected.extend([line, "\n"]);
    }
    Ok(known)
}

/// The same; of a tree that was captured without mounts what its files say, which is of use and says what it
/// lacks.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn gather_or_less(root: &Path, scope: Scope) -> Result<Known> {
    gather(root, scope).or_else(|error| {
        let mut known = files(root)?;
        known
            .told
            .push(format!("{error:#}; a boot may refuse more"));
        Ok(known)
    })
}

/// What the files of a system say of it, for one whose mounts nobody knows.
///
/// # Errors
/// Where one is there and cannot be read.
pub fn files(root: &Path) -> Result<Known> {
    let kept = |file: &str| format!("{DIRECTORY}/{}", file.rsplit('/').next().unwrap_or(file));
    let read = |path: &str| read(&root.join(path));
    let list = match read(&kept(PROTECTED))? {
        Some(list) => Some(list),
        None => read(PROTECTED)?,
    };
    let mut protected = String::from_utf8_lossy(&list.unwrap_or_default()).into_owned();
    if !protected.is_empty() && !protected.ends_with('\n') {
        protected.push('\n');
    }
    let (own, kept) = (read(POLICY)?, read(&kept(POLICY))?);
    let mut told = Vec::new();
    if own
        .as_ref()
        .zip(kept.as_ref())
        .is_some_and(|(own, kept)| own != kept)
    {
        told.push(format!(
            "/{POLICY} is not what the image of this boot has of it; rebuild the image, and the next boot \
             follows it as well"
        ));
    }
    Ok(Known {
        protected,
        policy: own.or(kept),
        told,
    })
}

/// Opens a root directory as the agent's library reads it.
///
/// # Errors
/// Where it is none.
pub fn open(root: &Path) -> Result<Tree> {
    let c_root = CString::new(root.as_os_str().as_bytes()).context("--root: it has a NUL in it")?;
    Tree::open(&c_root)
        .map_err(crate::system)
        .with_context(|| format!("open({}): --root wants a directory", root.display()))
}

/// The kernel command line of the system at `root`.
///
/// # Errors
/// Where it cannot be read.
pub fn command_line(root: &Path) -> Result<Vec<u8>> {
    let path = root.join("proc/cmdline");
    fs::read(&path).with_context(|| format!("read({})", path.display()))
}

/// A file, where it is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("read({})", path.display())),
    }
}

/// A part of a text, as a read of a file gives it.
///
/// # Errors
/// None: it answers as a [`Root`] does.
pub(crate) fn part<'b>(text: &[u8], offset: u32, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let rest = text.get(offset as usize..).unwrap_or_default();
    let (length, room) = (rest.len().min(buffer.len()), buffer);
    room[..length].copy_from_slice(&rest[..length]);
    Ok(&room[..length])
}

/// What the system at `root` needs to boot, as an image that is built now would list it.
///
/// # Errors
/// Where its mounts cannot be read.
pub(crate) fn needed(root: &Path) -> Result<String> {
    let found = protected::find(root, ask::of(root), Scope::Boot);
    Ok(found
        .context("what the system boots from is not known")?
        .conf())
}

/// A system that is read as if its two files were these.
pub struct Informed<'t> {
    /// All else.
    pub tree: &'t Tree,
    /// The texts.
    pub known: &'t Known,
}

impl Root for Informed<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let text = match path {
            PROTECTED => self.known.protected.as_bytes(),
            POLICY => self.known.policy.as_deref().ok_or(Errno::NOENT)?,
            _ => return self.tree.read_at(path, offset, buffer),
        };
        part(text, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.tree.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        match path {
            PROTECTED => true,
            POLICY => self.known.policy.is_some(),
            _ => self.tree.exists(path),
        }
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        self.tree.list(path, each)
    }
}

//! All of a change, or nothing of it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::base::Content;
use super::files;
use super::manifest::Manifest;
use super::tools::Tools;
use crate::loader::change::Invocation;

/// Mode of a file of ours that a tool reads.
const MODE: u32 = 0o644;

/// What is done, in this order, and what takes it back.
#[derive(Debug)]
pub struct Steps<'s> {
    /// The files to be written, or removed.
    pub writes: &'s [Content],
    /// The same as they are before.
    pub was: &'s [Content],
    /// What is run behind that.
    pub run: &'s [Invocation],
    /// What is run where a step fails, when the files are as they were.
    pub back: &'s [Invocation],
    /// What programs write, as it is before: given back last of all.
    pub kept: &'s [Content],
}

/// How far it got.
#[derive(Debug, Default)]
pub struct Done {
    /// Directories that were made.
    pub directories: Vec<PathBuf>,
    written: usize,
    ran: bool,
}

impl Steps<'_> {
    /// Does it all. `each` is told how many steps are done, behind each.
    ///
    /// # Errors
    /// Where a step fails: [`Steps::take_back`] is next.
    pub fn take(
        &self,
        root: &Path,
        tools: &Tools,
        done: &mut Done,
        each: &mut dyn FnMut(&Done, usize) -> Result<()>,
    ) -> Result<()> {
        for (path, content) in self.writes {
            let whole = root.join(path);
            match content {
                Some(content) => done
                    .directories
                    .extend(files::write(&whole, content, MODE)?),
                None => files::remove(&whole)?,
            }
            done.written += 1;
            each(done, done.written)?;
        }
        for (index, invocation) in self.run.iter().enumerate() {
            tools.run(root, invocation, &mut done.ran)?;
            each(done, done.written + index + 1)?;
        }
        Ok(())
    }

    /// Makes everything as it was, as far as `done` says. Gives what did not work.
    #[must_use]
    pub fn take_back(&self, root: &Path, tools: &Tools, done: &Done) -> Vec<String> {
        let mut faults = Vec::new();
        let mut note =
            |result: Result<()>| faults.extend(result.err().map(|error| format!("{error:#}")));
        let put = |(path, content): &Content| match content {
            Some(content) => files::write(&root.join(path), content, MODE).map(drop),
            None => files::remove(&root.join(path)),
        };
        // One more than is done: what failed may have got half way.
        for (path, _) in self.writes.iter().take(done.written + 1).rev() {
            let old = self.was.iter().find(|(old, _)| old == path);
            if let Some(old) = old.filter(|old| files_differ(root, old)) {
                note(put(old));
            }
        }
        if done.ran {
            for invocation in self.back {
                note(tools.run(root, invocation, &mut false));
            }
            for old in self.kept {
                if files_differ(root, old) {
                    note(put(old));
                }
            }
        }
        files::remove_directories(&done.directories);
        faults
    }
}

fn files_differ(root: &Path, (path, content): &Content) -> bool {
    std::fs::read(root.join(path)).ok() != *content
}

/// The directories of a manifest, as paths.
#[must_use]
pub fn directories(root: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    manifest
        .directories
        .iter()
        .map(|path| root.join(path))
        .collect()
}

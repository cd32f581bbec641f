//! A machine without what setup did: what a new setting begins with, and what undoing ends with.

use std::path::Path;

use anyhow::Result;

use super::manifest::{Kept, Manifest};
use super::taken_out::{Edited, taken_out};
use crate::loader::change::{ByHand, Stop};
use crate::loader::line;
use crate::loader::view::View;

/// A file, and what is to be there.
pub type Content = (String, Option<Vec<u8>>);

/// The files that setup wrote, each as it is without ours.
///
/// # Errors
/// Where it cannot be told which of a file is ours, or a file cannot be read.
pub fn files(root: &Path, manifest: &Manifest) -> Result<Vec<Content>, Stop> {
    let view = View::new(root);
    let mut files = Vec::new();
    for file in &manifest.files {
        let now = view.read(&file.path)?;
        let with = Manifest::backup(root, &file.with)?;
        let without = match &file.without {
            Some(name) => Some(Manifest::backup(root, name)?),
            None => None,
        };
        let left = taken_out(Edited {
            now: now.as_deref(),
            with: &with,
            without: without.as_deref(),
            ours: &file.ours,
            words: &manifest.words,
        });
        let left = left.map_err(|_| {
            Stop::ByHand(ByHand {
                reason: format!(
                    "/{} was edited since setup wrote it, and which of it is setup's cannot be told",
                    file.path
                ),
                steps: vec![
                    format!("take `{}` out of /{}", manifest.words.join(" "), file.path),
                    "then run this again".to_owned(),
                ],
            })
        })?;
        files.push((file.path.clone(), left));
    }
    Ok(files)
}

/// What programs wrote, as it is to be given back; what cannot be told apart from an edit is left out. `seen` is
/// what was there before anything was undone.
///
/// # Errors
/// Where a file or a backup cannot be read.
pub fn kept(root: &Path, manifest: &Manifest, seen: &[Content]) -> Result<Vec<Content>> {
    let view = View::new(root);
    let mut given_back = Vec::new();
    for kept in &manifest.kept {
        let Some(name) = &kept.before else {
            continue;
        };
        let before = Manifest::backup(root, name)?;
        let untouched = match after(root, kept)? {
            Some(after) => seen
                .iter()
                .any(|(path, content)| *path == kept.path && content.as_ref() == Some(&after)),
            None => false,
        };
        let now = view.read(&kept.path)?;
        let as_before = now.is_some_and(|now| same_but(&now, &before, &manifest.words));
        if untouched || as_before {
            given_back.push((kept.path.clone(), Some(before)));
        }
    }
    Ok(given_back)
}

fn after(root: &Path, kept: &Kept) -> Result<Option<Vec<u8>>> {
    match &kept.after {
        Some(name) => Manifest::backup(root, name).map(Some),
        None => Ok(None),
    }
}

/// Whether a text is the other with our words put in and the blanks moved: the whole of it, or its first line, as
/// grubby leaves /etc/kernel/cmdline.
fn same_but(now: &[u8], before: &[u8], ours: &[String]) -> bool {
    let plain = |text: &str| {
        let bare = text.replace(['"', '\''], " ");
        line::without(&bare, ours)
    };
    let (now, before) = (
        String::from_utf8_lossy(now),
        String::from_utf8_lossy(before),
    );
    let now = plain(&now);
    now == plain(&before) || now == plain(before.lines().next().unwrap_or_default())
}

/// A machine as it is without what setup did.
///
/// # Errors
/// As those of [`files`] and [`kept`].
pub fn view<'r>(root: &'r Path, manifest: Option<&Manifest>) -> Result<View<'r>, Stop> {
    let mut view = View::new(root);
    if let Some(manifest) = manifest {
        for (path, content) in files(root, manifest)? {
            view.put(&path, content);
        }
        let seen = contents(root, manifest.kept.iter().map(|kept| kept.path.as_str()))?;
        for (path, content) in kept(root, manifest, &seen)? {
            view.put(&path, content);
        }
    }
    Ok(view)
}

/// Files as they are.
///
/// # Errors
/// Where one cannot be read.
pub fn contents<'p>(root: &Path, paths: impl Iterator<Item = &'p str>) -> Result<Vec<Content>> {
    let view = View::new(root);
    let read = |path: &'p str| Ok((path.to_owned(), view.read(path)?));
    paths.map(read).collect()
}

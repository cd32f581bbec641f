//! What setup did: enough to undo it exactly, written before the first change.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::files;
use crate::preview::known;

/// Where it is, below the root.
pub const FILE: &str = "var/lib/vfio-bind/setup.json";
/// Where the files are kept as they were: nothing reads settings there.
const BACKUP: &str = "var/lib/vfio-bind/backup";
/// What this program writes, and can undo.
const VERSION: u32 = 1;

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Begun, and cut off where this is found later.
    Begun,
    /// Done.
    Set,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its place below the root.
    pub path: String,
    /// The name of the backup that undoing gives back; `None`: no file.
    pub without: Option<String>,
    /// The name of the backup that says what was written.
    pub with: String,
    /// What of it is ours.
    pub ours: String,
}

/// A file that a program wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its place below the root.
    pub path: String,
    /// The name of the backup of what was there before; `None`: no file.
    pub before: Option<String>,
    /// The same for what the program made of it, where it was seen.
    pub after: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form.
    pub version: u32,
    /// How far it got.
    pub state: State,
    /// Steps that are done: files and programs.
    pub done: usize,
    /// The boot loader, by its row.
    pub loader: String,
    /// Whether it is for one boot.
    pub once: bool,
    /// The words.
    pub words: Vec<String>,
    /// Those of them that were there before.
    pub owners: Vec<String>,
    /// The files.
    pub files: Vec<Written>,
    /// What programs wrote.
    pub kept: Vec<Kept>,
    /// What was run.
    pub set: Vec<Vec<String>>,
    /// What undoes it.
    pub unset: Vec<Vec<String>>,
    /// Directories that were made, the outermost first, below the root.
    pub directories: Vec<String>,
}

impl Manifest {
    /// A new one.
    #[must_use]
    pub fn new(loader: &str, words: &[String], once: bool) -> Self {
        Self {
            version: VERSION,
            state: State::Begun,
            done: 0,
            loader: loader.to_owned(),
            once,
            words: words.to_owned(),
            owners: Vec::new(),
            files: Vec::new(),
            kept: Vec::new(),
            set: Vec::new(),
            unset: Vec::new(),
            directories: Vec::new(),
        }
    }

    /// The one of the system at `root`, where there is one.
    ///
    /// # Errors
    /// Where it cannot be read, or is of another version.
    pub fn read(root: &Path) -> Result<Option<Self>> {
        let path = root.join(FILE);
        let Some(text) = known::read(&path)? else {
            return Ok(None);
        };
        let show = path.display();
        let next = "undo by hand what its backups beside it show, then remove it";
        let manifest: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{show}: not understood; {next}"))?;
        if manifest.version != VERSION {
            bail!(
                "{show}: version {}, and this program knows {VERSION}: use the vfio-bind that wrote it",
                manifest.version
            );
        }
        let below = |path: &str| {
            !path.starts_with('/')
                && !Path::new(path)
                    .components()
                    .any(|part| part.as_os_str() == "..")
        };
        let paths = self::paths(&manifest);
        if let Some(path) = paths.into_iter().find(|path| !below(path)) {
            bail!("{show}: `{path}` is no path below the root; {next}");
        }
        Ok(Some(manifest))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&self, root: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).context("a manifest is JSON")?;
        text.push(b'\n');
        files::write(&root.join(FILE), &text, 0o600).map(drop)
    }

    /// Removes it, with its backups.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn remove(&self, root: &Path) -> Result<()> {
        files::remove(&root.join(FILE))?;
        self.remove_backups(root);
        let store = root.join(FILE);
        // Where it is empty: records of other commands may be there.
        files::remove_directories(
            &store
                .parent()
                .map(Path::to_owned)
                .into_iter()
                .collect::<Vec<_>>(),
        );
        Ok(())
    }

    /// Removes the backups: nothing refers to them any more.
    pub fn remove_backups(&self, root: &Path) {
        let files = self
            .files
            .iter()
            .flat_map(|file| [file.without.as_ref(), Some(&file.with)]);
        let kept = self
            .kept
            .iter()
            .flat_map(|kept| [kept.before.as_ref(), kept.after.as_ref()]);
        for name in files.chain(kept).flatten() {
            // One that stays is no loss.
            let _ = files::remove(&root.join(BACKUP).join(name));
        }
        files::remove_directories(&[root.join(BACKUP)]);
    }

    /// The content of a backup.
    ///
    /// # Errors
    /// Where it cannot be read, or is gone.
    pub fn backup(root: &Path, name: &str) -> Result<Vec<u8>> {
        let path = place(root, name);
        known::read(&path)?.with_context(|| format!("read({}): the backup is gone", path.display()))
    }
}

fn paths(manifest: &Manifest) -> Vec<&String> {
    let files = manifest.files.iter().map(|file| &file.path);
    let kept = manifest.kept.iter().map(|kept| &kept.path);
    files.chain(kept).chain(&manifest.directories).collect()
}

fn place(root: &Path, name: &str) -> PathBuf {
    // A name is one part: a manifest leads nowhere else.
    root.join(BACKUP).join(name.replace('/', "_"))
}

/// Keeps a content as a backup of its own, and gives its name.
///
/// # Errors
/// Where the system refuses.
pub fn keep(root: &Path, path: &str, what: &str, content: &[u8]) -> Result<String> {
    let stem = format!("{}.{what}", path.replace('/', "_"));
    let mut number = 0;
    let name = loop {
        let name = format!("{number}-{stem}");
        if !place(root, &name).exists() {
            break name;
        }
        number += 1;
    };
    files::write(&place(root, &name), content, 0o600)?;
    Ok(name)
}

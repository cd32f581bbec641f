//! A system as `--root` reads it, with nothing personal in it, for a report of a fault.
//!
//! [`taker`] takes, [`sysfs`], [`files`], [`image`], [`loaders`] and [`records`] know what; [`disguise`] has what stands for serial numbers, addresses and
//! names, [`words`] and [`hardware`] find these in texts and in bytes; [`tree`] writes it all down.

pub mod disguise;
mod files;
mod hardware;
mod image;
mod loaders;
mod records;
mod sysfs;
pub mod taker;
pub mod tree;
pub mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use disguise::Disguise;
use taker::Taker;
use tree::Tree;

/// Takes the system at `root`: what to write, and what was replaced.
///
/// # Errors
/// Where `root` cannot be opened.
pub fn take(root: &Path) -> Result<(Tree, Disguise)> {
    let root = fs::canonicalize(root).with_context(|| format!("open({})", root.display()))?;
    let mut taker = Taker::of(&root);
    files::plant(&mut taker);
    sysfs::take(&mut taker);
    files::take(&mut taker);
    image::take(&mut taker);
    loaders::take(&mut taker);
    records::take(&mut taker);
    Ok(taker.finish())
}

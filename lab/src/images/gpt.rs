//! A disk as an installer leaves it: a GPT with EFI's partition and that of the root.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::disk;
use crate::files;
use crate::program;
use crate::tools::{MCOPY, MKFS_FAT, MMD, SFDISK};

const MIB: u64 = 1 << 20;
/// Where EFI's partition begins, and how large it is.
const ESP: (u64, u64) = (MIB, 160 * MIB);
/// Where that of the root begins.
const ROOT: u64 = 161 * MIB;

/// A disk to make.
#[derive(Clone, Copy, Debug)]
pub struct Disk<'a> {
    /// The file.
    pub path: &'a Path,
    /// The files of EFI's partition, by their places there.
    pub esp: &'a [(String, PathBuf)],
    /// The folder with what is to be in the root.
    pub root: &'a Path,
    /// How large the root is, in bytes: a multiple of 1024.
    pub root_size: u64,
    /// Where files are made.
    pub folder: &'a Path,
}

/// Makes it, without root rights.
///
/// # Errors
/// Where a tool fails.
pub fn make(what: &Disk<'_>) -> Result<()> {
    let file =
        File::create(what.path).with_context(|| format!("create({})", what.path.display()))?;
    // Behind the last partition the table comes again.
    let size = ROOT + what.root_size + MIB;
    file.set_len(size).context("set_len")?;
    partition(what)?;
    disk::mke2fs(&disk::FileSystem {
        path: what.path,
        label: "root",
        content: Some(what.root),
        offset: ROOT,
        size: what.root_size,
        journal: true,
    })?;
    fill_esp(what)
}

fn partition(what: &Disk<'_>) -> Result<()> {
    let line = |(start, size): (u64, u64), kind: &str| {
        let (start, size) = (start / 1024, size / 1024);
        format!("start={start}KiB, size={size}KiB, type={kind}\n")
    };
    let table = format!(
        "label: gpt\n{}{}",
        line(ESP, "uefi"),
        line((ROOT, what.root_size), "linux")
    );
    let input = what.folder.join("table");
    files::write(&input, table.as_bytes(), 0o644)?;
    let input = File::open(&input).with_context(|| format!("open({})", input.display()))?;
    let mut sfdisk = SFDISK.command()?;
    sfdisk.args(["--quiet", "--no-tell-kernel", "--no-reread"]);
    program::output_from(sfdisk.arg(what.path), input.into()).map(drop)
}

fn fill_esp(what: &Disk<'_>) -> Result<()> {
    let mut mkfs = MKFS_FAT.command()?;
    // By itself it counts with larger clusters and the size of the whole file.
    mkfs.args(["-F", "32", "-s", "1", "-n", "ESP"]);
    mkfs.args(["--offset", &(ESP.0 / 512).to_string()]);
    program::output(mkfs.arg(what.path).arg((ESP.1 / 1024).to_string()))?;
    let at = format!("{}@@{}", what.path.display(), ESP.0);
    let folders = what.esp.iter().flat_map(|(place, _)| {
        let ends = place.match_indices('/');
        ends.map(|(end, _)| &place[..end])
    });
    // Each after the one that it is in.
    for folder in folders.collect::<BTreeSet<_>>() {
        let mut mmd = MMD.command()?;
        program::output(mmd.args(["-i", &at]).arg(format!("::{folder}")))?;
    }
    for (place, file) in what.esp {
        let mut mcopy = MCOPY.command()?;
        mcopy.args(["-i", &at]).arg(file).arg(format!("::{place}"));
        program::output(&mut mcopy)?;
    }
    Ok(())
}

//! A system in a file, for a report of a fault.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::capture;
use crate::capture::disguise::Kind;
use crate::terminal::{self, json};

/// Write what vfio-bind reads of this machine into an archive, with nothing personal in it.
///
/// Serial numbers, MAC and IP addresses, UUIDs, names of hosts, users, volumes and folders, and values of the kernel
/// command line that may be secrets are replaced: the same by the same, and by others in the next capture. Unpacked,
/// `vfio-bind plan --root DIR` and its like read it.
#[derive(Debug, Args)]
pub struct Options {
    /// A tar archive, compressed where its name ends in .gz, or a directory where it ends in a slash.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object about what was written (docs/schema/capture.json).
    #[arg(long)]
    json: bool,
    /// The root directory of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

#[derive(Serialize)]
struct Told {
    file: String,
    entries: usize,
    bytes: usize,
    replaced: Vec<Replaced>,
    left_out: Vec<String>,
}

#[derive(Serialize)]
struct Replaced {
    what: &'static str,
    count: usize,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where the system cannot be read, `FILE` is there already, or it cannot be written.
    pub fn run(self) -> Result<u8> {
        let (tree, disguise) = capture::take(&self.root)?;
        tree.write(&self.file)?;
        let replaced = Kind::ALL.map(|kind| Replaced {
            what: kind.plural(),
            count: disguise.count(kind),
        });
        let told = Told {
            file: self.file.display().to_string(),
            entries: tree.len(),
            bytes: tree.bytes(),
            replaced: replaced.into_iter().filter(|one| one.count > 0).collect(),
            left_out: tree.left_out,
        };
        if self.json {
            json::write("capture", &told)?;
        } else {
            terminal::write(&text(&told))?;
        }
        Ok(0)
    }
}

fn text(told: &Told) -> String {
    let kib = told.bytes.div_ceil(1024);
    let mut text = format!("{}: {} entries, {kib} KiB\n", told.file, told.entries);
    for Replaced { what, count } in &told.replaced {
        // A string takes everything.
        let _ = writeln!(text, "replaced {what}: {count}");
    }
    for what in &told.left_out {
        let _ = writeln!(text, "left out: {what}");
    }
    text.push_str(
        "Not in it: what processes have open. Look into it before you give it to others.\n",
    );
    text
}

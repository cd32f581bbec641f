//! What the running system needs to boot, as lines for an image.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::storage::{ask, protected};

/// Prints a line for each function that the system at `root` needs to boot; what could not be found
/// goes to standard error.
///
/// # Errors
/// Where the mounts of the system cannot be read, or nothing be written.
pub fn print(root: &Path) -> Result<()> {
    let protected = protected::find(root, ask::of(root))?;
    for problem in &protected.unresolved {
        eprintln!("vfio-bind: {problem}");
    }
    let mut out = io::stdout().lock();
    for line in &protected.lines {
        writeln!(out, "{line}").context("write(standard output)")?;
    }
    out.flush().context("write(standard output)")
}

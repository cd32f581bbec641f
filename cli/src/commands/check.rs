//! What is wrong in a policy file, before an image carries it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::preview::known::read;
use crate::preview::policy_file::findings;
use anyhow::{Context, Result};
use clap::Args;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_POLICY};

/// Look for mistakes in a policy file, line by line.
///
/// The builders of images run it. The exit status is 0 where there is nothing that has no effect, and 2
/// where there is.
#[derive(Debug, Args)]
pub struct Options {
    /// The policy file.
    #[arg(value_name = "FILE", default_value = "/etc/vfio-bind/policy.conf")]
    file: PathBuf,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`check`].
    pub fn run(self) -> Result<u8> {
        check(&self.file)
    }
}

/// Prints a line for each problem of the policy file at `path`; gives the exit status: 2 where a part of it
/// would have no effect. One that is not there has nothing wrong in it.
///
/// # Errors
/// Where it is there and cannot be read, or nothing be written.
pub fn check(path: &Path) -> Result<u8> {
    let Some(text) = read(path)? else {
        return Ok(EXIT_DONE);
    };
    let name = path.display().to_string();
    let mut exit = EXIT_DONE;
    let mut out = io::stdout().lock();
    for finding in findings(&text) {
        writeln!(out, "{}", finding.told(&name)).context("write(standard output)")?;
        if finding.error {
            exit = EXIT_POLICY;
        }
    }
    Ok(exit)
}

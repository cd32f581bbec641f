//! What is wrong in a policy file, before an image carries it.

use std::path::{Path, PathBuf};

use crate::preview::known::read;
use crate::preview::policy_file::{Finding, findings};
use crate::terminal::{self, json};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
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
    /// One JSON object (docs/schema/check.json).
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`check`].
    pub fn run(self) -> Result<u8> {
        check(&self.file, self.json)
    }
}

/// Prints a line for each problem of the policy file at `path`; gives the exit status: 2 where a part of it
/// would have no effect. One that is not there has nothing wrong in it.
///
/// # Errors
/// Where it is there and cannot be read, or nothing be written.
pub fn check(path: &Path, json: bool) -> Result<u8> {
    let name = path.display().to_string();
    let findings = findings(&read(path)?.unwrap_or_default());
    let exit = match findings.iter().any(|finding| finding.error) {
        true => EXIT_POLICY,
        false => EXIT_DONE,
    };
    if json {
        let told = Told {
            exit,
            file: &name,
            findings: &findings,
        };
        json::write("check", &told)?;
    } else {
        let lines = findings.iter().map(|finding| finding.told(&name) + "\n");
        terminal::write(&lines.collect::<String>())?;
    }
    Ok(exit)
}

/// What programs get.
#[derive(Serialize)]
struct Told<'f> {
    exit: u8,
    file: &'f str,
    findings: &'f [Finding],
}

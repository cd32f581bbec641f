//! One call on an attribute of sysfs, in a process of its own: a driver may keep it for ever. `vfio-bind release`
//! runs this.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::SHOWN_MOST;

use super::plan;

/// Read an attribute, or write to it.
///
/// The exit status is the system's answer: 0, or its error number.
#[derive(Debug, Args)]
pub struct Options {
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Below the root, without a slash in front.
    #[arg(value_name = "PATH")]
    path: String,
    /// What is written; without it the attribute is read.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where the root is none.
    pub fn run(self) -> Result<u8> {
        let tree = plan::open(&self.root)?;
        let answer = match &self.text {
            Some(text) => tree.write(&self.path, text.as_bytes()),
            None => {
                let mut buffer = [0; SHOWN_MOST];
                match tree.read(&self.path, &mut buffer) {
                    Ok(text) => {
                        let written = io::stdout().write_all(text);
                        written.context("write(standard output)")?;
                        Ok(())
                    }
                    Err(errno) => Err(errno),
                }
            }
        };
        Ok(answer.map_or_else(status, |()| 0))
    }
}

/// Linux has none above 133.
fn status(errno: Errno) -> u8 {
    u8::try_from(errno.raw_os_error()).unwrap_or(u8::MAX)
}

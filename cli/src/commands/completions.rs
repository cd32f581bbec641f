//! What a shell completes.

use crate::terminal;
use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use vfio_bind_agent::record::EXIT_DONE;

/// Print what a shell needs to complete commands and options.
///
/// Packages have it in its place. By hand, for bash: vfio-bind completions bash >
/// /etc/bash_completion.d/vfio-bind
#[derive(Debug, Args)]
pub struct Options {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Options {
    /// Does what they say, where `program` is the whole command line; gives the exit status.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn run(self, mut program: Command) -> Result<u8> {
        let mut text = Vec::new();
        generate(self.shell, &mut program, "vfio-bind", &mut text);
        let text = String::from_utf8(text).context("completions")?;
        terminal::write(&text)?;
        Ok(EXIT_DONE)
    }
}

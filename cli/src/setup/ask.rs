//! A question on the terminal.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, Result};

use super::request::Request;
use super::told::Told;
use crate::terminal;

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is to be done.
    Yes,
    /// It is not.
    No,
    /// Nobody can be asked, which is told.
    Nobody,
}

/// Asks whether to go on, unless that was said already: all but yes is no.
///
/// # Errors
/// Where the terminal does not answer.
pub fn whether(question: &str, request: &Request, told: &Told) -> Result<Answered> {
    if request.yes {
        return Ok(Answered::Yes);
    }
    if told.json() || !io::stdin().is_terminal() {
        terminal::tell(format_args!(
            "vfio-bind: there is nobody to ask: say --yes, or see what it would do with --dry-run"
        ));
        return Ok(Answered::Nobody);
    }
    terminal::write(&format!("{question} [y/N] "))?;
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("read(standard input)")?;
    let yes = ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str());
    Ok(if yes { Answered::Yes } else { Answered::No })
}

//! A question on the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result};

/// Whether there is somebody to ask.
#[must_use]
pub fn can_be() -> bool {
    io::stdin().is_terminal()
}

/// Asks; all but yes is no.
///
/// # Errors
/// Where the terminal does not answer.
pub fn whether(question: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    write!(out, "{question} [y/N] ")
        .and_then(|()| out.flush())
        .context("write(standard output)")?;
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("read(standard input)")?;
    Ok(matches!(
        line.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

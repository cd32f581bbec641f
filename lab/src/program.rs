//! Other programs, with errors that show what was run and what it said.

use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program that must succeed; gives its standard output.
///
/// # Errors
/// Where it cannot be started or does not succeed, with everything it said.
pub fn output(command: &mut Command) -> Result<String> {
    output_from(command, Stdio::null())
}

/// Runs a program that must succeed on this input; gives its standard output.
///
/// # Errors
/// As [`output`].
pub fn output_from(command: &mut Command, input: Stdio) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(input)
        .output()
        .with_context(|| format!("`{line}` could not be started"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}:\n{}", output.status, said(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a shell would take it.
#[must_use]
pub fn line(command: &Command) -> String {
    let mut line = quoted(&command.get_program().to_string_lossy());
    for argument in command.get_args() {
        let _ = write!(line, " {}", quoted(&argument.to_string_lossy()));
    }
    line
}

/// Both outputs of a program, errors last.
#[must_use]
pub fn said(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    text.concat().trim_end().to_owned()
}

/// A word in single quotes, if it needs any.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("qemu");
        command.args(["-append", "a=\"b c\" it's", "", "x"]);
        assert_eq!(line(&command), r#"qemu -append 'a="b c" it'\''s' '' x"#);
    }

    #[test]
    fn a_failure_shows_command_status_and_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = output(&mut command).unwrap_err().to_string();
        for piece in ["sh -c", "exit status: 3", "out", "err"] {
            assert!(error.contains(piece), "{error}");
        }
    }
}

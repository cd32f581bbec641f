//! A line of ours at the end of a file that a shell reads.

use super::change::{FileEdit, Stop};
use super::facts::Facts;
use super::shell::{self, Command, Fault};

/// In front of our line.
pub const MARK: &str =
    "# vfio-bind: the next line is its own; `vfio-bind setup --undo` takes both out";

/// A line that adds words to a variable.
#[must_use]
pub fn line(variable: &str, words: &[String]) -> String {
    format!("{variable}=\"${variable} {}\"\n", words.join(" "))
}

/// The file at `path`, with a line behind all others that adds `words` to `variable`.
///
/// # Errors
/// Where nothing that is added to the file would be read, or it cannot be told.
pub fn append(
    facts: &Facts<'_>,
    path: &str,
    variable: &str,
    words: &[String],
) -> Result<FileEdit, Stop> {
    let place = facts.view.place(path)?;
    let text = facts.view.read(path)?.unwrap_or_default();
    let add = line(variable, words);
    let by_hand = |reason: String| {
        Stop::by_hand(
            reason,
            [format!(
                "add this line where it is read: {}",
                add.trim_end()
            )],
        )
    };
    let commands = shell::commands(&text)
        .map_err(|fault| by_hand(format!("/{path}:{}: {}", fault.line, fault.what)))?;
    if let Some(end) = commands.iter().find(|command| command.ends()) {
        return Err(by_hand(format!(
            "/{path}:{}: `{}` ends it, and nothing behind that is read",
            end.line,
            end.words.join(" ")
        )));
    }
    let glue = if text.is_empty() || text.ends_with(b"\n") {
        ""
    } else {
        "\n"
    };
    let ours = format!("{glue}{MARK}\n{add}");
    Ok(FileEdit::insert(&place, &text, text.len(), &ours))
}

/// The commands of a file, or what is not understood of it; none where it is not there.
///
/// # Errors
/// Where it cannot be read.
pub fn read(facts: &Facts<'_>, path: &str) -> anyhow::Result<Result<Vec<Command>, Fault>> {
    let text = facts.view.read(path)?.unwrap_or_default();
    Ok(shell::commands(&text))
}

/// The commands of a file that may say what it likes as long as it is understood, and nothing otherwise.
///
/// # Errors
/// Where it cannot be read.
pub fn understood(facts: &Facts<'_>, path: &str) -> anyhow::Result<Vec<Command>> {
    Ok(read(facts, path)?.unwrap_or_default())
}

//! Files that hold a kernel command line as a text.

use super::change::{FileEdit, Stop};
use super::entry::rooted;
use super::facts::Facts;

/// Words put behind the first line of a file: for tools that read no other.
///
/// # Errors
/// Where the line is no kernel command line.
pub fn behind_first(facts: &Facts<'_>, path: &str, words: &[String]) -> Result<FileEdit, Stop> {
    edit(facts, path, words, &|_, number| number == 1)
}

/// Words put behind the first line that is no comment: for tools that read all lines.
///
/// # Errors
/// Where there is no such line, or no `root=` in the file while the running system has one.
pub fn behind_words(facts: &Facts<'_>, path: &str, words: &[String]) -> Result<FileEdit, Stop> {
    edit(facts, path, words, &|line, _| {
        !line.is_empty() && !line.starts_with('#')
    })
}

fn edit(
    facts: &Facts<'_>,
    path: &str,
    words: &[String],
    wanted: &dyn Fn(&str, usize) -> bool,
) -> Result<FileEdit, Stop> {
    let place = facts.view.place(path)?;
    let bytes = facts.view.read(path)?.unwrap_or_default();
    let ours = format!(" {}", words.join(" "));
    let by_hand = |what: String| {
        Stop::by_hand(
            what,
            [format!(
                "put these words into the line of /{path} that has root=: {}",
                ours.trim_start()
            )],
        )
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(by_hand(format!("/{path} is no UTF-8")));
    };
    let mut at = 0;
    for (number, piece) in (1..).zip(text.split_inclusive('\n')) {
        let line = piece.trim();
        if !wanted(line, number) {
            at += piece.len();
            continue;
        }
        if line.starts_with('#') || line.is_empty() || (!rooted(line) && rooted(&facts.line)) {
            return Err(by_hand(format!(
                "line {number} of /{path}, the one that is read, has no root=: `{line}`"
            )));
        }
        let end = at + piece.trim_end().len();
        return Ok(FileEdit::insert(&place, &bytes, end, &ours));
    }
    Err(by_hand(format!("/{path} has no line with words in it")))
}

/// A line for a file that is not there yet, of the words that boot now.
///
/// # Errors
/// Where it has no `root=`, and the running system has one.
pub fn new(facts: &Facts<'_>, path: &str, base: &str, words: &[String]) -> Result<FileEdit, Stop> {
    if !rooted(base) && (rooted(&facts.line) || base.trim().is_empty()) {
        return Err(Stop::by_hand(
            format!(
                "/{path} is not there, and no boot entry says what it has to begin with (no root= in `{base}`)"
            ),
            [format!(
                "write /{path} with the whole kernel command line, {} behind it",
                words.join(" ")
            )],
        ));
    }
    let place = facts.view.place(path)?;
    Ok(FileEdit::line(
        &place,
        base.trim(),
        &format!(" {}", words.join(" ")),
    ))
}

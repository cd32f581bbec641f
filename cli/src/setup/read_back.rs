//! Whether what is booted has the words: what a tool says of itself is not enough.

use std::path::Path;

use anyhow::{Result, bail};

use super::tools::Tools;
use crate::loader::change::{BootLine, Invocation};
use crate::loader::facts::Facts;
use crate::loader::line;
use crate::loader::table::Row;
use crate::loader::view::View;

/// The lines that boots may have now.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(root: &Path, row: &Row) -> Result<Vec<BootLine>> {
    let view = View::new(root);
    let facts = Facts::gather(&view, &|_| false)?;
    (row.lines)(&facts)
}

/// Looks for the words, and for what may have got lost. Gives the entries that are without the words.
///
/// # Errors
/// Where the usual entry is without them, or an entry lost its `root=`.
pub fn check(before: &[BootLine], after: &[BootLine], words: &[String]) -> Result<Vec<String>> {
    let rooted = |line: &BootLine| {
        line::words(&line.line)
            .iter()
            .any(|word| word.starts_with("root="))
    };
    for old in before.iter().filter(|line| rooted(line)) {
        if let Some(new) = after.iter().find(|new| new.entry == old.entry)
            && !rooted(new)
        {
            bail!(
                "the entry `{}` has lost its root=: `{}`",
                new.entry,
                new.line
            );
        }
    }
    if after.is_empty() && !before.is_empty() {
        bail!("no boot entry is left");
    }
    let mut without = Vec::new();
    for (index, entry) in after.iter().enumerate() {
        if line::has(&entry.line, words) {
            continue;
        }
        if index == 0 {
            bail!(
                "the entry `{}` is without the words: `{}`",
                entry.entry,
                entry.line
            );
        }
        if !without.contains(&entry.entry) {
            without.push(entry.entry.clone());
        }
    }
    Ok(without)
}

/// Looks for the words in what a program says of each entry, as `args="..."`, or in each line that it prints.
///
/// # Errors
/// Where an entry is without them, or the program fails.
pub fn ask(root: &Path, tools: &Tools, ask: &Invocation, words: &[String]) -> Result<()> {
    let Some(text) = tools.output(root, ask)? else {
        return Ok(());
    };
    let mut args: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("args="))
        .collect();
    if args.is_empty() {
        args.extend(text.lines().filter(|line| !line.trim().is_empty()));
    }
    let mut entries = 0;
    for args in args {
        entries += 1;
        let args = args
            .strip_prefix('"')
            .and_then(|args| args.strip_suffix('"'))
            .unwrap_or(args);
        if !line::has(args, words) {
            bail!("{ask}: an entry is without the words: `{args}`");
        }
    }
    if entries == 0 {
        bail!("{ask}: it names no entry");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(entry: &str, line: &str) -> BootLine {
        BootLine {
            entry: entry.to_owned(),
            line: line.to_owned(),
        }
    }

    #[test]
    fn the_usual_entry_needs_the_words_and_none_loses_its_root() {
        let words = ["w".to_owned()];
        let before = [entry("a", "root=1 quiet"), entry("r", "root=1 single")];
        let after = [entry("a", "root=1 quiet w"), entry("r", "root=1 single")];
        assert_eq!(check(&before, &after, &words).unwrap(), ["r"]);
        for (bad, expected) in [
            (
                vec![entry("a", "root=1 quiet"), entry("r", "root=1 single w")],
                "`a` is without the words",
            ),
            (
                vec![entry("a", "w"), entry("r", "root=1 single")],
                "lost its root=",
            ),
            (vec![], "no boot entry is left"),
        ] {
            let error = check(&before, &bad, &words).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

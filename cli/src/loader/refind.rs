//! rEFInd, which reads lines of two quoted texts beside the kernel: a title, and the kernel command line.

use std::ops::Range;

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Stop};
use super::facts::{Facts, Program};

const FILE: &str = "boot/refind_linux.conf";

/// Whether rEFInd started the kernel.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let places = ["boot/efi/EFI/refind", "efi/EFI/refind", "boot/EFI/refind"];
    let there = facts.view.first(&places).is_some() && !facts.line.starts_with("BOOT_IMAGE=");
    Ok(facts.view.exists(FILE)
        && (facts.program == Program::Refind || (there && facts.program == Program::Unknown)))
}

/// What is between the quotes of a line's texts; `None` where one is without quotes, or has no end. Two quotes in
/// a quoted text are one of it (refind/config.c, `ReadTokenLine`).
fn quoted(line: &str) -> Option<Vec<Range<usize>>> {
    let bytes = line.as_bytes();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' => break,
            b'"' => {
                let start = at + 1;
                at = start;
                loop {
                    match (bytes.get(at)?, bytes.get(at + 1)) {
                        (b'"', Some(b'"')) => at += 2,
                        (b'"', _) => break,
                        _ => at += 1,
                    }
                }
                texts.push(start..at);
                at += 1;
            }
            _ => return None,
        }
    }
    Some(texts)
}

/// The first line: the others stay a way out.
///
/// # Errors
/// Where it is not two quoted texts.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let place = facts.view.place(FILE)?;
    let bytes = facts.view.read(FILE)?.unwrap_or_default();
    let ours = words.join(" ");
    let by_hand = |what: &str| {
        Stop::by_hand(
            format!("/{FILE}: {what}"),
            [format!(
                "add these words to the second text of its first line: {ours}"
            )],
        )
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| by_hand("it is no UTF-8"))?;
    let mut at = 0;
    for piece in text.split_inclusive('\n') {
        let line = piece.trim();
        if line.is_empty() || line.starts_with('#') {
            at += piece.len();
            continue;
        }
        let texts =
            quoted(piece).ok_or_else(|| by_hand("its first line is not made of quoted texts"))?;
        let [_, options] = &texts[..] else {
            return Err(by_hand("its first line has not two texts"));
        };
        let value = &piece[options.clone()];
        let end = at + options.start + value.trim_end().len();
        let ours = if value.trim().is_empty() {
            ours
        } else {
            format!(" {ours}")
        };
        return Ok(Change::files(
            vec![FileEdit::insert(&place, &bytes, end, &ours)],
            Vec::new(),
        ));
    }
    Err(by_hand("it has no line"))
}

/// Its lines.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let text = facts.view.text(FILE)?.unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let texts = quoted(line)?;
        let [title, options] = &texts[..] else {
            return None;
        };
        Some(BootLine {
            entry: line[title.clone()].to_owned(),
            line: line[options.clone()].to_owned(),
        })
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_between_their_quotes() {
        let texts = |line: &str| {
            quoted(line).map(|all| {
                all.iter()
                    .map(|text| line[text.clone()].to_owned())
                    .collect::<Vec<_>>()
            })
        };
        let of = |parts: &[&str]| {
            Some(
                parts
                    .iter()
                    .map(|part| (*part).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        for (line, expected) in [
            ("\"a b\"  \"c d\"", of(&["a b", "c d"])),
            ("\"a\"\t\"b \"\"c\"\" d\"\n", of(&["a", "b \"\"c\"\" d"])),
            ("\"a\" \"b\" # c", of(&["a", "b"])),
            ("\"a\" b", None),
            ("\"a\" \"b", None),
        ] {
            assert_eq!(texts(line), expected, "{line}");
        }
    }
}

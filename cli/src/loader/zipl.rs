//! zipl of IBM Z with sections in zipl.conf.

use std::ops::Range;

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::facts::Facts;

const FILE: &str = "etc/zipl.conf";
/// Read in place of it where they are there, or where it is not (zipl(8), s390-tools 2.22).
const BEFORE: &str = "run/zipl/zipl.conf";
const BEHIND: [&str; 2] = ["lib/s390-tools/zipl.conf", "usr/lib/s390-tools/zipl.conf"];

/// Whether zipl's own file says what boots.
///
/// # Errors
/// Where it cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let files = [FILE, BEFORE, BEHIND[0], BEHIND[1]];
    let Some(file) = facts
        .view
        .first(&files)
        .filter(|_| facts.s390() && facts.view.program("zipl"))
    else {
        return Ok(false);
    };
    let text = facts.view.text(file)?.unwrap_or_default();
    let entries = !facts.view.files("boot/loader/entries", ".conf")?.is_empty();
    Ok(!entries
        || text
            .lines()
            .any(|line| line.trim_start().starts_with("image")))
}

/// A setting in a section. The value is where it is in the file, without its quotes.
struct Setting {
    section: String,
    key: String,
    value: Range<usize>,
    line: usize,
    /// Something is behind the closing quote, which zipl takes for an error, or there is none.
    wrong: bool,
}

/// The settings, as zipl's scanner reads them (zipl/src/scan.c): no escapes between quotes, and `#` is a comment at
/// the beginning of a line only.
fn settings(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut section = String::new();
    let mut at = 0;
    for (number, piece) in (1..).zip(text.split_inclusive('\n')) {
        let start = at;
        at += piece.len();
        let line = piece.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            name.trim().clone_into(&mut section);
        } else if let Some(name) = line.strip_prefix(':') {
            section = format!(":{}", name.trim());
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let from = piece.find('=').map_or(0, |equals| equals + 1);
            let rest = &piece[from..];
            let lead = rest.len() - rest.trim_start().len();
            let value = rest.trim();
            let begin = start + from + lead;
            let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
            let inside = quote.map(|quote| value[1..].split_once(quote));
            let (range, wrong) = match inside {
                None => (begin..begin + value.len(), false),
                Some(Some((inside, behind))) => (
                    begin + 1..begin + 1 + inside.len(),
                    !behind.trim().is_empty(),
                ),
                Some(None) => (begin..begin + value.len(), true),
            };
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: range,
                line: number,
                wrong,
            });
        }
    }
    settings
}

fn value<'t>(text: &'t str, settings: &[Setting], section: &str, key: &str) -> Option<&'t str> {
    let found = settings
        .iter()
        .find(|setting| setting.section == section && setting.key == key);
    found.map(|setting| &text[setting.value.clone()])
}

/// The section that boots by itself.
fn default<'t>(text: &'t str, settings: &[Setting]) -> Option<&'t str> {
    if let Some(name) = value(text, settings, "defaultboot", "default") {
        return Some(name);
    }
    let menu = format!(":{}", value(text, settings, "defaultboot", "defaultmenu")?);
    let number = value(text, settings, &menu, "default").unwrap_or("1");
    value(text, settings, &menu, number)
}

/// `parameters=` of the section that boots; the others stay a way out.
///
/// # Errors
/// Where that is not one line that zipl reads, or another file is read.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let ours = words.join(" ");
    let by_hand = |what: String| {
        Stop::by_hand(
            what,
            [
                format!("add these words to `parameters` of the section that boots: {ours}"),
                "then: zipl".to_owned(),
            ],
        )
    };
    if facts.view.exists(BEFORE) {
        return Err(by_hand(format!(
            "zipl reads /{BEFORE}, which is gone at the next boot, and not /{FILE}"
        )));
    }
    if !facts.view.exists(FILE) {
        let other = facts.view.first(&BEHIND).unwrap_or(BEHIND[0]);
        return Err(by_hand(format!(
            "zipl reads /{other}, which its package keeps: copy it to /{FILE} first"
        )));
    }
    let place = facts.view.place(FILE)?;
    let bytes = facts.view.read(FILE)?.unwrap_or_default();
    let text = std::str::from_utf8(&bytes).map_err(|_| by_hand(format!("/{FILE} is no UTF-8")))?;
    let settings = settings(text);
    let section = default(text, &settings).ok_or_else(|| {
        by_hand(format!(
            "/{FILE} does not say which section boots (default= in [defaultboot])"
        ))
    })?;
    let here: Vec<_> = settings
        .iter()
        .filter(|setting| setting.section == section && setting.key == "parameters")
        .collect();
    let [parameters] = here[..] else {
        return Err(by_hand(format!(
            "/{FILE}: [{section}] has {} lines of parameters",
            here.len()
        )));
    };
    if parameters.wrong {
        return Err(by_hand(format!(
            "/{FILE}:{}: zipl takes what is behind the closing quote, or a quote without an end, for an error",
            parameters.line
        )));
    }
    let value = &text[parameters.value.clone()];
    let end = parameters.value.start + value.trim_end().len();
    let edit = FileEdit::insert(&place, &bytes, end, &format!(" {ours}"));
    let mut change = Change::files(vec![edit], vec![Invocation::new(["zipl"])]);
    change
        .notes
        .push("what is typed in zipl's boot menu is made lower-case".to_owned());
    Ok(change)
}

/// The sections, the one that boots first.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let text = facts.view.text(FILE)?.unwrap_or_default();
    let settings = settings(&text);
    let first = default(&text, &settings).unwrap_or_default();
    let all = settings
        .iter()
        .filter(|setting| setting.key == "parameters");
    let mut lines: Vec<_> = all
        .map(|setting| BootLine {
            entry: setting.section.clone(),
            line: text[setting.value.clone()].to_owned(),
        })
        .collect();
    lines.sort_by_key(|line| line.entry != first);
    Ok(lines)
}

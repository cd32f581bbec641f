//! The Raspberry Pi's firmware, which reads the first line of cmdline.txt.

use anyhow::Result;

use super::change::{Answer, BootLine, Change};
use super::facts::{Facts, Program};
use super::one_line;

/// Where its partition is, in Debian 12 and later, and before.
const PLACES: [&str; 2] = ["boot/firmware", "boot"];

/// Its file. config.txt may name another one.
fn file(facts: &Facts<'_>) -> Result<Option<String>> {
    for place in PLACES {
        let Some(settings) = facts.view.text(&format!("{place}/config.txt"))? else {
            continue;
        };
        let named = settings
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cmdline="))
            .next_back();
        let path = format!("{place}/{}", named.unwrap_or("cmdline.txt").trim());
        return Ok(Some(path).filter(|path| facts.view.exists(path)));
    }
    Ok(None)
}

/// Whether the firmware starts the kernel itself.
///
/// # Errors
/// Where its settings cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.program == Program::Unknown
        && !facts.line.starts_with("BOOT_IMAGE=")
        && file(facts)?.is_some())
}

/// The first line.
///
/// # Errors
/// Where it is no kernel command line.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let file = file(facts)?.unwrap_or_default();
    Ok(Change::files(
        vec![one_line::behind_first(facts, &file, words)?],
        Vec::new(),
    ))
}

/// The line.
///
/// # Errors
/// Where it cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let Some(entry) = file(facts)? else {
        return Ok(Vec::new());
    };
    let text = facts.view.text(&entry)?.unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().to_owned();
    Ok(vec![BootLine { entry, line }])
}

//! openSUSE's sdbootutil, for systemd-boot and for GRUB with boot entries.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::entry;
use super::facts::Facts;

const LINE: &str = "etc/kernel/cmdline";
const FRAGMENTS: &str = "etc/kernel/cmdline.d";

/// Whether it keeps the entries that booted.
///
/// # Errors
/// Where they cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let tool = facts.view.program("sdbootutil") && facts.view.exists(LINE);
    Ok(tool && !lines(facts)?.is_empty())
}

/// A fragment.
///
/// # Errors
/// Where it would drop the last line of a file, for that has no end.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let own = format!("{FRAGMENTS}/90-vfio-bind.conf");
    let mut paths = vec![LINE.to_owned()];
    paths.extend(facts.view.files(FRAGMENTS, "")?);
    let mut notes = Vec::new();
    for path in paths.iter().filter(|path| **path != own) {
        let text = facts.view.read(path)?.unwrap_or_default();
        if !text.is_empty() && !text.ends_with(b"\n") {
            return Err(Stop::by_hand(
                format!(
                    "/{path} has no newline at its end, and sdbootutil drops such a line: root= would be lost"
                ),
                [format!("echo >>/{path}"), "then run this again".to_owned()],
            ));
        }
        if path.starts_with(FRAGMENTS) && !path.ends_with(".conf") {
            notes.push(format!(
                "/{path}: sdbootutil reads every file there, backups too"
            ));
        }
    }
    let place = facts.view.place(&own)?;
    let edit = FileEdit::own(&place, &format!("{}\n", words.join(" ")));
    let run = vec![Invocation::new(["sdbootutil", "update-all-entries"])];
    Ok(Change {
        notes,
        ..Change::files(vec![edit], run)
    })
}

/// The entries.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    entry::lines(facts.view, &facts.boot_directories())
}

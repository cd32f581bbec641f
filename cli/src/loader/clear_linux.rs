//! clr-boot-manager of Clear Linux and Solus, for systemd-boot.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation};
use super::entry;
use super::facts::Facts;
use super::one_line;

const LINE: &str = "etc/kernel/cmdline";
const OWN: &str = "etc/kernel/cmdline.d/vfio-bind.conf";

/// Whether it makes the entries.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.view.program("clr-boot-manager") && facts.maybe_systemd_boot())
}

/// A fragment; where /etc/kernel/cmdline is there, fragments are not read, and it is that one.
///
/// # Errors
/// Where that is no kernel command line.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let edit = match facts.view.exists(LINE) {
        true => one_line::behind_words(facts, LINE, words)?,
        false => FileEdit::own(&facts.view.place(OWN)?, &format!("{}\n", words.join(" "))),
    };
    Ok(Change::files(
        vec![edit],
        vec![Invocation::new(["clr-boot-manager", "update"])],
    ))
}

/// The entries.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    entry::lines(facts.view, &facts.boot_directories())
}

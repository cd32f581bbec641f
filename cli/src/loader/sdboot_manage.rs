//! sdboot-manage of CachyOS, for systemd-boot.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::entry;
use super::facts::Facts;
use super::sourced;

const FILE: &str = "etc/sdboot-manage.conf";

/// Whether it makes the entries.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let there = facts.view.exists(FILE) && facts.view.program("sdboot-manage");
    Ok(there && facts.maybe_systemd_boot())
}

/// The last value that a variable is given, without its quotes.
fn value(facts: &Facts<'_>, name: &str) -> Result<String> {
    let commands = sourced::understood(facts, FILE)?;
    let mut all = commands.iter().flat_map(|command| command.assignments());
    let last = all.rfind(|assignment| assignment.name == name);
    Ok(last.map_or(String::new(), |last| {
        last.value.trim_matches(['"', '\'']).to_owned()
    }))
}

/// A line at the end of its settings.
///
/// # Errors
/// Where it would delete entries that others made.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let keeps =
        value(facts, "PRESERVE_FOREIGN")? == "yes" || value(facts, "REMOVE_EXISTING")? == "no";
    let foreign = foreign(facts)?;
    if !keeps && !foreign.is_empty() {
        return Err(Stop::by_hand(
            format!(
                "`sdboot-manage gen` deletes boot entries that are not its own: {}",
                foreign.join(", ")
            ),
            [
                format!("say PRESERVE_FOREIGN=\"yes\" in /{FILE}"),
                "then run this again".to_owned(),
            ],
        ));
    }
    let edit = sourced::append(facts, FILE, "LINUX_OPTIONS", words)?;
    Ok(Change::files(
        vec![edit],
        vec![Invocation::new(["sdboot-manage", "gen"])],
    ))
}

/// Entries that start no kernel of this system's packages: its own are named for what is in /boot.
fn foreign(facts: &Facts<'_>) -> Result<Vec<String>> {
    let mut foreign = Vec::new();
    for directory in facts.boot_directories() {
        for entry in entry::entries(facts.view, &format!("{directory}/loader/entries"))? {
            let kernel = entry.linux.rsplit('/').next().unwrap_or_default();
            if !kernel.starts_with("vmlinuz") {
                foreign.push(format!("/{}", entry.path));
            }
        }
    }
    Ok(foreign)
}

/// The entries.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let mut lines = entry::lines(facts.view, &facts.boot_directories())?;
    let selected = facts.selected()?;
    lines.sort_by_key(|line| selected.as_ref() != Some(&line.entry));
    Ok(lines)
}

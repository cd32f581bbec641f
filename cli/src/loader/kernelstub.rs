//! kernelstub of Pop!_OS: it keeps the words in a JSON file, and copies them to the boot entry.

use anyhow::Result;
use serde_json::Value;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::entry;
use super::facts::Facts;

const FILE: &str = "etc/kernelstub/configuration";

/// Whether it keeps the entry that booted.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.view.exists(FILE) && facts.view.program("kernelstub") && facts.maybe_systemd_boot())
}

/// Its words now: a list, or a text in files of an older form (kernelstub/config.py).
fn words_now(facts: &Facts<'_>) -> Result<Vec<String>, Stop> {
    let by_hand = || {
        Stop::by_hand(
            format!("/{FILE} is not understood: it is JSON with user.kernel_options"),
            [format!(
                "see what `kernelstub -p` says of /{FILE}, then run this again"
            )],
        )
    };
    let text = facts.view.text(FILE)?.unwrap_or_default();
    let file: Value = serde_json::from_str(&text).map_err(|_| by_hand())?;
    let user = file
        .get("user")
        .or_else(|| file.get("default"))
        .ok_or_else(by_hand)?;
    let line = match user.get("kernel_options") {
        Some(Value::String(line)) => line.clone(),
        Some(Value::Array(words)) => {
            let words: Option<Vec<_>> = words.iter().map(Value::as_str).collect();
            words.ok_or_else(by_hand)?.join(" ")
        }
        _ => return Err(by_hand()),
    };
    Ok(facts.owners(&line))
}

/// Each word only where it is not there: taking one out takes it from its owner too.
///
/// # Errors
/// Where its file is not understood.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let there = words_now(facts)?;
    let (owners, new): (Vec<_>, Vec<_>) =
        words.iter().cloned().partition(|word| there.contains(word));
    let mut change = Change::default();
    if !new.is_empty() {
        let run = |option| vec![Invocation::new(["kernelstub", option, &new.join(" ")])];
        change = Change::programs(run("-a"), run("-d"));
    }
    // Taking words out puts the others into another order (a set, kernelstub/application.py).
    change.kept.push(FILE.to_owned());
    for directory in facts.boot_directories() {
        change.kept.extend(
            facts
                .view
                .files(&format!("{directory}/loader/entries"), ".conf")?,
        );
    }
    for word in &owners {
        change.notes.push(format!(
            "`{word}` is there already, and stays when the others are taken out"
        ));
    }
    change.owners = owners;
    Ok(change)
}

/// The entries, the current kernel's first.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let mut lines = entry::lines(facts.view, &facts.boot_directories())?;
    lines.sort_by_key(|line| !line.entry.contains("current"));
    Ok(lines)
}

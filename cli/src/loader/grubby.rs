//! Boot entries in /boot/loader/entries that GRUB (or zipl, on an IBM Z) reads and grubby writes.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::entry::{self, Entry};
use super::facts::Facts;
use super::grub;
use super::line;

const ENTRIES: &str = "boot/loader/entries";
const ENVIRONMENT: &str = "boot/grub2/grubenv";
/// What grubby writes beside the entries.
const ALSO: [&str; 3] = [ENVIRONMENT, "etc/default/grub", "etc/kernel/cmdline"];

/// Whether GRUB reads entries that grubby keeps.
///
/// # Errors
/// Where grub.cfg cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let grubby = facts.view.program("grubby") && !facts.s390();
    Ok(grubby
        && facts.maybe_grub()
        && !facts.view.program("sdbootutil")
        && grub::has_entry_files(facts)?)
}

/// Whether zipl reads them: its own file names no section with a kernel.
///
/// # Errors
/// Where a file cannot be read.
pub fn zipl_signs(facts: &Facts<'_>) -> Result<bool> {
    let there = facts.s390() && facts.view.program("grubby") && facts.view.program("zipl");
    if !there || facts.view.files(ENTRIES, ".conf")?.is_empty() {
        return Ok(false);
    }
    let text = facts.view.text("etc/zipl.conf")?.unwrap_or_default();
    Ok(!text
        .lines()
        .any(|line| line.trim_start().starts_with("image")))
}

/// An entry's line, with what GRUB puts in its variables' place.
fn line_of(entry: &Entry, kernel_options: &str) -> String {
    entry.line.replace("$kernelopts", kernel_options)
}

fn environment(facts: &Facts<'_>, name: &str) -> Result<String> {
    let text = facts.view.text(ENVIRONMENT)?.unwrap_or_default();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Ok(value.unwrap_or_default().to_owned())
}

/// The name of a word as grubby compares it, by its letters.
fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// All words in one call: `--args` first takes out all that have the same name, the owner's too.
///
/// # Errors
/// Where the entries are such that grubby would damage one.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let entries = entry::entries(facts.view, ENTRIES)?;
    let add = words.join(" ");
    if let Some(entry) = entries.iter().find(|entry| entry.options.len() > 1) {
        return Err(Stop::by_hand(
            format!(
                "/{} has {} lines of options, which grubby doubles",
                entry.path,
                entry.options.len()
            ),
            ["make one line of them, then run this again".to_owned()],
        ));
    }
    let kernel_options = environment(facts, "kernelopts")?;
    let mut owners: Option<Vec<String>> = None;
    for entry in &entries {
        let own = facts.owners(&line_of(entry, &kernel_options));
        let same: Vec<_> = own
            .into_iter()
            .filter(|own| words.iter().any(|word| name(word) == name(own)))
            .collect();
        if owners.as_ref().is_some_and(|owners| *owners != same) {
            return Err(Stop::by_hand(
                format!(
                    "the entries have words of their own that grubby would make one of: /{} has `{}`",
                    entry.path,
                    same.join(" ")
                ),
                [format!(
                    "for each kernel: grubby --update-kernel=KERNEL --args='(its own words) {add}'"
                )],
            ));
        }
        owners = Some(same);
    }
    let owners = owners.unwrap_or_default();
    let mut all = owners.clone();
    all.extend(words.iter().filter(|word| !owners.contains(word)).cloned());
    let mut names: Vec<_> = words.iter().map(|word| name(word)).collect();
    names.dedup();
    let update = |option: String| Invocation::new(["grubby", "--update-kernel=ALL", &option]);
    // A name alone: a value is a regular expression to grubby.
    let mut unset = vec![update(format!("--remove-args={}", names.join(" ")))];
    if !owners.is_empty() {
        unset.push(update(format!("--args={}", owners.join(" "))));
    }
    let mut change = Change::programs(vec![update(format!("--args={}", all.join(" ")))], unset);
    change.kept = entries.iter().map(|entry| entry.path.clone()).collect();
    change.kept.extend(
        ALSO.iter()
            .filter(|path| facts.view.exists(path))
            .map(|path| (*path).to_owned()),
    );
    change.ask = Some(Invocation::new(["grubby", "--info=ALL"]));
    for word in &owners {
        change.notes.push(format!(
            "`{word}` is there already, and stays when ours is taken out"
        ));
    }
    change.owners = owners
        .into_iter()
        .filter(|word| words.contains(word))
        .collect();
    Ok(change)
}

/// The same, and zipl, which grubby does not run there.
///
/// # Errors
/// As those of [`change`].
pub fn zipl_change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let mut change = change(facts, words)?;
    for run in [&mut change.set, &mut change.unset] {
        run.push(Invocation::new(["zipl"]));
    }
    Ok(change)
}

/// The entries; the one that GRUB has saved is first.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let kernel_options = environment(facts, "kernelopts")?;
    let saved = environment(facts, "saved_entry")?;
    let mut entries = entry::entries(facts.view, ENTRIES)?;
    entries.sort_by_key(|entry| saved.is_empty() || entry.id() != format!("{saved}.conf"));
    let lines = entries.iter().map(|entry| BootLine {
        line: line::words(&line_of(entry, &kernel_options)).join(" "),
        ..entry.boot_line()
    });
    Ok(lines.collect())
}

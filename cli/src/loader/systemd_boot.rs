//! systemd-boot with entries that somebody wrote by hand.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::entry::{self, Entry};
use super::facts::{COPY, Facts, Program, TRY};
use super::kernel_install;
use super::mkinitcpio;

/// What makes the entries, where it is there.
const MAKERS: [&str; 5] = [
    "proxmox-boot-tool",
    "kernelstub",
    "sdboot-manage",
    "sdbootutil",
    "clr-boot-manager",
];

/// Whether nothing that is known makes the entries.
///
/// # Errors
/// Where they cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.program == Program::SystemdBoot
        && !MAKERS.iter().any(|name| facts.view.program(name))
        && !entries(facts)?.is_empty()
        && !kernel_install::signs(facts)?
        && !mkinitcpio::signs(facts)?)
}

fn entries(facts: &Facts<'_>) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    for directory in facts.boot_directories() {
        let found = entry::entries(facts.view, &format!("{directory}/loader/entries"))?;
        all.extend(
            found
                .into_iter()
                .filter(|entry| !entry.linux.is_empty() && entry.id() != TRY),
        );
    }
    let selected = facts.selected()?;
    all.sort_by_key(|entry| selected.as_ref() != Some(&entry.id()));
    Ok(all)
}

/// The entry that was chosen at this boot, or the only one that is not for rescue.
fn chosen(facts: &Facts<'_>) -> Result<Option<Entry>> {
    let entries = entries(facts)?;
    let usual = entries.iter().filter(|entry| !entry.rescue()).count();
    let selected = facts.selected()?;
    let first = entries.into_iter().next();
    Ok(first.filter(|first| {
        selected.as_ref() == Some(&first.id())
            || (selected.is_none() && usual == 1 && !first.rescue())
    }))
}

/// The line of that entry; the others stay a way out.
///
/// # Errors
/// Where it is not known which entry boots.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let ours = words.join(" ");
    let Some(entry) = chosen(facts)? else {
        return Err(Stop::by_hand(
            "the boot entries are written by hand, and which of them boots is not known",
            [format!(
                "add to its `options` line in loader/entries: {ours}"
            )],
        ));
    };
    let Some(options) = entry.options.last() else {
        return Err(Stop::by_hand(
            format!("/{} has no `options` line", entry.path),
            [format!("add the line there: options {ours}")],
        ));
    };
    let place = facts.view.place(&entry.path)?;
    let bytes = facts.view.read(&entry.path)?.unwrap_or_default();
    let edit = FileEdit::insert(&place, &bytes, options.end, &format!(" {ours}"));
    Ok(Change::files(vec![edit], Vec::new()))
}

/// A copy of the entry that boots, with the words, that is started once. systemd-boot forgets it when it starts it
/// (LoaderEntryOneShot).
///
/// # Errors
/// Where it is not known which entry boots.
pub fn once(facts: &Facts<'_>, words: &[String]) -> Answer {
    let ours = words.join(" ");
    if facts.program != Program::SystemdBoot {
        let why = match facts.program {
            Program::Unknown => {
                "nothing says that systemd-boot started this system (LoaderInfo in /sys/firmware/efi/efivars; is \
                 efivarfs mounted?), and no other starts an entry once"
            }
            _ => "systemd-boot did not start this system, and no other starts an entry once",
        };
        return Err(Stop::by_hand(
            why,
            [format!("in the boot menu, edit the entry and add: {ours}")],
        ));
    }
    let all = entries(facts)?;
    let selected = facts.selected()?;
    let newest = all
        .iter()
        .find(|entry| !entry.rescue() && !entry.options.is_empty());
    let chosen = all
        .iter()
        .find(|entry| selected.as_ref() == Some(&entry.id()));
    let Some(entry) = chosen.or(newest) else {
        return Err(Stop::by_hand(
            "no boot entry with an `options` line is found to make a copy of",
            [format!("in the boot menu, press e and add: {ours}")],
        ));
    };
    let bytes = facts.view.read(&entry.path)?.unwrap_or_default();
    let Some(options) = entry.options.last() else {
        return Err(Stop::by_hand(
            format!("/{} has no `options` line", entry.path),
            [format!("add: options {ours}")],
        ));
    };
    let with = FileEdit::insert(&entry.path, &bytes, options.end, &format!(" {ours}")).with;
    let text = String::from_utf8_lossy(&with);
    let lines = text
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some("title") => format!("title vfio-bind: tried once ({})", entry.title),
            // It is to be the last of the menu, and no default.
            Some("sort-key") => "sort-key zz-vfio-bind".to_owned(),
            _ => line.to_owned(),
        });
    let text = format!(
        "{COPY}{}\n{}\n",
        entry.id(),
        lines.collect::<Vec<_>>().join("\n")
    );
    let directory = entry
        .path
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    let place = facts.view.place(&format!("{directory}/{TRY}"))?;
    let mut change = Change::files(vec![FileEdit::own(&place, &text)], Vec::new());
    change.set = vec![Invocation::new(["bootctl", "set-oneshot", TRY])];
    change.unset = vec![Invocation::new(["bootctl", "set-oneshot", ""])];
    Ok(change)
}

/// The entries, the one that boots first.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    Ok(entries(facts)?.iter().map(Entry::boot_line).collect())
}

//! Debian's u-boot-menu: u-boot-update makes extlinux.conf of settings that a shell reads.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::facts::{Facts, Program};
use super::line;
use super::sourced;

const DEFAULTS: &str = "etc/default/u-boot";
const VENDORS: &str = "usr/share/u-boot-menu/conf.d";
const FRAGMENTS: &str = "etc/u-boot-menu/conf.d";
const OWN: &str = "etc/u-boot-menu/conf.d/vfio-bind.conf";
const LINE: &str = "etc/kernel/cmdline";
const MENU: &str = "boot/extlinux/extlinux.conf";
const VARIABLE: &str = "U_BOOT_PARAMETERS";
/// Where nothing else is set (u-boot-update of u-boot-menu 4.2).
const USUAL: &str = "ro quiet";

/// Whether it makes the menu.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let there = facts.view.program("u-boot-update") && facts.view.exists(MENU);
    Ok(there && facts.program == Program::Unknown)
}

/// A fragment, with what would be dropped where the variable is set by us alone: the usual words, or all of
/// /etc/kernel/cmdline.
///
/// # Errors
/// Where a fragment behind ours sets it anew, or no menu is made.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let ours = words.join(" ");
    let by_hand = |what: String| {
        Stop::by_hand(
            what,
            [
                format!("add to {VARIABLE} in /{DEFAULTS}: {ours}"),
                "then: u-boot-update".to_owned(),
            ],
        )
    };
    let mut set = false;
    let mut root = false;
    let mut paths = vec![DEFAULTS.to_owned()];
    paths.extend(facts.view.files(VENDORS, ".conf")?);
    paths.extend(facts.view.files(FRAGMENTS, ".conf")?);
    for path in paths.iter().filter(|path| *path != OWN) {
        let commands = sourced::read(facts, path)?
            .map_err(|fault| by_hand(format!("/{path}:{}: {}", fault.line, fault.what)))?;
        for command in commands {
            if command.ends() && command.words[0] != "return" {
                return Err(by_hand(format!(
                    "/{path}:{}: it ends u-boot-update before it makes a menu",
                    command.line
                )));
            }
            for assignment in command.assignments() {
                let empty = assignment.value.trim_matches(['"', '\'']).is_empty();
                set |= assignment.name == VARIABLE && !empty;
                root |= assignment.name == "U_BOOT_ROOT" && !empty;
                if assignment.name == "U_BOOT_UPDATE"
                    && assignment.value.trim_matches(['"', '\'']) != "true"
                {
                    return Err(by_hand(format!(
                        "/{path}:{}: u-boot-update is switched off",
                        command.line
                    )));
                }
                let behind = path.starts_with(FRAGMENTS) && path.as_str() > OWN;
                if behind && assignment.name == VARIABLE && !assignment.keeps() {
                    return Err(by_hand(format!(
                        "/{path} is read behind ours and sets {VARIABLE} anew"
                    )));
                }
            }
        }
    }
    let mut text = String::new();
    if set {
        text += &sourced::line(VARIABLE, words);
    } else if let Some(line) = facts.view.text(LINE)? {
        if line.contains(['"', '$', '`', '\\', '\'']) {
            return Err(by_hand(format!(
                "/{LINE}, which is not read where {VARIABLE} is set, has quotes in it"
            )));
        }
        let all = line::words(&line);
        let (roots, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|word| word.starts_with("root="));
        text += &format!("{VARIABLE}=\"{} {ours}\"\n", others.join(" "));
        if let Some(word) = roots.first().filter(|_| !root) {
            text += &format!("U_BOOT_ROOT=\"{word}\"\n");
        }
    } else {
        text += &format!("{VARIABLE}=\"{USUAL} {ours}\"\n");
    }
    let edit = FileEdit::own(&facts.view.place(OWN)?, &text);
    let mut change = Change::files(vec![edit], vec![Invocation::new(["u-boot-update"])]);
    change
        .notes
        .push("the entries for rescue have the words too: the way out is vfio.bind=off".to_owned());
    Ok(change)
}

/// The entries of extlinux.conf.
///
/// # Errors
/// Where it cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let text = facts.view.text(MENU)?.unwrap_or_default();
    Ok(labels(&text))
}

/// The labels of an extlinux.conf with what they append; the default is first.
#[must_use]
pub fn labels(menu: &str) -> Vec<BootLine> {
    let mut first = String::new();
    let mut label = String::new();
    let mut lines = Vec::new();
    for line in menu.lines().map(str::trim) {
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match key.to_ascii_lowercase().as_str() {
            "default" => value.trim().clone_into(&mut first),
            "label" => value.trim().clone_into(&mut label),
            "append" => lines.push(BootLine {
                entry: label.clone(),
                line: value.trim().to_owned(),
            }),
            _ => {}
        }
    }
    lines.sort_by_key(|line| line.entry != first);
    lines
}

//! Limine with limine-entry-tool, which makes its entries of settings in layers.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::facts::{Facts, Program};
use super::sourced::MARK;

const FRAGMENTS: &str = "etc/limine-entry-tool.d";
const OWN: &str = "etc/limine-entry-tool.d/90-vfio-bind.conf";
/// Read behind the fragments.
const DEFAULTS: &str = "etc/default/limine";
const KEY: &str = "KERNEL_CMDLINE[default]";
const MENUS: [&str; 4] = [
    "boot/limine.conf",
    "boot/limine/limine.conf",
    "boot/efi/limine.conf",
    "efi/limine.conf",
];

/// Whether it makes the entries.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let tool = facts.view.program("limine-entry-tool") || facts.view.program("limine-update");
    let there = facts.view.first(&MENUS).is_some() && !facts.line.starts_with("BOOT_IMAGE=");
    Ok(tool && (facts.program == Program::Limine || (facts.program == Program::Unknown && there)))
}

/// What a layer does with the line for all kernels: sets it anew, adds to it, or neither.
fn layer(text: &str) -> Option<bool> {
    let rest = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(KEY));
    let sets = rest.filter_map(|rest| {
        let rest = rest.trim_start();
        match rest.strip_prefix("+=") {
            Some(_) => Some(false),
            None => rest.starts_with('=').then_some(true),
        }
    });
    sets.reduce(|one, two| one || two)
}

/// A fragment; where the file behind it sets the line anew, a line at its end.
///
/// # Errors
/// Where no layer has a line that ours could be added to, or one behind ours sets it anew.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let text = words.join(" ");
    let run = match facts.view.program("limine-update") {
        true => "limine-update",
        false => "limine-mkinitcpio",
    };
    let run = vec![Invocation::new([run])];
    let defaults = facts.view.text(DEFAULTS)?.unwrap_or_default();
    let mut others = layer(&defaults).is_some() || facts.view.exists("etc/kernel/cmdline");
    for path in facts.view.files(FRAGMENTS, ".conf")? {
        let layer = layer(&facts.view.text(&path)?.unwrap_or_default());
        others |= path != OWN && layer.is_some();
        if path.as_str() > OWN && layer == Some(true) {
            return Err(Stop::by_hand(
                format!("/{path} is read behind ours and sets {KEY} anew"),
                [format!("write += there, or add the words to it: {text}")],
            ));
        }
    }
    if !others {
        // The tool takes the running line then, and ours alone would be all of it.
        return Err(Stop::by_hand(
            format!("no file sets {KEY}, and ours alone would be the whole line, without root="),
            [
                format!(
                    "write the whole line into /{DEFAULTS}: {KEY}=\"(what /proc/cmdline has)\""
                ),
                "then run this again".to_owned(),
            ],
        ));
    }
    // A blank on both sides: what is read next may begin without one.
    let add = format!("{KEY}+=\" {text} \"\n");
    let edit = if layer(&defaults) == Some(true) {
        let place = facts.view.place(DEFAULTS)?;
        let bytes = facts.view.read(DEFAULTS)?.unwrap_or_default();
        let glue = if bytes.is_empty() || bytes.ends_with(b"\n") {
            ""
        } else {
            "\n"
        };
        FileEdit::insert(&place, &bytes, bytes.len(), &format!("{glue}{MARK}\n{add}"))
    } else {
        FileEdit::own(&facts.view.place(OWN)?, &add)
    };
    Ok(Change::files(vec![edit], run))
}

/// The entries of its menu.
///
/// # Errors
/// Where it cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let menu = facts.view.first(&MENUS).unwrap_or(MENUS[0]);
    let text = facts.view.text(menu)?.unwrap_or_default();
    Ok(entries(&text))
}

fn entries(menu: &str) -> Vec<BootLine> {
    let mut entry = String::new();
    let mut lines = Vec::new();
    for line in menu.lines().map(str::trim) {
        if line.starts_with('/') {
            line.trim_start_matches(['/', '+']).clone_into(&mut entry);
        }
        let (key, value) = line.split_once(':').unwrap_or_default();
        if matches!(key, "cmdline" | "kernel_cmdline") {
            lines.push(BootLine {
                entry: entry.clone(),
                line: value.trim().to_owned(),
            });
        }
    }
    lines
}

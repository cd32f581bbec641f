//! A boot of GRUB's that is tried once: an entry of its own behind the others, which `grub-reboot` starts.

use anyhow::Result;

use super::change::{Answer, Change, FileEdit, Invocation, Stop};
use super::facts::Facts;
use super::grub;
use super::sourced::MARK;

const ID: &str = "vfio-bind-try";

/// Where GRUB can write: it must forget the entry before it starts it (docs: "The GRUB environment block").
const WRITABLE: [&str; 5] = ["ext2", "ext3", "ext4", "xfs", "vfat"];

/// An entry in custom.cfg, which grub.cfg reads behind its own (util/grub.d/41_custom.in), so that no menu is made.
///
/// # Errors
/// Where grub.cfg reads no custom.cfg or no `next_entry`, or GRUB could not forget the entry.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let ours = words.join(" ");
    let by_hand = |what: String| {
        Stop::by_hand(
            what,
            [format!(
                "for one boot: press e in the boot menu, and add to the line that begins with linux: {ours}"
            )],
        )
    };
    let menu =
        grub::menu(facts)?.map_err(|_| by_hand("which menu GRUB reads is not known".to_owned()))?;
    let text = facts.view.text(&menu)?.unwrap_or_default();
    let directory = menu.rsplit_once('/').map_or("", |(directory, _)| directory);
    for wanted in ["next_entry", "custom.cfg"] {
        if !text.contains(wanted) {
            return Err(by_hand(format!(
                "/{menu} does not read {wanted}, and no entry can be started once"
            )));
        }
    }
    if !facts.view.exists(&format!("{directory}/grubenv")) {
        return Err(by_hand(format!(
            "/{directory}/grubenv is not there, and GRUB has nothing to keep the entry in"
        )));
    }
    if let Some(why) = read_only(facts, directory)? {
        return Err(by_hand(format!(
            "GRUB cannot write to /{directory} ({why}): each boot would be the try"
        )));
    }
    let entry = entry(&text, words).ok_or_else(|| {
        by_hand(format!(
            "/{menu} has no entry with a kernel to make a copy of"
        ))
    })?;
    let path = format!("{directory}/custom.cfg");
    let place = facts.view.place(&path)?;
    let edit = match facts.view.read(&path)? {
        Some(old) => {
            let glue = if old.is_empty() || old.ends_with(b"\n") {
                ""
            } else {
                "\n"
            };
            FileEdit::insert(&place, &old, old.len(), &format!("{glue}{MARK}\n{entry}"))
        }
        None => FileEdit::own(&place, &entry),
    };
    let two = if directory.ends_with("grub2") || facts.view.program("grub2-mkconfig") {
        "2"
    } else {
        ""
    };
    let environment = format!("/{directory}/grubenv");
    let mut change = Change::files(vec![edit], Vec::new());
    change.set = vec![Invocation::new([&format!("grub{two}-reboot"), ID])];
    change.unset = vec![Invocation::new([
        &format!("grub{two}-editenv"),
        &environment,
        "unset",
        "next_entry",
    ])];
    Ok(change)
}

/// The first entry of a menu that starts a kernel, as one of ours.
fn entry(menu: &str, words: &[String]) -> Option<String> {
    let mut lines = menu.lines();
    let mut copy = None;
    while let Some(head) = lines.find(|line| line.trim_start().starts_with("menuentry ")) {
        let indent = head.len() - head.trim_start().len();
        let end = format!("{}}}", &head[..indent]);
        let mut body = Vec::new();
        let mut kernel = false;
        for line in lines.by_ref() {
            if line.trim_end() == end {
                break;
            }
            let first = line.split_whitespace().next();
            if matches!(first, Some("linux" | "linux16" | "linuxefi")) {
                kernel = true;
                body.push(format!("{} {}", line.trim_end(), words.join(" ")));
            } else {
                body.push(line.to_owned());
            }
        }
        if kernel {
            let free = if head.contains("--unrestricted") {
                " --unrestricted"
            } else {
                ""
            };
            copy = Some(format!(
                "menuentry 'vfio-bind: tried once' --id {ID}{free} {{\n{}\n}}\n",
                body.join("\n")
            ));
            break;
        }
    }
    copy
}

/// Why GRUB cannot write to the file system of a directory: it can to some, and to no layers of Linux's.
fn read_only(facts: &Facts<'_>, directory: &str) -> Result<Option<String>> {
    let mounts = facts
        .view
        .text("proc/self/mounts")?
        .or(facts.view.text("proc/mounts")?);
    let Some(mounts) = mounts else {
        return Ok(Some("what is mounted there is not known".to_owned()));
    };
    let whole = format!("/{directory}/");
    let mut best: Option<(&str, &str, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(source), Some(target), Some(kind)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let below = target == "/" || whole.starts_with(&format!("{target}/"));
        // A later mount is on top of an earlier one.
        if below && best.is_none_or(|(_, old, _)| target.len() >= old.len()) {
            best = Some((source, target, kind));
        }
    }
    Ok(match best {
        Some((source, target, kind)) => {
            let layered = ["/dev/mapper/", "/dev/dm-", "/dev/md"]
                .iter()
                .any(|layer| source.starts_with(layer));
            let good = WRITABLE.contains(&kind) && source.starts_with("/dev/") && !layered;
            (!good).then(|| format!("{target} is {kind} on {source}"))
        }
        None => Some("nothing is mounted there".to_owned()),
    })
}

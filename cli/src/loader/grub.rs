//! GRUB whose menu grub-mkconfig makes: a fragment in default/grub.d where it is read, else a line at the end of
//! /etc/default/grub.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, FileEdit, Invocation, Stop};
use super::facts::Facts;
use super::proxmox;
use super::sdbootutil;
use super::sourced;

const DEFAULTS: &str = "etc/default/grub";
const FRAGMENTS: &str = "etc/default/grub.d";
/// Recovery entries get `GRUB_CMDLINE_LINUX` only (util/grub.d/10_linux.in): they stay a way out.
const VARIABLE: &str = "GRUB_CMDLINE_LINUX_DEFAULT";

/// The program that makes the menu.
fn mkconfig(facts: &Facts<'_>) -> Option<&'static str> {
    ["grub-mkconfig", "grub2-mkconfig"]
        .into_iter()
        .find(|name| facts.view.program(name))
}

/// Whether it reads default/grub.d: Debian's does, GNU's does not.
fn reads_fragments(facts: &Facts<'_>) -> Result<bool> {
    let Some(name) = mkconfig(facts) else {
        return Ok(false);
    };
    let text = facts.view.script(name)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    Ok(lines.any(|line| line.contains("default/grub.d")))
}

/// Whether the entries are files in /boot/loader/entries, which grub-mkconfig does not make.
///
/// # Errors
/// Where grub.cfg cannot be read.
pub fn has_entry_files(facts: &Facts<'_>) -> Result<bool> {
    if facts.view.files("boot/loader/entries", ".conf")?.is_empty() {
        return Ok(false);
    }
    for menu in menus(facts)? {
        let text = facts.view.text(&menu)?.unwrap_or_default();
        if text
            .lines()
            .any(|line| line.split_whitespace().next() == Some("blscfg"))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files that GRUB may read its menu from: those with entries in them, no mere pointers to another.
fn menus(facts: &Facts<'_>) -> Result<Vec<String>> {
    let mut menus = Vec::new();
    for vendor in facts.view.list("boot/efi/EFI")? {
        let path = format!("boot/efi/EFI/{vendor}/grub.cfg");
        let text = facts.view.text(&path)?.unwrap_or_default();
        let entries = |line: &str| {
            let first = line.split_whitespace().next();
            matches!(first, Some("menuentry" | "submenu" | "blscfg"))
        };
        if text.lines().any(entries) {
            menus.push(path);
        }
    }
    for path in ["boot/grub2/grub.cfg", "boot/grub/grub.cfg"] {
        if facts.view.exists(path) {
            menus.push(path.to_owned());
        }
    }
    Ok(menus)
}

fn is_grub(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.maybe_grub()
        && !sdbootutil::signs(facts)?
        && mkconfig(facts).is_some()
        && !menus(facts)?.is_empty()
        && !has_entry_files(facts)?)
}

/// Whether this machine's grub-mkconfig reads fragments.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn fragment_signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(is_grub(facts)? && reads_fragments(facts)?)
}

/// Whether it reads /etc/default/grub alone.
///
/// # Errors
/// As those of [`fragment_signs`].
pub fn default_signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(is_grub(facts)? && !reads_fragments(facts)?)
}

/// The menu that this GRUB reads: of several the one that the tools of this system make. `Err` has all that it
/// may be.
///
/// # Errors
/// Where one cannot be read.
pub fn menu(facts: &Facts<'_>) -> Result<Result<String, Vec<String>>> {
    let menus = menus(facts)?;
    let (efi, own): (Vec<_>, Vec<_>) = menus.iter().partition(|menu| menu.starts_with("boot/efi"));
    let usual = own.first().map(|menu| (*menu).clone());
    Ok(match (&efi[..], usual) {
        // It makes no other.
        (_, Some(usual)) if facts.view.program("update-grub") => Ok(usual),
        // The firmware starts GRUB with the menu beside it (Red Hat before 9).
        ([one], _) if facts.view.exists("sys/firmware/efi") => Ok((*one).clone()),
        ([] | [_], Some(usual)) => Ok(usual),
        _ => Err(menus),
    })
}

/// What makes the menu that is booted.
fn rebuild(facts: &Facts<'_>) -> Result<Vec<Invocation>, Stop> {
    let name = mkconfig(facts).unwrap_or("grub-mkconfig");
    let menu = menu(facts)?.map_err(|menus| {
        Stop::by_hand(
            format!("GRUB may read its menu from any of {}", list(&menus)),
            [format!(
                "add the words to {VARIABLE} in /{DEFAULTS}, and run {name} -o with the right one"
            )],
        )
    })?;
    let mut run = match facts.view.program("update-grub") {
        true => vec![Invocation::new(["update-grub"])],
        false => vec![Invocation::new([name, "-o", &format!("/{menu}")])],
    };
    // Each of its system partitions has a menu of its own.
    if facts.view.exists(proxmox::PARTITIONS) && facts.view.program("proxmox-boot-tool") {
        run.push(Invocation::new(["proxmox-boot-tool", "refresh"]));
    }
    Ok(run)
}

fn list(paths: &[String]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| format!("/{path}")).collect();
    paths.join(", ")
}

/// What would keep grub-mkconfig from a menu, or from one with our words: told before anything is written.
fn obstacle(facts: &Facts<'_>) -> Result<(), Stop> {
    for path in [
        vec![DEFAULTS.to_owned()],
        facts.view.files(FRAGMENTS, ".cfg")?,
    ]
    .concat()
    {
        for command in sourced::understood(facts, &path)? {
            if command.ends() && command.words[0] != "return" {
                return Err(Stop::by_hand(
                    format!(
                        "/{path}:{}: `{}` ends grub-mkconfig before it makes a menu, with status 0",
                        command.line,
                        command.words.join(" ")
                    ),
                    [format!(
                        "take that line out of /{path}, then run this again"
                    )],
                ));
            }
            let assigned = command.assignments();
            if let Some(appends) = assigned.iter().find(|assignment| assignment.appends)
                && facts.sh_is_dash()
            {
                return Err(Stop::by_hand(
                    format!(
                        "/{path}:{}: /bin/sh is dash here, which takes `{}+=` for a command, and update-grub \
                         fails",
                        command.line, appends.name
                    ),
                    [format!(
                        "write {0}=\"${0} ...\" in its place, then run this again",
                        appends.name
                    )],
                ));
            }
        }
    }
    Ok(())
}

/// A fragment of ours.
///
/// # Errors
/// Where one behind it would undo it, or grub-mkconfig makes no menu.
pub fn fragment(facts: &Facts<'_>, words: &[String]) -> Answer {
    obstacle(facts)?;
    let name = name(facts, words)?;
    let place = facts.view.place(&format!("{FRAGMENTS}/{name}"))?;
    let edit = FileEdit::own(&place, &sourced::line(VARIABLE, words));
    Ok(Change::files(vec![edit], rebuild(facts)?))
}

/// A name that the shell's `*` puts behind every fragment that sets the variable anew.
fn name(facts: &Facts<'_>, words: &[String]) -> Result<&'static str, Stop> {
    let names = ["90-vfio-bind.cfg", "zz-vfio-bind.cfg"];
    let mut behind = String::new();
    for name in names {
        behind.clear();
        for path in facts.view.files(FRAGMENTS, ".cfg")? {
            // A shell sorts as its locale does, and most pass over punctuation and case.
            let other = path.rsplit('/').next().unwrap_or_default();
            let later = other > name || sorted(other) > sorted(name);
            let text = facts.view.text(&path)?.unwrap_or_default();
            let fate = sets_anew(facts, &path)?;
            if later && !names.contains(&other) && (fate || text.contains("unset ")) {
                behind = path;
            }
        }
        if behind.is_empty() {
            return Ok(name);
        }
    }
    Err(Stop::by_hand(
        format!("/{behind} is read last and sets {VARIABLE} anew: what comes before it is lost"),
        [format!("add the words there: {}", words.join(" "))],
    ))
}

fn sorted(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a fragment does; where it is not understood, whether it may.
fn sets_anew(facts: &Facts<'_>, path: &str) -> Result<bool> {
    let Ok(commands) = sourced::read(facts, path)? else {
        let text = facts.view.text(path)?.unwrap_or_default();
        return Ok(text.contains(VARIABLE));
    };
    let mut all = commands.iter().flat_map(|command| command.assignments());
    Ok(all.any(|assignment| assignment.name == VARIABLE && !assignment.keeps()))
}

/// A line at the end of /etc/default/grub.
///
/// # Errors
/// Where it would not be read, or grub-mkconfig makes no menu.
pub fn default(facts: &Facts<'_>, words: &[String]) -> Answer {
    obstacle(facts)?;
    let edit = sourced::append(facts, DEFAULTS, VARIABLE, words)?;
    Ok(Change::files(vec![edit], rebuild(facts)?))
}

/// The entries of the menu that was made.
///
/// # Errors
/// Where it cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let Ok(menu) = menu(facts)? else {
        return Ok(Vec::new());
    };
    let text = facts.view.text(&menu)?.unwrap_or_default();
    Ok(entries(&text))
}

/// The lines that load a kernel, each with the title of its entry.
fn entries(menu: &str) -> Vec<BootLine> {
    let mut title = String::new();
    let mut lines = Vec::new();
    for line in menu.lines() {
        let line = line.trim_start();
        if let Some(rest) = line.strip_prefix("menuentry ") {
            let rest = rest.trim_start();
            let quote = rest.chars().next().unwrap_or_default();
            let parts = rest.get(1..).unwrap_or_default().split(quote).next();
            title = parts.unwrap_or_default().to_owned();
        }
        let mut words = line.splitn(3, [' ', '\t']).filter(|word| !word.is_empty());
        if matches!(words.next(), Some("linux" | "linux16" | "linuxefi")) {
            let after = line
                .split_once([' ', '\t'])
                .map_or("", |(_, rest)| rest.trim_start());
            let line = after
                .split_once([' ', '\t'])
                .map_or("", |(_, rest)| rest.trim());
            lines.push(BootLine {
                entry: title.clone(),
                line: line.to_owned(),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_is_read_entry_by_entry() {
        let menu = "\
menuentry 'Debian' --class debian $menuentry_id_option 'x' {
\tlinux\t/vmlinuz-6.1 root=UUID=1 ro  quiet
\tinitrd /initrd.img-6.1
}
submenu 'More' {
    menuentry \"Debian (recovery)\" {
        linux   /vmlinuz-6.1 root=UUID=1 ro single
    }
}
";
        let entries = entries(menu);
        let told: Vec<_> = entries
            .iter()
            .map(|e| (e.entry.as_str(), e.line.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("Debian", "root=UUID=1 ro  quiet"),
                ("Debian (recovery)", "root=UUID=1 ro single")
            ]
        );
    }
}

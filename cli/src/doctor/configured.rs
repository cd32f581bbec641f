//! The words that the configuration of a boot loader has for the kernel, read and never written.
//!
//! Two kinds of files have them: those that an owner edits, from which a tool makes others, and those that the
//! loader itself reads at boot. Which loader is in use does not matter here: what is set anywhere and was not
//! booted is worth to be told.

use vfio_bind_agent::text::cmdline::parameters;

use super::finding::Unread;
use super::system::System;
use crate::loader::entry::without_tries;

/// The words of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file, below the root.
    pub place: String,
    /// Whether the loader reads it at boot; else a tool makes from it what the loader reads.
    pub at_boot: bool,
    /// What makes it effective, where that is a tool's task.
    pub apply: &'static str,
    /// The whole line.
    pub line: String,
    /// Whether all of the line is known: no variable of the loader stands in it.
    pub whole: bool,
}

/// The words that concern VFIO, in one spelling: `rd.vfio.X` is `vfio.X`, and `-` is `_`.
#[must_use]
pub fn own_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in parameters(line.as_bytes()).filter(|word| !word.after_dashes) {
        let name = String::from_utf8_lossy(word.name).replace('-', "_");
        let name = name.strip_prefix("rd.").unwrap_or(&name).to_owned();
        let is_own = ["vfio.", "vfio_pci.", "vfio_iommu_type1."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            || ["intel_iommu", "amd_iommu", "iommu", "pcie_acs_override"].contains(&name.as_str());
        if !is_own {
            continue;
        }
        let word = match word.value {
            Some(value) => format!("{name}={}", String::from_utf8_lossy(value)),
            None => name,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// All that is set, file by file.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn all(system: &System<'_>) -> Result<Vec<Setting>, Unread> {
    let mut all = manifest(system)?;
    all.extend(edited(system)?);
    all.extend(entries(system)?);
    all.extend(grub(system)?);
    all.extend(others(system)?);
    Ok(all)
}

fn setting(place: &str, at_boot: bool, apply: &'static str, line: impl Into<String>) -> Setting {
    let line = line.into();
    Setting {
        place: place.to_owned(),
        at_boot,
        apply,
        whole: !line.contains('$'),
        line,
    }
}

/// What `setup` wrote down of its own work.
fn manifest(system: &System<'_>) -> Result<Vec<Setting>, Unread> {
    let place = "var/lib/vfio-bind/setup.json";
    let Some(text) = system.text(place)? else {
        return Ok(Vec::new());
    };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let words = value.get("words").and_then(|words| words.as_array());
    let words = words.into_iter().flatten().filter_map(|word| word.as_str());
    let line = words.collect::<Vec<_>>().join(" ");
    // What is booted once is not set for good.
    let once = value.get("once").and_then(serde_json::Value::as_bool) == Some(true);
    let there = !line.is_empty() && !once;
    let one = there.then(|| setting(place, false, "vfio-bind setup", line));
    Ok(one.into_iter().collect())
}

/// What an owner edits, and the tool that makes the loader's files of it.
fn edited(system: &System<'_>) -> Result<Vec<Setting>, Unread> {
    let mut found = Vec::new();
    let mut shell = vec!["etc/default/grub".to_owned()];
    let directory = "etc/default/grub.d";
    let names = system.names(directory)?.unwrap_or_default();
    let names = names.into_iter().filter(|name| name.ends_with(".cfg"));
    shell.extend(names.map(|name| format!("{directory}/{name}")));
    for place in shell {
        for key in ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"] {
            for value in assigned(&system.text(&place)?.unwrap_or_default(), key) {
                let mut one = setting(&place, false, "update-grub (grub-mkconfig)", value);
                // A variable there is what the same line was before.
                one.whole = true;
                found.push(one);
            }
        }
    }
    let place = "etc/kernel/cmdline";
    if let Some(text) = system.text(place)? {
        let first = text.lines().next().unwrap_or_default();
        let apply = match system.has("etc/kernel/proxmox-boot-uuids") {
            true => "proxmox-boot-tool refresh",
            false => "kernel-install add-all, or mkinitcpio -P",
        };
        found.push(setting(place, false, apply, first));
    }
    for (directory, apply) in [
        ("etc/cmdline.d", "mkinitcpio -P"),
        ("etc/kernel/cmdline.d", "sdbootutil update-all-entries"),
    ] {
        for name in system.names(directory)?.unwrap_or_default() {
            let place = format!("{directory}/{name}");
            if let (true, Some(text)) = (name.ends_with(".conf"), system.text(&place)?) {
                let lines = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with('#'));
                found.push(setting(
                    &place,
                    false,
                    apply,
                    lines.collect::<Vec<_>>().join(" "),
                ));
            }
        }
    }
    for (place, key, apply) in [
        (
            "etc/sdboot-manage.conf",
            "LINUX_OPTIONS",
            "sdboot-manage gen",
        ),
        (
            "etc/default/limine",
            "KERNEL_CMDLINE[default]",
            "limine-update",
        ),
        (
            "etc/limine-entry-tool.d/90-vfio-bind.conf",
            "KERNEL_CMDLINE[default]",
            "limine-update",
        ),
        ("etc/zipl.conf", "parameters", "zipl"),
        (
            "etc/u-boot-menu/conf.d/vfio-bind.conf",
            "U_BOOT_PARAMETERS",
            "u-boot-update",
        ),
    ] {
        for value in assigned(&system.text(place)?.unwrap_or_default(), key) {
            found.push(setting(place, false, apply, value));
        }
    }
    Ok(found)
}

/// The values of a variable in a file of `KEY="VALUE"` lines, with `+=` as well.
fn assigned(text: &str, key: &str) -> Vec<String> {
    let of = |line: &str| {
        let rest = line.trim().strip_prefix(key)?.trim_start();
        let rest = rest.strip_prefix("+=").or_else(|| rest.strip_prefix('='))?;
        let rest = rest.trim();
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
        let value = match quote {
            Some(quote) => rest[1..].split(quote).next().unwrap_or_default(),
            None => rest.split('#').next().unwrap_or_default(),
        };
        Some(value.trim().to_owned())
    };
    text.lines().filter_map(of).collect()
}

/// The entries of the Boot Loader Specification: systemd-boot's, and GRUB's on Fedora.
fn entries(system: &System<'_>) -> Result<Vec<Setting>, Unread> {
    let mut found = Vec::new();
    let chosen = chosen_entry(system)?;
    for directory in [
        "boot/loader/entries",
        "boot/efi/loader/entries",
        "efi/loader/entries",
    ] {
        for name in system.names(directory)?.unwrap_or_default() {
            let place = format!("{directory}/{name}");
            let is_other = chosen.as_ref().is_some_and(|chosen| {
                // `x+3.conf` is the entry `x`.
                let plain = |name: &str| {
                    without_tries(name.strip_suffix(".conf").unwrap_or(name)).to_owned()
                };
                plain(chosen) != plain(&name)
            });
            if !name.ends_with(".conf") || is_other {
                continue;
            }
            let text = system.text(&place)?.unwrap_or_default();
            let field = |key: &'static str| {
                let lines = text.lines();
                lines.filter_map(move |line| {
                    let (name, value) = line.trim().split_once(char::is_whitespace)?;
                    (name == key).then(|| value.trim().to_owned())
                })
            };
            if chosen.is_none() && !is_booted(system, field("linux").next().as_deref()) {
                continue;
            }
            let line = field("options").collect::<Vec<_>>().join(" ");
            found.push(setting(&place, true, "", line));
        }
    }
    Ok(found)
}

/// The entry that systemd-boot says it has started.
fn chosen_entry(system: &System<'_>) -> Result<Option<String>, Unread> {
    let place = "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let Some(bytes) = system.bytes(place)? else {
        return Ok(None);
    };
    // Attributes, then UTF-16.
    let (units, _) = bytes.get(4..).unwrap_or_default().as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let name = String::from_utf16_lossy(&units);
    let name = name.trim_end_matches('\0').to_owned();
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// Whether this boot may have started that kernel: GRUB says which by BOOT_IMAGE=.
fn is_booted(system: &System<'_>, kernel: Option<&str>) -> bool {
    let Some(booted) = system.parameter("BOOT_IMAGE") else {
        return true;
    };
    // `(hd0,gpt2)/vmlinuz-6.1`
    let booted = booted.rsplit(')').next().unwrap_or_default().to_owned();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    kernel.is_none_or(|kernel| name(kernel) == name(&booted))
}

/// GRUB's menu: the first entry with the kernel of this boot.
fn grub(system: &System<'_>) -> Result<Vec<Setting>, Unread> {
    let mut places = vec![
        "boot/grub/grub.cfg".to_owned(),
        "boot/grub2/grub.cfg".to_owned(),
    ];
    for name in system.names("boot/efi/EFI")?.unwrap_or_default() {
        places.push(format!("boot/efi/EFI/{name}/grub.cfg"));
    }
    let mut found = Vec::new();
    for place in places {
        let text = system.text(&place)?.unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let (command, rest) = line.trim().split_once(char::is_whitespace)?;
            let is_linux = ["linux", "linux16", "linuxefi"].contains(&command);
            let (kernel, line) = rest.trim().split_once(char::is_whitespace)?;
            (is_linux && is_booted(system, Some(kernel))).then_some(line)
        });
        found.extend(
            lines
                .take(1)
                .map(|line| setting(&place, true, "", line.trim())),
        );
    }
    Ok(found)
}

/// rEFInd, Limine and extlinux.
fn others(system: &System<'_>) -> Result<Vec<Setting>, Unread> {
    let mut found = Vec::new();
    let place = "boot/refind_linux.conf";
    let text = system.text(place)?.unwrap_or_default();
    // "TITLE" "OPTIONS"; the first line is the default.
    let quoted = text.lines().filter_map(|line| line.split('"').nth(3));
    found.extend(quoted.take(1).map(|line| setting(place, true, "", line)));
    for (place, keys) in [
        ("boot/limine.conf", ["cmdline:", "kernel_cmdline:"]),
        ("boot/limine/limine.conf", ["cmdline:", "kernel_cmdline:"]),
        (
            "boot/EFI/limine/limine.conf",
            ["cmdline:", "kernel_cmdline:"],
        ),
        ("boot/extlinux/extlinux.conf", ["append ", "APPEND "]),
        ("boot/syslinux/syslinux.cfg", ["append ", "APPEND "]),
    ] {
        let text = system.text(place)?.unwrap_or_default();
        let line = text.lines().find_map(|line| {
            let line = line.trim();
            keys.iter().find_map(|key| line.strip_prefix(key))
        });
        found.extend(line.map(|line| setting(place, true, "", line.trim())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_vfio_have_one_spelling() {
        let line =
            "ro rd.vfio.bind=42:00.0 vfio-pci.ids=1:2 intel_iommu=on root=x -- vfio.bind=1:0.0";
        let expected = ["vfio.bind=42:00.0", "vfio_pci.ids=1:2", "intel_iommu=on"];
        assert_eq!(own_words(line), expected);
    }

    #[test]
    fn values_are_read_as_shells_read_them() {
        let text = "# GRUB_CMDLINE_LINUX=\"no\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet a\" # b\n \
                    GRUB_CMDLINE_LINUX='x'\nGRUB_CMDLINE_LINUX+=\" y\"\nGRUB_CMDLINE_LINUX=z # c\n";
        assert_eq!(assigned(text, "GRUB_CMDLINE_LINUX"), ["x", "y", "z"]);
        assert_eq!(assigned(text, "GRUB_CMDLINE_LINUX_DEFAULT"), ["quiet a"]);
    }
}

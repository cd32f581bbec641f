//! Boot loaders whose words are set by hand: what to do, in words.

use anyhow::Result;

use super::change::{Answer, BootLine, Stop};
use super::facts::{Facts, Program};
use super::line;

/// Nothing is read back where nothing is written.
///
/// # Errors
/// None.
pub fn lines(_: &Facts<'_>) -> Result<Vec<BootLine>> {
    Ok(Vec::new())
}

/// NixOS.
///
/// # Errors
/// None.
pub fn nixos_signs(facts: &Facts<'_>) -> Result<bool> {
    Ok(facts.view.exists("etc/NIXOS"))
}

/// NixOS makes its boot entries.
///
/// # Errors
/// Always.
pub fn nixos(_: &Facts<'_>, words: &[String]) -> Answer {
    let list: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    Err(Stop::by_hand(
        "NixOS: boot entries are made from the configuration, and what is written beside it is gone at the next switch",
        [
            format!(
                "in /etc/nixos/configuration.nix: boot.kernelParams = [ {} ];",
                list.join(" ")
            ),
            "then: nixos-rebuild boot".to_owned(),
        ],
    ))
}

/// Unraid.
///
/// # Errors
/// None.
pub fn unraid_signs(facts: &Facts<'_>) -> Result<bool> {
    let marks = ["etc/unraid-version", "boot/config/vfio-pci.cfg"];
    Ok(facts.view.first(&marks).is_some())
}

/// Unraid's page of settings writes syslinux.cfg.
///
/// # Errors
/// Always.
pub fn unraid(facts: &Facts<'_>, words: &[String]) -> Answer {
    let also = match facts.view.exists("boot/config/vfio-pci.cfg") {
        true => {
            "its own list, /boot/config/vfio-pci.cfg (Tools, System Devices), binds too: let one of them do it"
        }
        false => "its own list is in Tools, System Devices: let one of them do it",
    };
    Err(Stop::by_hand(
        "Unraid: the page of its flash device writes the boot entries",
        [
            format!(
                "in Main, Flash, Syslinux Configuration, add to the `append` line of the default entry: {}",
                words.join(" ")
            ),
            also.to_owned(),
        ],
    ))
}

/// Limine without a tool that makes its entries.
///
/// # Errors
/// None.
pub fn limine_signs(facts: &Facts<'_>) -> Result<bool> {
    let files = [
        "boot/limine.conf",
        "boot/limine/limine.conf",
        "boot/efi/limine.conf",
        "boot/EFI/limine/limine.conf",
    ];
    let there = facts.view.first(&files).is_some();
    let tool = facts.view.program("limine-entry-tool") || facts.view.program("limine-update");
    Ok(!tool
        && (facts.program == Program::Limine
            || (there && facts.program == Program::Unknown && !facts.maybe_grub())))
}

/// Its entries are written by hand.
///
/// # Errors
/// Always.
pub fn limine(_: &Facts<'_>, words: &[String]) -> Answer {
    Err(Stop::by_hand(
        "Limine: its entries are written by hand here",
        [format!(
            "add to the `cmdline:` line of the entry in limine.conf: {}",
            words.join(" ")
        )],
    ))
}

/// ZFSBootMenu, which keeps the words in a property of the file system.
///
/// # Errors
/// None.
pub fn zfsbootmenu_signs(facts: &Facts<'_>) -> Result<bool> {
    let marks = [
        "etc/zfsbootmenu/config.yaml",
        "boot/efi/EFI/zbm",
        "boot/efi/EFI/ZBM",
    ];
    let named = line::words(&facts.line)
        .iter()
        .any(|word| word.starts_with("zbm."));
    Ok(named
        || (facts.view.first(&marks).is_some()
            && facts.line.contains("zfs")
            && !facts.maybe_known_menu()))
}

/// A property is no file.
///
/// # Errors
/// Always.
pub fn zfsbootmenu(facts: &Facts<'_>, words: &[String]) -> Answer {
    let root = line::words(&facts.line).into_iter().find_map(|word| {
        let value = word.strip_prefix("root=")?;
        Some(
            value
                .trim_start_matches("zfs:")
                .trim_start_matches("ZFS=")
                .to_owned(),
        )
    });
    let root = root.unwrap_or_else(|| "POOL/ROOT/NAME".to_owned());
    Err(Stop::by_hand(
        "ZFSBootMenu: it keeps the words in a property of the file system",
        [
            format!("zfs get -H -o value org.zfsbootmenu:commandline {root}"),
            format!(
                "zfs set org.zfsbootmenu:commandline='(what that says) {}' {root}",
                words.join(" ")
            ),
        ],
    ))
}

/// Void's hook that keeps the words in the firmware's boot entries.
///
/// # Errors
/// Where the file cannot be read.
pub fn void_signs(facts: &Facts<'_>) -> Result<bool> {
    let hook = facts
        .view
        .text("etc/default/efibootmgr-kernel-hook")?
        .unwrap_or_default();
    let on = hook.lines().any(|line| {
        matches!(
            line.trim(),
            "MODIFY_EFI_ENTRIES=1" | "MODIFY_EFI_ENTRIES=\"1\""
        )
    });
    Ok(on && !facts.maybe_known_menu())
}

/// The firmware's entries are made by xbps-reconfigure.
///
/// # Errors
/// Always.
pub fn void(_: &Facts<'_>, words: &[String]) -> Answer {
    Err(Stop::by_hand(
        "Void's efibootmgr-kernel-hook: the words are in the firmware's boot entries",
        [
            format!(
                "add to OPTIONS in /etc/default/efibootmgr-kernel-hook: {}",
                words.join(" ")
            ),
            "then: xbps-reconfigure -f linuxVERSION (the package of the kernel)".to_owned(),
        ],
    ))
}

/// extlinux without a tool that makes its entries.
///
/// # Errors
/// None.
pub fn extlinux_signs(facts: &Facts<'_>) -> Result<bool> {
    let files = [
        "boot/extlinux/extlinux.conf",
        "boot/extlinux.conf",
        "boot/syslinux/syslinux.cfg",
    ];
    let made = facts.view.program("u-boot-update") || facts.view.program("update-extlinux");
    let grub = ["boot/grub/grub.cfg", "boot/grub2/grub.cfg"];
    Ok(!made
        && facts.program == Program::Unknown
        && facts.view.first(&grub).is_none()
        && facts.view.first(&files).is_some()
        && !unraid_signs(facts)?)
}

/// Its entries are written by hand.
///
/// # Errors
/// Always.
pub fn extlinux(facts: &Facts<'_>, words: &[String]) -> Answer {
    let files = [
        "boot/extlinux/extlinux.conf",
        "boot/extlinux.conf",
        "boot/syslinux/syslinux.cfg",
    ];
    let file = facts.view.first(&files).unwrap_or(files[0]);
    Err(Stop::by_hand(
        "extlinux: its entries are written by hand here",
        [
            format!(
                "add to the `append` line of the entry that `default` names in /{file}: {}",
                words.join(" ")
            ),
            "leave another entry as it is: it is the way out".to_owned(),
        ],
    ))
}

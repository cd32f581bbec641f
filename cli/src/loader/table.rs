//! The boot loaders, and which of them a machine uses.

use anyhow::Result;

use super::change::{Answer, BootLine};
use super::facts::Facts;
use super::{
    addon, alpine, clear_linux, flash_kernel, grub, grub_once, grubby, kernel_install, kernelstub,
};
use super::{limine, mkinitcpio, ostree, proxmox, raspberry_pi, refind, sdboot_manage, sdbootutil};
use super::{systemd_boot, tell, u_boot, zipl};

/// One of them, or one way in which its words are kept.
pub struct Row {
    /// Its name, for `--loader`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether this machine uses it.
    pub signs: fn(&Facts<'_>) -> Result<bool>,
    /// What sets words.
    pub change: fn(&Facts<'_>, &[String]) -> Answer,
    /// The lines that boots may have, the usual one first; none where they cannot be read.
    pub lines: fn(&Facts<'_>) -> Result<Vec<BootLine>>,
    /// What sets words for the next boot alone.
    pub once: Option<fn(&Facts<'_>, &[String]) -> Answer>,
}

/// Where one is there, no other counts: they make the system, its boot entries among it. The first decides.
static FIRST: [Row; 5] = [
    Row {
        name: "bootc",
        about: "words that bootc keeps by who set them",
        signs: ostree::bootc_signs,
        change: ostree::bootc_change,
        lines: ostree::lines,
        once: None,
    },
    Row {
        name: "rpm-ostree",
        about: "a system that rpm-ostree makes",
        signs: ostree::rpm_ostree_signs,
        change: ostree::rpm_ostree_change,
        lines: ostree::lines,
        once: None,
    },
    Row {
        name: "ostree",
        about: "a system that boots an image",
        signs: ostree::other_signs,
        change: ostree::other_change,
        lines: ostree::lines,
        once: None,
    },
    Row {
        name: "nixos",
        about: "NixOS",
        signs: tell::nixos_signs,
        change: tell::nixos,
        lines: tell::lines,
        once: None,
    },
    Row {
        name: "unraid",
        about: "Unraid",
        signs: tell::unraid_signs,
        change: tell::unraid,
        lines: tell::lines,
        once: None,
    },
];

/// The others: of these a machine uses one.
static OTHERS: [Row; 24] = [
    Row {
        name: "proxmox-boot-tool",
        about: "systemd-boot, with the first line of /etc/kernel/cmdline",
        signs: proxmox::signs,
        change: proxmox::change,
        lines: tell::lines,
        once: None,
    },
    Row {
        name: "kernelstub",
        about: "systemd-boot, with /etc/kernelstub/configuration",
        signs: kernelstub::signs,
        change: kernelstub::change,
        lines: kernelstub::lines,
        once: Some(systemd_boot::once),
    },
    Row {
        name: "grub.d",
        about: "GRUB, whose grub-mkconfig reads /etc/default/grub.d",
        signs: grub::fragment_signs,
        change: grub::fragment,
        lines: grub::lines,
        once: Some(grub_once::change),
    },
    Row {
        name: "grub-default",
        about: "GRUB, whose grub-mkconfig reads /etc/default/grub",
        signs: grub::default_signs,
        change: grub::default,
        lines: grub::lines,
        once: Some(grub_once::change),
    },
    Row {
        name: "grubby",
        about: "GRUB, with entries that grubby writes",
        signs: grubby::signs,
        change: grubby::change,
        lines: grubby::lines,
        once: None,
    },
    Row {
        name: "sdbootutil",
        about: "boot entries that sdbootutil makes",
        signs: sdbootutil::signs,
        change: sdbootutil::change,
        lines: sdbootutil::lines,
        once: Some(systemd_boot::once),
    },
    Row {
        name: "kernel-install",
        about: "systemd-boot, with entries that kernel-install makes",
        signs: kernel_install::signs,
        change: kernel_install::change,
        lines: kernel_install::lines,
        once: Some(systemd_boot::once),
    },
    Row {
        name: "sdboot-manage",
        about: "systemd-boot, with /etc/sdboot-manage.conf",
        signs: sdboot_manage::signs,
        change: sdboot_manage::change,
        lines: sdboot_manage::lines,
        once: Some(systemd_boot::once),
    },
    Row {
        name: "mkinitcpio-uki",
        about: "unified kernel images that mkinitcpio makes",
        signs: mkinitcpio::signs,
        change: mkinitcpio::change,
        lines: mkinitcpio::lines,
        once: None,
    },
    Row {
        name: "ukify",
        about: "a unified kernel image, with an addon",
        signs: addon::signs,
        change: addon::change,
        lines: addon::lines,
        once: None,
    },
    Row {
        name: "limine-entry-tool",
        about: "Limine, with /etc/limine-entry-tool.d",
        signs: limine::signs,
        change: limine::change,
        lines: limine::lines,
        once: None,
    },
    Row {
        name: "limine",
        about: "Limine, with entries written by hand",
        signs: tell::limine_signs,
        change: tell::limine,
        lines: tell::lines,
        once: None,
    },
    Row {
        name: "refind",
        about: "rEFInd, with /boot/refind_linux.conf",
        signs: refind::signs,
        change: refind::change,
        lines: refind::lines,
        once: None,
    },
    Row {
        name: "grubby-zipl",
        about: "zipl, with entries that grubby writes",
        signs: grubby::zipl_signs,
        change: grubby::zipl_change,
        lines: grubby::lines,
        once: None,
    },
    Row {
        name: "zipl",
        about: "zipl, with /etc/zipl.conf",
        signs: zipl::signs,
        change: zipl::change,
        lines: zipl::lines,
        once: None,
    },
    Row {
        name: "u-boot-menu",
        about: "U-Boot, with /etc/u-boot-menu",
        signs: u_boot::signs,
        change: u_boot::change,
        lines: u_boot::lines,
        once: None,
    },
    Row {
        name: "update-extlinux",
        about: "extlinux, with /etc/update-extlinux.conf",
        signs: alpine::signs,
        change: alpine::change,
        lines: alpine::lines,
        once: None,
    },
    Row {
        name: "raspberry-pi",
        about: "the Raspberry Pi's firmware, with cmdline.txt",
        signs: raspberry_pi::signs,
        change: raspberry_pi::change,
        lines: raspberry_pi::lines,
        once: None,
    },
    Row {
        name: "clr-boot-manager",
        about: "systemd-boot, with entries that clr-boot-manager makes",
        signs: clear_linux::signs,
        change: clear_linux::change,
        lines: clear_linux::lines,
        once: Some(systemd_boot::once),
    },
    Row {
        name: "flash-kernel",
        about: "U-Boot, with /etc/default/flash-kernel",
        signs: flash_kernel::signs,
        change: flash_kernel::change,
        lines: flash_kernel::lines,
        once: None,
    },
    Row {
        name: "extlinux",
        about: "extlinux, with entries written by hand",
        signs: tell::extlinux_signs,
        change: tell::extlinux,
        lines: tell::lines,
        once: None,
    },
    Row {
        name: "efibootmgr-hook",
        about: "Void's hook for the firmware's boot entries",
        signs: tell::void_signs,
        change: tell::void,
        lines: tell::lines,
        once: None,
    },
    Row {
        name: "zfsbootmenu",
        about: "ZFSBootMenu",
        signs: tell::zfsbootmenu_signs,
        change: tell::zfsbootmenu,
        lines: tell::lines,
        once: None,
    },
    Row {
        name: "systemd-boot",
        about: "systemd-boot, with entries written by hand",
        signs: systemd_boot::signs,
        change: systemd_boot::change,
        lines: systemd_boot::lines,
        once: Some(systemd_boot::once),
    },
];

/// All of them, in the order in which they are looked for.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    FIRST.iter().chain(&OTHERS)
}

/// Which of them this machine uses: one, or none that is known, or more than one may be.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn find(facts: &Facts<'_>) -> Result<Vec<&'static Row>> {
    for row in &FIRST {
        if (row.signs)(facts)? {
            return Ok(vec![row]);
        }
    }
    let mut found = Vec::new();
    for row in &OTHERS {
        if (row.signs)(facts)? {
            found.push(row);
        }
    }
    Ok(found)
}

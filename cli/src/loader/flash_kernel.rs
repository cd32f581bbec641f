//! Debian's flash-kernel, which writes a script for U-Boot, of settings that a shell reads.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation};
use super::facts::{Facts, Program};
use super::raspberry_pi;
use super::sourced;

const FILE: &str = "etc/default/flash-kernel";

/// Whether it makes what boots: no menu is there, and no firmware that reads a line of its own.
///
/// # Errors
/// Where a file cannot be read.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let menus = ["boot/grub/grub.cfg", "boot/extlinux/extlinux.conf"];
    Ok(facts.view.program("flash-kernel")
        && facts.view.exists(FILE)
        && facts.program == Program::Unknown
        && facts.view.first(&menus).is_none()
        && !raspberry_pi::signs(facts)?)
}

/// A line at the end of its settings.
///
/// # Errors
/// Where it would not be read.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let edit = sourced::append(facts, FILE, "LINUX_KERNEL_CMDLINE", words)?;
    let mut change = Change::files(vec![edit], vec![Invocation::new(["flash-kernel"])]);
    change
        .notes
        .push("U-Boot's script cannot be read back: see /proc/cmdline after the reboot".to_owned());
    Ok(change)
}

/// A script for U-Boot is not read.
///
/// # Errors
/// None.
pub fn lines(_: &Facts<'_>) -> Result<Vec<BootLine>> {
    Ok(Vec::new())
}

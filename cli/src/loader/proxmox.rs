//! Proxmox with systemd-boot: proxmox-boot-tool copies kernels and the line to each EFI system partition.

use anyhow::Result;

use super::change::{Answer, Change, Invocation};
use super::facts::Facts;
use super::one_line;

/// The partitions that it keeps, by UUID. With GRUB the words are where GRUB's are.
pub const PARTITIONS: &str = "etc/kernel/proxmox-boot-uuids";
const LINE: &str = "etc/kernel/cmdline";

/// Whether it made the entries that booted.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let tool = facts.view.program("proxmox-boot-tool");
    Ok(tool && facts.view.exists(PARTITIONS) && facts.maybe_systemd_boot())
}

/// The first line alone: what follows is dropped without a word (proxmox-boot/functions, `get_first_line`).
///
/// # Errors
/// Where that is no kernel command line.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let edit = one_line::behind_first(facts, LINE, words)?;
    let text = facts.view.text(LINE)?.unwrap_or_default();
    let run = vec![Invocation::new(["proxmox-boot-tool", "refresh"])];
    let mut change = Change::files(vec![edit], run);
    if text.lines().skip(1).any(|line| !line.trim().is_empty()) {
        change.notes.push(format!(
            "/{LINE}: proxmox-boot-tool reads its first line alone, and not what follows"
        ));
    }
    Ok(change)
}

//! A line of another manager's files.

use serde::Serialize;

/// Who holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// modprobe.d.
    Modprobe,
    /// A parameter of the kernel.
    CommandLine,
    /// initramfs-tools' list of modules.
    InitramfsTools,
    /// driverctl.
    Driverctl,
    /// Unraid.
    Unraid,
    /// Proxmox VE's mappings of devices.
    Proxmox,
}

/// What one line of a file means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose it is.
    pub manager: Manager,
    /// The file, as the system has it.
    pub file: String,
    /// The line in it, from 1 on.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// What it takes.
    pub takes: Takes,
    /// What to do by hand, and why.
    pub by_hand: String,
}

/// What a line takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// What has these IDs, as vfio-pci's `ids=` lists them.
    Ids(String),
    /// A function or a slot by its address, if it has the ID that is expected there.
    Place(String, Option<String>),
    /// Nothing: it only helps.
    Nothing,
    /// It cannot be understood: why.
    Unclear(String),
}

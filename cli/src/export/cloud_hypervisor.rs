//! Cloud Hypervisor: `--device` (docs/vfio.md of the project).

use super::device::Lot;
use super::guest::apart;
use super::text::Exported;

pub(super) fn export(lot: Lot<'_>) -> Exported {
    let devices = lot.devices.iter();
    let words: Vec<_> = devices
        .map(|device| format!("path={}/,id={}", device.path(), device.label()))
        .collect();
    Exported {
        text: format!("--device {}\n", words.join(" ")),
        notes: apart(lot.devices, "Cloud Hypervisor"),
    }
}

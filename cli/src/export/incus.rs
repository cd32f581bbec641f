//! Incus: devices of the type `pci` (its documentation, "Type: pci").

use super::device::Lot;
use super::guest::apart;
use super::text::{Exported, Settings};

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Exported {
    let mut notes = apart(lot.devices, "Incus");
    let mut text = String::new();
    match &settings.vm {
        Some(vm) => {
            for device in lot.devices {
                let (label, address) = (device.label(), device.address);
                text += &format!("incus config device add {vm} {label} pci address={address}\n");
            }
        }
        None => {
            text += "devices:\n";
            for device in lot.devices {
                let (label, address) = (device.label(), device.address);
                text += &format!("  {label}:\n    type: pci\n    address: \"{address}\"\n");
            }
            notes.push(
                "these are lines for `incus config edit` or a profile; --vm NAME makes commands of them".to_owned(),
            );
        }
    }
    notes.push("Incus takes them while the guest is off".to_owned());
    Exported { text, notes }
}

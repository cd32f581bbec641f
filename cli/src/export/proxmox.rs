//! Proxmox VE: `hostpciN` of a guest, and mappings of a cluster (qm(1), pvesh(1)).

use super::device::{Device, Lot};
use super::guest::{Slot, slots};
use super::text::{Exported, Settings};

/// A guest has hostpci0 to hostpci15.
const MOST: usize = 16;

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Result<Exported, String> {
    let number = settings.vm.as_deref().map(guest).transpose()?;
    let slots = slots(lot.devices);
    if slots.len() > MOST {
        return Err(format!(
            "a guest takes {MOST} devices at most, and these are {}",
            slots.len()
        ));
    }
    if settings.resource.is_some() && slots.len() > 1 {
        return Err("a mapping is one device; export one at a time with --resource".to_owned());
    }
    let mut text = String::new();
    for (at, slot) in slots.iter().enumerate() {
        let what = match &settings.resource {
            Some(name) => {
                text += &mapping(name, slot, lot);
                format!("mapping={name}")
            }
            None => place(slot, lot),
        };
        text += &match number {
            Some(number) => format!("qm set {number} -hostpci{at} '{what},pcie=1'\n"),
            None => format!("hostpci{at}: {what},pcie=1\n"),
        };
    }
    let mut notes = vec![
        "pcie=1 wants the machine type q35; without it leave `,pcie=1` out. hostpci0 and up are meant to be free"
            .to_owned(),
    ];
    if number.is_none() {
        notes.push(
            "these are lines of /etc/pve/qemu-server/VMID.conf; --vm VMID makes commands of them"
                .to_owned(),
        );
    }
    if settings.resource.is_some() {
        notes.push("the mapping is for the node on which its command runs".to_owned());
    }
    Ok(Exported { text, notes })
}

/// Proxmox VE numbers guests from 100 on.
fn guest(vm: &str) -> Result<u32, String> {
    let number = vm.parse().ok().filter(|number| *number >= 100);
    number.ok_or_else(|| format!("--vm {vm}: Proxmox VE wants the number of a guest, from 100 on"))
}

/// The whole device where all its functions go, which keeps them together in the guest; else one by one.
fn place(slot: &Slot<'_>, lot: Lot<'_>) -> String {
    let Some((_, first)) = slot.functions.first() else {
        return String::new();
    };
    let own = first.address;
    let mut there = lot.machine.iter().filter(|other| {
        let other = other.address;
        (other.domain, other.bus, other.device) == (own.domain, own.bus, own.device)
    });
    let has = |address| slot.functions.iter().any(|(_, one)| one.address == address);
    if slot.is_shared() && there.all(|other| has(other.address)) {
        return format!("{:04x}:{:02x}:{:02x}", own.domain, own.bus, own.device);
    }
    let each = slot.functions.iter();
    let each: Vec<_> = each.map(|(_, one)| one.address.to_string()).collect();
    each.join(";")
}

fn mapping(name: &str, slot: &Slot<'_>, lot: Lot<'_>) -> String {
    let Some((_, first)) = slot.functions.first() else {
        return String::new();
    };
    let Device { id, group, .. } = first;
    let subsystem = match id.subvendor {
        0 => String::new(),
        vendor => format!(",subsystem-id={vendor:04x}:{:04x}", id.subdevice),
    };
    let group = group
        .map(|group| format!(",iommugroup={group}"))
        .unwrap_or_default();
    format!(
        "pvesh create /cluster/mapping/pci --id {name} --map \"node=$(hostname),path={},id={id}{subsystem}{group}\"\n",
        place(slot, lot)
    )
}

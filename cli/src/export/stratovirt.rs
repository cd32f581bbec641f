//! StratoVirt: arguments of a standard machine, or requests for its monitor (docs/boot.md and docs/vfio.md of the
//! project).

use super::device::{Device, Lot};
use super::guest::{slots, wants_ports};
use super::qemu::{object, removals, request};
use super::text::{Exported, Monitor, Settings};

/// The first slot of the root bus that is used: a guest's own devices are below, and the last is 31.
const FIRST_SLOT: u8 = 0x10;
const LAST_SLOT: u8 = 0x1f;

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Result<Exported, String> {
    match settings.monitor {
        None => arguments(lot),
        Some(Monitor::Add) => additions(lot.devices, &settings.ports),
        Some(Monitor::Del) => Ok(Exported::of(removals(lot.devices))),
    }
}

/// What names a function of the host: four digits of a domain, or a path.
fn host(device: &Device) -> (&'static str, String) {
    if device.has_wide_domain() {
        ("sysfsdev", device.path())
    } else {
        ("host", device.address.to_string())
    }
}

fn arguments(lot: Lot<'_>) -> Result<Exported, String> {
    let mut words = Vec::new();
    let mut place = FIRST_SLOT;
    for slot in slots(lot.devices) {
        if place > LAST_SLOT {
            return Err(format!(
                "the root bus has 32 slots, and {FIRST_SLOT:#x} to {LAST_SLOT:#x} are used here; export fewer devices \
                 at a time"
            ));
        }
        for (number, device) in &slot.functions {
            let (key, value) = host(device);
            let label = device.label();
            let shared = if slot.is_shared() && *number == 0 {
                ",multifunction=on"
            } else {
                ""
            };
            words.push(format!(
                "-device vfio-pci,{key}={value},id={label},bus=pcie.0,addr={place:#x}.{number:#x}{shared}"
            ));
        }
        place = place.saturating_add(1);
    }
    Ok(Exported {
        text: words.join(" ") + "\n",
        notes: vec![format!(
            "the slots {FIRST_SLOT:#x} and up of pcie.0 are meant to be free; a microvm has no PCI bus"
        )],
    })
}

/// A root port takes one function, in its slot 0.
fn additions(devices: &[Device], ports: &[String]) -> Result<Exported, String> {
    if ports.len() != devices.len() {
        return Err(wants_ports(devices.len(), ports.len()));
    }
    let mut text = String::new();
    for (device, port) in devices.iter().zip(ports) {
        let (key, value) = host(device);
        text += &request(
            "device_add",
            &object(&[
                ("id", device.label().into()),
                ("driver", "vfio-pci".into()),
                ("bus", port.as_str().into()),
                ("addr", "0x0".into()),
                (key, value.into()),
            ]),
        );
    }
    Ok(Exported::of(text))
}

//! QEMU: arguments, or requests for its monitor (QMP).

use serde_json::{Map, Value};

use super::device::{Device, Lot};
use super::guest::{Slot, slots, wants_ports};
use super::text::{Exported, Monitor, Settings};

/// The object that stands for /dev/iommu.
const IOMMUFD: &str = "iommufd0";

/// Numbers of root ports have to be unique among those of the guest (`pcie_chassis_add_slot` in
/// hw/pci/pcie_port.c): people count from 0 or 1.
const FIRST_CHASSIS: u8 = 0x80;

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Result<Exported, String> {
    let slots = slots(lot.devices);
    match settings.monitor {
        None => arguments(&slots, settings),
        Some(Monitor::Add) => additions(&slots, settings),
        Some(Monitor::Del) => Ok(Exported::of(removals(lot.devices))),
    }
}

/// What names a function of the host. `host=` holds four digits of a domain (`set_pci_host_devaddr` in
/// hw/core/qdev-properties-system.c), a path all.
fn host(device: &Device) -> (&'static str, String) {
    if device.has_wide_domain() {
        ("sysfsdev", device.path())
    } else {
        ("host", device.address.to_string())
    }
}

fn arguments(slots: &[Slot<'_>], settings: &Settings) -> Result<Exported, String> {
    let mut words = Vec::new();
    let mut exported = Exported::default();
    if settings.iommufd {
        words.push(format!("-object iommufd,id={IOMMUFD}"));
    }
    let mut chassis = FIRST_CHASSIS;
    for slot in slots {
        let port = wants_port(slot).then(|| format!("port-{chassis:x}"));
        if let Some(port) = &port {
            words.push(format!(
                "-device pcie-root-port,id={port},bus=pcie.0,chassis={chassis}"
            ));
            chassis = chassis
                .checked_add(1)
                .ok_or("there are not so many root ports; export fewer devices at a time")?;
        }
        for (number, device) in &slot.functions {
            words.extend(function(slot, *number, device, settings, port.as_deref()));
        }
    }
    if chassis > FIRST_CHASSIS {
        exported.notes.push(
            "the root ports are for machine types with PCI Express (q35, virt); for pc leave `-device \
             pcie-root-port,...` and `bus=...` out"
                .to_owned(),
        );
    }
    exported.text = words.join(" ") + "\n";
    Ok(exported)
}

/// Whether a slot wants a root port: drivers of graphics cards look at the link that is above them, and a place for
/// several functions has to be named.
fn wants_port(slot: &Slot<'_>) -> bool {
    let mut all = slot.functions.iter();
    let on_z = all.clone().any(|(_, device)| device.zpci.is_some());
    !on_z && (slot.is_shared() || all.any(|(_, device)| device.id.is_display()))
}

fn function(
    slot: &Slot<'_>,
    number: u8,
    device: &Device,
    settings: &Settings,
    port: Option<&str>,
) -> Vec<String> {
    let mut words = Vec::new();
    let label = device.label();
    if let Some(zpci) = device.zpci {
        let uid = match zpci.uid {
            // It has none of its own; QEMU finds one.
            0 => String::new(),
            uid => format!("uid={uid},"),
        };
        let fid = zpci.fid;
        words.push(format!("-device zpci,{uid}fid={fid},target={label}"));
    }
    let (key, value) = host(device);
    let mut text = format!("-device vfio-pci,{key}={value},id={label}");
    if settings.iommufd {
        text += &format!(",iommufd={IOMMUFD}");
    }
    if let Some(port) = port {
        text += &format!(",bus={port},addr=0x0.{number:#x}");
    }
    if slot.is_shared() && number == 0 {
        text += ",multifunction=on";
    }
    words.push(text);
    words
}

fn additions(slots: &[Slot<'_>], settings: &Settings) -> Result<Exported, String> {
    let ports = &settings.ports;
    let on_z = slots.iter().flat_map(|slot| &slot.functions);
    let on_z = on_z.clone().any(|(_, device)| device.zpci.is_some());
    if on_z && !ports.is_empty() {
        return Err("an IBM Z has no root ports: leave --port out".to_owned());
    }
    if !on_z && ports.len() != slots.len() {
        return Err(wants_ports(slots.len(), ports.len()));
    }
    let mut text = String::new();
    let mut line = |execute: &str, arguments: Map<String, Value>| {
        text += &request(execute, &arguments);
    };
    if settings.iommufd {
        line(
            "object-add",
            object(&[("qom-type", "iommufd".into()), ("id", IOMMUFD.into())]),
        );
    }
    for (at, slot) in slots.iter().enumerate() {
        // A slot is looked at by the guest when its function 0 comes (`pcie_cap_slot_plug_cb`).
        let mut functions = slot.functions.clone();
        functions.sort_by(|(one, _), (other, _)| other.cmp(one));
        for (number, device) in functions {
            let label = device.label();
            if let Some(zpci) = device.zpci {
                let mut arguments = object(&[
                    ("driver", "zpci".into()),
                    ("fid", zpci.fid.into()),
                    ("target", label.clone().into()),
                ]);
                if zpci.uid > 0 {
                    arguments.insert("uid".to_owned(), zpci.uid.into());
                }
                line("device_add", arguments);
            }
            let (key, value) = host(device);
            let mut arguments = object(&[
                ("driver", "vfio-pci".into()),
                (key, value.into()),
                ("id", label.into()),
            ]);
            if settings.iommufd {
                arguments.insert("iommufd".to_owned(), IOMMUFD.into());
            }
            if let Some(port) = ports.get(at) {
                arguments.insert("bus".to_owned(), port.as_str().into());
                arguments.insert("addr".to_owned(), format!("0x0.{number:#x}").into());
            }
            if slot.is_shared() && number == 0 {
                arguments.insert("multifunction".to_owned(), true.into());
            }
            line("device_add", arguments);
        }
    }
    Ok(Exported::of(text))
}

/// Requests to let go, which the guest agrees to or not: `DEVICE_DELETED` says so.
pub(super) fn removals(devices: &[Device]) -> String {
    let line = |device: &Device| {
        let arguments = object(&[("id", device.label().into())]);
        request("device_del", &arguments)
    };
    devices.iter().map(line).collect()
}

/// A line for the monitor, the command first, as people read it.
pub(super) fn request(execute: &str, arguments: &Map<String, Value>) -> String {
    let (execute, arguments) = (Value::from(execute), Value::from(arguments.clone()));
    format!("{{\"execute\": {execute}, \"arguments\": {arguments}}}\n")
}

pub(super) fn object(members: &[(&str, Value)]) -> Map<String, Value> {
    let members = members.iter();
    members
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

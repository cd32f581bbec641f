//! libvirt: `<hostdev>` elements (formatdomain, "Host device assignment").

use std::fmt::Write as _;

use super::device::{Device, Lot};
use super::guest::{Slot, slots};
use super::text::{Exported, Settings, Version};

/// The first bus of a guest that slots with several functions get: virt-manager fills those before it with the
/// devices of a new guest. libvirt adds the root ports up to it.
const FIRST_BUS: u8 = 0x10;

/// The version that knows a driver of a model's own (`model=`, and that such a driver is VFIO's).
const KNOWS_MODELS: Version = Version {
    major: 10,
    minor: 0,
};

pub(super) fn export(lot: Lot<'_>, settings: &Settings) -> Result<Exported, String> {
    let mut exported = Exported::default();
    let mut bus = FIRST_BUS;
    for slot in slots(lot.devices) {
        for (number, device) in &slot.functions {
            let mut element = Element {
                device,
                settings,
                notes: &mut exported.notes,
            };
            exported.text += &element.text(&slot, *number, bus);
        }
        if slot.is_shared() {
            bus = bus
                .checked_add(1)
                .ok_or("a guest has no more than 256 buses; export fewer devices at a time")?;
        }
    }
    if lot.devices.len() > 1 {
        exported.notes.push(
            "paste them between <devices> and </devices> (`virsh edit`); `virsh attach-device` takes a file with one \
             element"
                .to_owned(),
        );
    }
    if bus > FIRST_BUS {
        exported.notes.push(format!(
            "functions of one device stay together in the guest, from bus {FIRST_BUS:#04x} on, which is meant for \
             machine types with PCI Express (q35, virt); where another device of the guest has that bus, write a \
             free one into each `<address type='pci'`"
        ));
    }
    if settings.managed {
        exported.notes.push(
            "managed='yes': libvirt gives the functions to their native drivers when the guest ends, and binds them \
             again when it starts; after that `vfio-bind verify` says that they are not bound"
                .to_owned(),
        );
    }
    Ok(exported)
}

struct Element<'a> {
    device: &'a Device,
    settings: &'a Settings,
    notes: &'a mut Vec<String>,
}

impl Element<'_> {
    fn text(&mut self, slot: &Slot<'_>, number: u8, bus: u8) -> String {
        let managed = if self.settings.managed { "yes" } else { "no" };
        let address = self.device.address;
        let mut text = format!("<hostdev mode='subsystem' type='pci' managed='{managed}'>\n");
        let model = match self.model() {
            Some(driver) => format!(" model='{driver}'"),
            None => String::new(),
        };
        // A string takes everything.
        let _ = writeln!(text, "  <driver name='vfio'{model}/>");
        let _ = writeln!(
            text,
            "  <source>\n    <address domain='{:#06x}' bus='{:#04x}' slot='{:#04x}' function='{:#x}'/>\n  </source>",
            address.domain, address.bus, address.device, address.function
        );
        if let Some(zpci) = self.device.zpci {
            let uid = match zpci.uid {
                // It has none of its own; libvirt finds one.
                0 => String::new(),
                uid => format!(" uid='{uid:#06x}'"),
            };
            let _ = writeln!(
                text,
                "  <address type='pci'>\n    <zpci{uid} fid='{:#010x}'/>\n  </address>",
                zpci.fid
            );
        } else if slot.is_shared() {
            let first = if number == 0 {
                " multifunction='on'"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "  <address type='pci' domain='0x0000' bus='{bus:#04x}' slot='0x00' function='{number:#x}'{first}/>"
            );
        }
        text + "</hostdev>\n"
    }

    /// The driver of this model's own, where libvirt is known to know it; what it lacks is told.
    fn model(&mut self) -> Option<&str> {
        let own = self.device.variant()?;
        let address = self.device.address;
        match self.settings.libvirt {
            Some(version) if version >= KNOWS_MODELS => return Some(own),
            Some(_) => self.notes.push(format!(
                "{address} is on {own}, which libvirt before 10.0 does not take for a driver of VFIO's: it refuses the \
                 function with managed='no'; use a newer libvirt, or vfio.driver=vfio-pci"
            )),
            None => self.notes.push(format!(
                "{address} is on {own}: give the version of libvirt (--libvirt 10.0), which takes model='{own}' from \
                 10.0 on"
            )),
        }
        None
    }
}

//! What is plugged into USB.

use std::path::Path;

use serde::Serialize;

use crate::storage::block::{entries, name, text_of};
use crate::terminal::one_line;

/// A USB device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsbDevice {
    /// Bus and ports, as the kernel has them: `1-4.2` is in socket 2 of the hub in socket 4 of bus 1.
    pub port: String,
    /// Vendor and device, as `046d:c52b`.
    pub id: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// Whether firmware takes it for a keyboard.
    pub keyboard: bool,
    /// Or for a mouse.
    pub mouse: bool,
}

impl UsbDevice {
    /// `USB 1-4: Logitech USB Receiver (keyboard, mouse)`.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = format!(
            "USB {}: {}",
            self.port,
            self.name.as_ref().unwrap_or(&self.id)
        );
        let kinds = [(self.keyboard, "keyboard"), (self.mouse, "mouse")];
        let kinds: Vec<_> = kinds
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, kind)| *kind)
            .collect();
        if !kinds.is_empty() {
            text += &format!(" ({})", kinds.join(", "));
        }
        text
    }
}

/// The device at a directory; none where it is a hub, that of a host controller included.
pub(super) fn device(place: &Path) -> Option<UsbDevice> {
    let text = |file: &str| text_of(&place.join(file)).map(|text| one_line(&text));
    let (vendor, product) = (text("idVendor")?, text("idProduct").unwrap_or_default());
    if text("bDeviceClass").as_deref() == Some("09") {
        return None;
    }
    let named = |file: &str| text(file).filter(|text| !text.is_empty());
    let name_of = match (named("manufacturer"), named("product")) {
        // Many have their maker's name in their own.
        (Some(maker), Some(own)) if !own.starts_with(&maker) => Some(format!("{maker} {own}")),
        (maker, own) => own.or(maker),
    };
    // Of HID class, for firmware (HID 1.11, 4.2 and 4.3).
    let has = |protocol: &str| {
        entries(place).iter().any(|interface| {
            let is = |file: &str, value| text_of(&interface.join(file)).as_deref() == Some(value);
            is("bInterfaceClass", "03") && is("bInterfaceProtocol", protocol)
        })
    };
    Some(UsbDevice {
        port: one_line(&name(place)),
        id: format!("{vendor}:{product}"),
        name: name_of,
        keyboard: has("01"),
        mouse: has("02"),
    })
}

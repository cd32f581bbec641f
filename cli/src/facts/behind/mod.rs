//! What hangs behind a function: what a person would miss, or be glad of in a guest.
//!
//! Disks with what is on them ([`disks`]), networks ([`interfaces`]), what is plugged in ([`usb`], [`monitors`]),
//! sound, input and consoles.

pub mod detail;
pub mod disks;
pub mod interfaces;
pub mod monitors;
pub mod usb;

use std::path::{Path, PathBuf};

use serde::Serialize;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::pci::address::Address;

use crate::preview::in_use::System;
use crate::storage::ask::Ask;
use crate::storage::block::{Sysfs, name, text_of};
use crate::terminal::one_line;
use crate::usage::devices::{linked, walk};

pub use detail::Detail;
pub use disks::Disk;
pub use interfaces::Interface;
pub use monitors::Monitor;
pub use usb::UsbDevice;

/// All that hangs behind one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// Disks.
    pub disks: Vec<Disk>,
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// USB devices, hubs left out.
    pub usb: Vec<UsbDevice>,
    /// Monitors that are plugged in.
    pub monitors: Vec<Monitor>,
    /// Sound cards, by the names that they give themselves.
    pub sound: Vec<String>,
    /// Input devices that are not on USB.
    pub inputs: Vec<String>,
    /// Terminals that the kernel writes its messages to.
    pub consoles: Vec<String>,
    /// Framebuffers that show the text console.
    pub text_console: Vec<String>,
}

impl Behind {
    /// A phrase for each thing.
    #[must_use]
    pub fn told(&self, detail: Detail) -> Vec<String> {
        let mut told = Vec::new();
        told.extend(self.disks.iter().map(|disk| disk.told(detail)));
        told.extend(self.interfaces.iter().map(|one| one.told(detail)));
        told.extend(self.monitors.iter().map(Monitor::told));
        told.extend(self.usb.iter().map(UsbDevice::told));
        told.extend(self.sound.iter().map(|name| format!("sound {name}")));
        told.extend(self.inputs.iter().map(|name| format!("input {name}")));
        told.extend(self.consoles.iter().map(|name| format!("console {name}")));
        let shown = self.text_console.iter();
        told.extend(shown.map(|name| format!("the text console ({name})")));
        told
    }

    /// What the host would miss of it, a phrase for each.
    #[must_use]
    pub fn uses(&self, detail: Detail) -> Vec<String> {
        let mut uses = Vec::new();
        for disk in &self.disks {
            let on = disk.uses_in(detail);
            if !on.is_empty() {
                uses.push(format!("{} has {}", disk.name, on.join(", ")));
            }
        }
        for one in &self.interfaces {
            uses.extend(one.used(detail));
        }
        if self.usb.iter().any(|one| one.keyboard) {
            uses.push("it has a keyboard".to_owned());
        }
        uses.extend(
            self.consoles
                .iter()
                .map(|name| format!("it has the console {name}")),
        );
        if !self.text_console.is_empty() {
            uses.push("it shows the text console".to_owned());
        }
        uses
    }
}

/// Directories below a function, by what they stand for.
#[derive(Debug, Default)]
struct Found {
    disks: Vec<PathBuf>,
    interfaces: Vec<PathBuf>,
    usb: Vec<PathBuf>,
    connectors: Vec<PathBuf>,
    sound: Vec<PathBuf>,
    inputs: Vec<PathBuf>,
}

/// What is the same for all functions of a machine.
pub struct View<'s> {
    sysfs: &'s Sysfs,
    users: disks::Users,
    networks: interfaces::Networks,
    routes: Vec<(Address, String)>,
    consoles: Vec<(Address, String)>,
    text_console: Vec<(Address, String)>,
}

impl<'s> View<'s> {
    /// Reads it.
    #[must_use]
    pub fn of(root: &Path, sysfs: &'s Sysfs, ask: &dyn Ask, untold: &mut Vec<String>) -> Self {
        let system = System { root };
        Self {
            sysfs,
            users: disks::Users::of(sysfs, ask),
            networks: interfaces::Networks::of(ask, untold),
            routes: system.default_nics(),
            consoles: system.consoles(),
            text_console: system.console_displays(),
        }
    }

    /// What hangs behind a function that is no bridge.
    #[must_use]
    pub fn behind(&self, address: Address, untold: &mut Vec<String>) -> Behind {
        let Self {
            sysfs,
            users,
            networks,
            ..
        } = self;
        let Some(top) = sysfs.directory(attribute(address, "").as_str()) else {
            return Behind::default();
        };
        let (found, whole) = find(sysfs, &top);
        if !whole {
            untold.push(format!(
                "{address} has too much below it in sysfs; not all of it was looked at"
            ));
        }
        let routes = names(&self.routes, address);
        let interface = |place: &PathBuf| networks.interface(place, &routes);
        Behind {
            disks: found.disks.iter().map(|place| users.disk(place)).collect(),
            interfaces: found.interfaces.iter().map(interface).collect(),
            usb: found
                .usb
                .iter()
                .filter_map(|place| usb::device(place))
                .collect(),
            monitors: found
                .connectors
                .iter()
                .filter_map(|place| monitors::on(place))
                .collect(),
            sound: found
                .sound
                .iter()
                .filter_map(|place| sound(sysfs, place))
                .collect(),
            inputs: inputs(&found.inputs),
            consoles: names(&self.consoles, address),
            text_console: names(&self.text_console, address),
        }
    }
}

/// What a list has of a function, each once.
fn names(list: &[(Address, String)], address: Address) -> Vec<String> {
    let own = list.iter().filter(|(function, _)| *function == address);
    let mut names: Vec<_> = own.map(|(_, name)| one_line(name)).collect();
    names.sort();
    names.dedup();
    names
}

/// What is below a function, those aside that are behind it as behind a bridge; whether all of it was looked at.
fn find(sysfs: &Sysfs, top: &Path) -> (Found, bool) {
    let mut found = Found::default();
    let enters = |_: &Path, entry: &Path| {
        let name = name(entry);
        let is_bus = name.starts_with("pci") && name.contains(':');
        !is_bus && Address::parse(name.as_bytes()).is_none()
    };
    let whole = walk(sysfs, top, &enters, &mut |directory, below| {
        let own = name(directory);
        if own == "net" {
            found.interfaces.extend(below.iter().cloned());
            return;
        }
        let is_on = |mark: &str| {
            let above = directory.ancestors().skip(1);
            let mut above = above.take_while(|place| *place != top);
            above.any(|place| place.join(mark).exists() || name(place) == mark)
        };
        let list = match &*linked(&directory.join("subsystem")) {
            // A path of a multipath disk has no node.
            "block" if !directory.join("partition").exists() && directory.join("dev").exists() => {
                &mut found.disks
            }
            "usb" if directory.join("idVendor").exists() => &mut found.usb,
            "drm" if directory.join("status").exists() => &mut found.connectors,
            // What hangs on USB is told as a USB device.
            "sound" if own.starts_with("card") && !is_on("idVendor") => &mut found.sound,
            // The sockets of a sound card are input devices, too.
            "input" if own.starts_with("input") && !is_on("idVendor") && !is_on("sound") => {
                &mut found.inputs
            }
            _ => return,
        };
        list.push(directory.to_owned());
    });
    let Found {
        disks,
        interfaces,
        usb,
        connectors,
        sound,
        inputs,
    } = &mut found;
    for list in [disks, interfaces, usb, connectors, sound, inputs] {
        list.sort_by_key(|place| detail::natural(&name(place)));
        list.dedup();
    }
    (found, whole)
}

/// What a sound card calls itself: ` 0 [PCH            ]: HDA-Intel - HDA Intel PCH` in /proc/asound/cards.
fn sound(sysfs: &Sysfs, place: &Path) -> Option<String> {
    let number = name(place).strip_prefix("card")?.to_owned();
    let cards = sysfs.text("proc/asound/cards").unwrap_or_default();
    let mut names = cards.lines().filter_map(|line| {
        let (own, rest) = line.trim_start().split_once(' ')?;
        let (_, name) = rest.split_once("]: ")?.1.split_once(" - ")?;
        (own == number).then(|| one_line(name))
    });
    names
        .next()
        .or_else(|| text_of(&place.join("id")).map(|id| one_line(&id)))
        .filter(|name| !name.is_empty())
}

/// The names of input devices, each once: a touchpad has several.
fn inputs(places: &[PathBuf]) -> Vec<String> {
    let mut names = Vec::new();
    for name in places
        .iter()
        .filter_map(|place| text_of(&place.join("name")))
    {
        let name = one_line(&name);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

//! What is one thing to its owner: the functions of a card, whatever groups they are in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vfio_bind_agent::pci::address::Address;

use super::function::Function;
use super::spelled;

/// A card, or what of a chipset stands alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The name of what it is for: of a graphics card its display's.
    pub name: String,
    /// Its functions.
    #[serde(serialize_with = "spelled::all")]
    pub functions: Vec<Address>,
    /// Their groups, each once.
    pub groups: Vec<u32>,
}

impl Device {
    /// Whether what makes it one is in different groups.
    #[must_use]
    pub fn is_parted(&self) -> bool {
        self.groups.len() > 1
    }
}

/// The devices that these functions make up: each function that is no bridge is in one of them.
///
/// The functions of a slot behind a bridge are one device where they are several of the same, as the ports of a network
/// card, or a display with what goes with one, of one vendor. Others of a slot have nothing in common: those of a
/// chipset, or those that share an integrated GPU's.
/// What a switch that leads to a display leads to besides, as on cards with audio behind a port of its own, is of
/// that display's device. A virtual function is lent by itself.
#[must_use]
pub fn devices(functions: &[Function]) -> Vec<Device> {
    let mut parts: BTreeMap<Address, Vec<&Function>> = BTreeMap::new();
    for one in functions.iter().filter(|one| one.is_endpoint()) {
        let first = functions
            .iter()
            .find(|other| are_one(functions, other, one))
            .map_or(one.address, |other| other.address);
        // What the first of them is one with, all are.
        let first = parts
            .iter()
            .find(|(_, known)| known.iter().any(|other| other.address == first))
            .map_or(first, |(first, _)| *first);
        parts.entry(first).or_default().push(one);
    }
    parts.into_values().map(|parts| device(&parts)).collect()
}

fn device(parts: &[&Function]) -> Device {
    let display = parts.iter().find(|one| one.ids.is_display());
    let main = display.or_else(|| parts.first());
    let groups: BTreeSet<_> = parts.iter().filter_map(|one| one.group).collect();
    Device {
        name: main.map(|main| main.name.clone()).unwrap_or_default(),
        functions: parts.iter().map(|one| one.address).collect(),
        groups: groups.into_iter().collect(),
    }
}

/// Whether an earlier function is of the same device.
fn are_one(functions: &[Function], earlier: &Function, one: &Function) -> bool {
    if earlier.address >= one.address
        || !earlier.is_endpoint()
        || earlier.physical_function.is_some()
        || one.physical_function.is_some()
    {
        return false;
    }
    let slot = |address: Address| (address.domain, address.bus, address.device);
    let same_slot = slot(earlier.address) == slot(one.address);
    let same_vendor = earlier.ids.vendor == one.ids.vendor;
    let is_card = one.parent.is_some() && !one.of_the_machine && !earlier.of_the_machine;
    let same = earlier.id == one.id && earlier.class == one.class;
    let has_display = || {
        let mut all = functions.iter();
        all.any(|other| {
            slot(other.address) == slot(one.address)
                && other.ids.is_display()
                && other.ids.vendor == one.ids.vendor
        })
    };
    let is_graphics = || belongs(one) && belongs(earlier) && has_display();
    if same_slot && same_vendor && is_card && (same || is_graphics()) {
        return true;
    }
    let own = switch(functions, one);
    own.is_some() && own == switch(functions, earlier) && belongs(one) && belongs(earlier)
}

/// The uppermost port of a switch that a graphics card has for itself: two bridges above the display, below a port
/// of the root bus.
fn switch(functions: &[Function], one: &Function) -> Option<Address> {
    let find = |address: Address| functions.iter().find(|other| other.address == address);
    let downstream = find(one.parent?)?;
    let upstream = find(downstream.parent?)?;
    upstream.parent?;
    let behind = |other: &&Function| {
        other.is_endpoint()
            && other
                .parent
                .and_then(find)
                .is_some_and(|port| port.parent == Some(upstream.address))
    };
    let behind: Vec<_> = functions.iter().filter(behind).collect();
    let displays = behind.iter().filter(|other| other.ids.is_display()).count();
    let of_one_card = behind.iter().all(|other| belongs(other));
    (displays == 1 && of_one_card).then_some(upstream.address)
}

/// Whether it may be a part of a graphics card: its display, its audio, its USB-C socket.
fn belongs(one: &Function) -> bool {
    one.ids.is_display() || matches!(one.class.get(..4), Some("0403" | "0c03" | "0c80"))
}

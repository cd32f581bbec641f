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
    let switches = switches(functions);
    // The first of each device, and all of it.
    let mut parts: BTreeMap<Address, Vec<&Function>> = BTreeMap::new();
    for one in functions.iter().filter(|one| one.is_endpoint()) {
        let is_of = |others: &Vec<&Function>| {
            let mut others = others.iter();
            others.any(|other| are_one(functions, &switches, other, one))
        };
        let known = parts.iter().find(|(_, others)| is_of(others));
        let first = known.map_or(one.address, |(first, _)| *first);
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
fn are_one(
    functions: &[Function],
    switches: &BTreeMap<Address, Address>,
    earlier: &Function,
    one: &Function,
) -> bool {
    if earlier.physical_function.is_some() || one.physical_function.is_some() {
        return false;
    }
    let own = switches.get(&one.address);
    if own.is_some() && own == switches.get(&earlier.address) {
        return true;
    }
    let slot = |address: Address| (address.domain, address.bus, address.device);
    let same_slot = |other: &Function| slot(other.address) == slot(one.address);
    let same_vendor = |other: &Function| other.ids.vendor == one.ids.vendor;
    let is_card = one.parent.is_some() && !one.of_the_machine && !earlier.of_the_machine;
    if !is_card || !same_slot(earlier) || !same_vendor(earlier) {
        return false;
    }
    let same = earlier.id == one.id && earlier.class == one.class;
    let has_display = || {
        let mut all = functions.iter();
        all.any(|other| same_slot(other) && same_vendor(other) && other.ids.is_display())
    };
    same || (belongs(one) && belongs(earlier) && has_display())
}

/// For each function behind a switch that a graphics card has for itself the uppermost port of that: two bridges above
/// the display, below a port of the root bus.
fn switches(functions: &[Function]) -> BTreeMap<Address, Address> {
    let find = |address: Address| {
        let at = functions.binary_search_by_key(&address, |one| one.address);
        functions.get(at.ok()?)
    };
    let upstream = |one: &Function| {
        let port = find(find(one.parent?)?.parent?)?;
        port.parent.map(|_| port.address)
    };
    let mut behind: BTreeMap<Address, Vec<&Function>> = BTreeMap::new();
    for one in functions.iter().filter(|one| one.is_endpoint()) {
        if let Some(port) = upstream(one) {
            behind.entry(port).or_default().push(one);
        }
    }
    behind.retain(|_, parts| {
        let displays = parts.iter().filter(|one| one.ids.is_display()).count();
        displays == 1 && parts.iter().all(|one| belongs(one))
    });
    let pairs = behind.into_iter().flat_map(|(port, parts)| {
        let addresses = parts.into_iter().map(|one| one.address);
        addresses.map(move |address| (address, port))
    });
    pairs.collect()
}

/// Whether it may be a part of a graphics card: its display, its audio, its USB-C socket.
fn belongs(one: &Function) -> bool {
    one.ids.is_display() || matches!(one.class.get(..4), Some("0403" | "0c03" | "0c80"))
}

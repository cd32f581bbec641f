//! How a function is best written on a kernel command line.

use std::path::Path;

use serde::Serialize;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::iommu::Kind;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, way};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;

use crate::device::maker;
use crate::preview::known::{Informed, Known};
use crate::words::rehearsal::Rehearsal;

/// What a selector goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The way through the bridges.
    Path,
    /// The place on a root bus, which is its own way.
    RootBus,
    /// The address.
    Address,
    /// What makes the virtual functions, and their indexes.
    VirtualFunctions,
}

/// A selector, and why this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selector {
    /// As it belongs behind `vfio.bind=`.
    pub text: String,
    /// What it goes by.
    pub form: Form,
    /// Why that.
    pub why: String,
    /// The functions that it means.
    #[serde(serialize_with = "super::shown::all")]
    pub functions: Vec<Address>,
}

/// The highest domain that does not come with a VMD controller's driver (`vmd_find_free_domain`).
const LAST_FIXED: u32 = 0xffff;

/// The sturdiest selectors for functions, by address; the virtual ones of a physical function are in one.
#[must_use]
pub fn selectors(root: &Path, tree: &Tree, functions: &[&Function]) -> Vec<Selector> {
    let mut all: Vec<Selector> = Vec::new();
    let mut makers: Vec<(Address, Vec<(u16, Address)>)> = Vec::new();
    for function in functions {
        match maker::of(root, tree, function.address) {
            Some((pf, index)) => match makers.iter_mut().find(|(known, _)| *known == pf) {
                Some((_, made)) => made.push((index, function.address)),
                None => makers.push((pf, vec![(index, function.address)])),
            },
            None => all.push(selector(tree, function)),
        }
    }
    all.extend(
        makers
            .into_iter()
            .map(|(pf, made)| of_virtual(tree, pf, made)),
    );
    all
}

/// The selector for a function that is no virtual one.
fn selector(tree: &Tree, function: &Function) -> Selector {
    let address = function.address;
    let guard = guard(&function.id);
    let by_address = |why: String| Selector {
        text: format!("{address}@{guard}"),
        form: Form::Address,
        why: format!(
            "its address, because {why}; where that changes, the ID behind @ keeps what is there then from \
             being taken in its place"
        ),
        functions: vec![address],
    };
    match place(tree, address) {
        Err(why) => by_address(why),
        Ok(place) => {
            let text = format!("{place}@{guard}");
            if !is_plain(&text) || !means_only(tree, &text, address) {
                return by_address(format!("{place} does not lead to it alone"));
            }
            let form = if place.contains('/') {
                Form::Path
            } else {
                Form::RootBus
            };
            let why = match form {
                Form::Path => {
                    "the way to it through the bridges, which stays when a card elsewhere changes the \
                     numbers of buses"
                }
                _ => "its place on a root bus, which no card elsewhere changes",
            };
            Selector {
                text,
                form,
                why: format!("{why}; the ID behind @ keeps anything else there from being taken"),
                functions: vec![address],
            }
        }
    }
}

/// The selector for virtual functions of one physical function.
fn of_virtual(tree: &Tree, pf: Address, mut made: Vec<(u16, Address)>) -> Selector {
    made.sort_unstable();
    let place = place(tree, pf).unwrap_or_else(|_| pf.to_string());
    let guard = id(tree, pf).map_or(String::new(), |id| format!("@{}", guard(&id)));
    let indexes: Vec<_> = made.iter().map(|(index, _)| *index).collect();
    Selector {
        text: format!("vf:{place}{guard}#{}", ranges(&indexes)),
        form: Form::VirtualFunctions,
        why: format!(
            "the physical function {pf} that makes them, and their indexes: they are bound as soon as they \
             are made, and {pf} stays with its own driver"
        ),
        functions: made.into_iter().map(|(_, address)| address).collect(),
    }
}

/// `0-2,5`.
fn ranges(numbers: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *number == last.saturating_add(1) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let texts: Vec<_> = ranges
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    texts.join(",")
}

/// The way to a function from its root bus.
///
/// # Errors
/// Why it cannot be written, or would not hold.
fn place(tree: &Tree, address: Address) -> Result<String, String> {
    if is_ibm_z(tree, address) {
        return Err("on IBM Z it has its own, the UID, and there are no bridges".to_owned());
    }
    if address.domain > LAST_FIXED {
        return Err(format!(
            "the domain {:x} is made anew each time vmd takes its controller",
            address.domain
        ));
    }
    let way = way::of(tree, address);
    way.map(|way| way.to_string())
        .ok_or_else(|| "sysfs does not tell the way to it".to_owned())
}

/// Whether a function is one of IBM Z's, which have a function ID (`arch/s390/pci/pci_sysfs.c`).
#[must_use]
pub fn is_ibm_z(tree: &Tree, address: Address) -> bool {
    tree.exists(&attribute(address, "function_id")) || Kind::of(tree) == Kind::S390
}

/// Vendor and device.
fn guard(id: &DeviceId) -> String {
    format!("{:04x}:{:04x}", id.vendor, id.device)
}

fn id(tree: &Tree, address: Address) -> Option<DeviceId> {
    let mut buffer = [0; 128];
    let text = tree
        .read(&attribute(address, "modalias"), &mut buffer)
        .ok()?;
    DeviceId::from_modalias(text)
}

/// Whether no shell, no boot loader and no reader of configuration takes a letter for anything else.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ":./@,#-_=".contains(letter);
    text.chars().all(plain)
}

/// Whether the agent takes a selector for this function and no other.
fn means_only(tree: &Tree, selector: &str, address: Address) -> bool {
    let known = Known::default();
    let informed = Informed {
        tree,
        known: &known,
    };
    let rehearsal = Rehearsal::of(&informed, format!("vfio.bind={selector}").as_bytes());
    rehearsal.named().eq([address])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_ranges() {
        for (numbers, expected) in [
            (&[0][..], "0"),
            (&[0, 1, 2, 5], "0-2,5"),
            (&[3, 5, 6], "3,5-6"),
        ] {
            assert_eq!(ranges(numbers), expected);
        }
    }

    #[test]
    fn what_a_shell_would_read_is_not_plain() {
        for (text, plain) in [
            ("0000:00:1c.0/00.0@10de:2204", true),
            ("vf:0000:03:00.0@8086:1572#0-3,5", true),
            ("label:Onboard LAN", false),
            ("acpi:\\_SB_.PCI0", false),
            ("slot:$4", false),
            ("42:00.*", false),
        ] {
            assert_eq!(is_plain(text), plain, "{text}");
        }
    }
}

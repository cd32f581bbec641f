//! A function, as sysfs shows it.

use std::path::Component;

use serde::Serialize;
use vfio_bind_agent::machine::inventory;
use vfio_bind_agent::machine::sriov::Sriov;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::machine::{Root, way};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;

use super::behind::Behind;
use super::link::Link;
use super::spelled;
use crate::device::is_lent;
use crate::names::Names;
use crate::storage::block::Sysfs;
use crate::terminal::one_line;

/// One function and all that is known of it.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Where it is.
    #[serde(serialize_with = "spelled::one")]
    pub address: Address,
    /// What it is, for the agent's library.
    #[serde(skip)]
    pub ids: DeviceId,
    /// Vendor and device, as `10de:2204`.
    pub id: String,
    /// Those of its subsystem, where it has one.
    pub subsystem: Option<String>,
    /// Its class, six digits.
    pub class: String,
    /// The class in a word or two.
    pub kind: &'static str,
    /// What people call it: from pci.ids, else its IDs.
    pub name: String,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// The driver that has it now.
    pub driver: Option<String>,
    /// The way to it through the bridges, in the words of the policy, where sysfs tells it.
    pub path: Option<String>,
    /// The root bus that it is on or behind, as `0000:00`.
    pub root_bus: String,
    /// The bridge right above it.
    #[serde(serialize_with = "spelled::maybe")]
    pub parent: Option<Address>,
    /// The buses behind it, where it is a bridge.
    pub bridge: Option<Buses>,
    /// Whether it belongs to the machine itself, and not to a device that can be lent.
    pub of_the_machine: bool,
    /// The physical function that made it.
    #[serde(serialize_with = "spelled::maybe")]
    pub physical_function: Option<Address>,
    /// The virtual functions that it has and can have.
    pub virtual_functions: Option<VirtualFunctions>,
    /// Ways to reset it, in the order in which they are tried. Before Linux 5.15 it is only known whether there is
    /// one: `some`. Nothing is known where the tree has none of its attributes.
    pub resets: Option<Vec<String>>,
    /// Its link.
    pub link: Option<Link>,
    /// Whether the machine boots on it, as a display.
    pub boot_display: bool,
    /// Its NUMA node, where the machine has some.
    pub numa_node: Option<u32>,
    /// Its power state: `D0`, `D3hot`, ...
    pub power: Option<String>,
    /// What hangs behind it.
    pub behind: Behind,
    /// What was seen behind it before a vfio driver had it.
    pub last_seen: Vec<String>,
}

/// The buses behind a bridge; 0 and 0 where it leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Buses {
    /// The first.
    pub first: u8,
    /// The last.
    pub last: u8,
}

/// Virtual functions of a physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualFunctions {
    /// How many there are.
    pub made: u16,
    /// How many there can be.
    pub most: u16,
}

impl Function {
    /// Reads what sysfs shows of one function of an inventory.
    #[must_use]
    pub fn read(
        sysfs: &Sysfs,
        tree: &impl Root,
        names: &Names,
        function: &inventory::Function,
    ) -> Self {
        let address = function.address;
        let file = |name| attribute(address, name);
        let text = |name| sysfs.text(file(name).as_str());
        let id = &function.id;
        let sriov = Sriov::read(tree, address);
        let place = Place::of(sysfs, address);
        let pair = |vendor, device| DeviceId {
            vendor,
            device,
            ..DeviceId::default()
        };
        let subsystem = (id.subvendor != 0 || id.subdevice != 0)
            .then(|| pair(id.subvendor, id.subdevice).to_string());
        Self {
            address,
            ids: *id,
            id: id.to_string(),
            subsystem,
            class: format!("{:06x}", id.class),
            kind: id.kind(),
            name: names.name(id),
            group: function.group,
            driver: function.driver.as_deref().map(str::to_owned),
            path: way::of(tree, address).map(|way| way.to_string()),
            root_bus: place.root_bus,
            parent: place.parent,
            bridge: function.bridge.then_some(Buses {
                first: function.buses.0,
                last: function.buses.1,
            }),
            of_the_machine: function.bridge || id.is_system(),
            physical_function: sysfs.physical(address),
            virtual_functions: (sriov.total > 0).then_some(VirtualFunctions {
                made: sriov.count,
                most: sriov.total,
            }),
            resets: resets(tree, text("reset_method"), address),
            link: Link::read(sysfs, address),
            boot_display: function.boot_display,
            // -1 where there is only one.
            numa_node: text("numa_node").and_then(|node| node.parse().ok()),
            power: text("power_state").filter(|state| state != "unknown"),
            behind: Behind::default(),
            last_seen: Vec::new(),
        }
    }

    /// Whether it can be lent at all: bridges cannot.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        self.bridge.is_none()
    }

    /// Whether nobody would lend it: it belongs to the machine itself, or is a small part of its chipset, such as
    /// a sensor, a timer, a flash controller or the management engine.
    #[must_use]
    pub fn is_of_no_use(&self) -> bool {
        let on_board = self.parent.is_none();
        let part = match self.ids.subclass() {
            // A host controller for SD cards.
            0x0805 => false,
            0x0780 | 0x0c80 | 0x0800..=0x08ff | 0x1100..=0x11ff => on_board,
            // What has no task: AMD's dummies.
            0x1300..=0x13ff => true,
            _ => false,
        };
        (self.of_the_machine || part) && !self.is_lent()
    }

    /// Whether a driver of VFIO's has it.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        is_lent(self.driver.as_deref())
    }
}

/// What `reset_method` says, or whether there is a file `reset`.
fn resets(tree: &impl Root, methods: Option<String>, address: Address) -> Option<Vec<String>> {
    let exists = |name| tree.exists(&attribute(address, name));
    match methods {
        Some(methods) => Some(methods.split_whitespace().map(one_line).collect()),
        None if exists("reset") => Some(vec!["some".to_owned()]),
        // Every function has this; a capture may have no attributes at all.
        None => exists("resource").then(Vec::new),
    }
}

/// Where a function is, by the directory that its entry in sysfs links to.
struct Place {
    root_bus: String,
    parent: Option<Address>,
}

impl Place {
    /// Only its own bus where the entry is no link, as in a flat capture.
    fn of(sysfs: &Sysfs, address: Address) -> Self {
        let mut place = Self {
            root_bus: format!("{:04x}:{:02x}", address.domain, address.bus),
            parent: None,
        };
        let Some(directory) = sysfs.directory(attribute(address, "").as_str()) else {
            return place;
        };
        for component in sysfs.below(&directory).components() {
            let Component::Normal(name) = component else {
                continue;
            };
            let name = name.to_string_lossy();
            if let Some(bus) = name.strip_prefix("pci").filter(|bus| bus.contains(':')) {
                // That of a VMD controller is inside its function.
                bus.clone_into(&mut place.root_bus);
                place.parent = None;
            } else if let Some(above) = Address::parse(name.as_bytes())
                && above != address
            {
                place.parent = Some(above);
            }
        }
        place
    }
}

/// Finds out what several functions tell of one: the bridge above each where its place does not tell, the root
/// bus, and what both ends of a link can.
pub fn connect(functions: &mut [Function]) {
    for at in 0..functions.len() {
        let one = &functions[at];
        if one.parent.is_none() {
            let above = bridge_to(functions, one.address);
            functions[at].parent = above;
        }
    }
    for at in 0..functions.len() {
        let mut top = functions[at].address;
        let mut bus = functions[at].root_bus.clone();
        // No longer than there are bridges: what sysfs says may be a circle.
        for _ in 0..functions.len() {
            let Some(one) = find(functions, top) else {
                break;
            };
            bus.clone_from(&one.root_bus);
            match one.parent {
                Some(parent) => top = parent,
                None => break,
            }
        }
        let port = functions[at].parent.and_then(|port| find(functions, port));
        let port = port.and_then(|port| port.link);
        let link = functions[at].link;
        functions[at].root_bus = bus;
        functions[at].link = link.map(|link| port.map_or(link, |port| link.to(port)));
    }
}

/// The bridge that has the bus of a function right behind it.
fn bridge_to(functions: &[Function], address: Address) -> Option<Address> {
    let mut bridges = functions.iter().filter(|one| {
        let leads = |buses: Buses| buses.first > 0 && buses.first == address.bus;
        one.address.domain == address.domain && one.bridge.is_some_and(leads)
    });
    bridges.next().map(|bridge| bridge.address)
}

fn find(functions: &[Function], address: Address) -> Option<&Function> {
    let at = functions.binary_search_by_key(&address, |one| one.address);
    functions.get(at.ok()?)
}

//! What there is to say of a function that goes to a guest.

use std::fs;
use std::path::Path;

use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::policy::VFIO_PCI;

use crate::device::chosen::Found;
use crate::device::{is_lent, maker};
use crate::names::Names;

/// A function that is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where it sits.
    pub address: Address,
    /// What it is.
    pub id: DeviceId,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// The driver that has it.
    pub driver: Option<String>,
    /// What people call it.
    pub name: String,
    /// What IBM Z says of it.
    pub zpci: Option<Zpci>,
    /// What made it, where it is a virtual function.
    pub maker: Option<Maker>,
    /// The device of VFIO by which it is opened without a group, as `vfio0` (Linux 6.6 and later).
    pub node: Option<String>,
}

/// What is exported, and what else the machine has.
#[derive(Clone, Copy, Debug)]
pub struct Lot<'a> {
    /// What is exported, by address.
    pub devices: &'a [Device],
    /// All functions of the machine.
    pub machine: &'a [Found],
}

/// The two identifiers of a function on IBM Z (`zpci_attr` in arch/s390/pci/pci_sysfs.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zpci {
    /// `uid`: its owner's number, which is the domain of the address where it is unique.
    pub uid: u32,
    /// `function_id`: the machine's.
    pub fid: u32,
}

/// The physical function of a virtual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// Where it sits.
    pub address: Address,
    /// Which of its virtual functions this is.
    pub index: u16,
    /// Its network interfaces, by name.
    pub interfaces: Vec<String>,
}

impl Device {
    /// Reads what sysfs at `root` says of a function.
    #[must_use]
    pub fn read(root: &Path, tree: &Tree, names: &Names, found: &Found) -> Self {
        let address = found.address;
        let directory = root.join(attribute(address, "").as_str());
        let hex = |file: &str| {
            let text = fs::read_to_string(directory.join(file)).ok()?;
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
        };
        let uid = hex("uid").zip(hex("function_id"));
        Self {
            address,
            id: found.id,
            group: found.group,
            driver: found.driver.clone(),
            name: names.name(&found.id),
            zpci: uid.map(|(uid, fid)| Zpci { uid, fid }),
            maker: maker(root, tree, address),
            node: entries(&directory.join("vfio-dev")).into_iter().next(),
        }
    }

    /// A name for it that any monitor takes: a letter first, then letters, digits, `-` and `.`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("vfio-{}", self.address).replace(':', "-")
    }

    /// Whether a driver of VFIO's has it.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        is_lent(self.driver.as_deref())
    }

    /// The driver of VFIO's that is made for this model, where one has it.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        let driver = self.driver.as_deref().filter(|_| self.is_lent());
        driver.filter(|driver| *driver != VFIO_PCI)
    }

    /// Where sysfs has it: what a monitor takes that opens it by its path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/sys/bus/pci/devices/{}", self.address)
    }

    /// Whether its domain is larger than what an address of the PCI specification holds, as below an Intel VMD
    /// controller.
    #[must_use]
    pub fn has_wide_domain(&self) -> bool {
        self.address.domain > 0xffff
    }
}

fn maker(root: &Path, tree: &Tree, address: Address) -> Option<Maker> {
    let (maker, index) = maker::of(root, tree, address)?;
    let interfaces = root.join(attribute(maker, "net").as_str());
    Some(Maker {
        address: maker,
        index,
        interfaces: entries(&interfaces),
    })
}

/// The names in a directory, in order; none where it is not there.
fn entries(directory: &Path) -> Vec<String> {
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = found
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

//! Made-up trees: what an image has at [`TREE`], a `/sys` with thousands of functions.
//!
//! Domains of [`DOMAIN`] functions, each in a group of its own: eight root ports, and 31 functions behind
//! each. All are disks but the last, which is a network card.

use std::path::Path;

use anyhow::Result;
use qemu_tests::bench::TREE;

use crate::initrd::{Archive, DATA, FOLDER, LINK};

/// The functions of a domain.
const DOMAIN: usize = 256;
/// A root port and what is behind it.
const PORT: usize = 32;

/// What kinds of functions there are: vendor, device, subsystem vendor and device, class.
const MODELS: [[&str; 5]; 3] = [
    ["1B36", "000C", "0000", "0000", "060400"],
    ["1B36", "0010", "1AF4", "1100", "010802"],
    ["8086", "10D3", "8086", "0000", "020000"],
];
/// What a function has as files that many have alike.
const FILES: [&str; 4] = ["vendor", "device", "class", "modalias"];

/// One function.
struct Function {
    /// Its model's number.
    model: usize,
    /// The number of the bus that its port leads to.
    bus: usize,
    /// The address of the port that it is behind, if it is not one itself.
    port: Option<String>,
    /// Its own.
    address: String,
    domain: usize,
}

impl Function {
    /// That of this number, of so many.
    fn new(number: usize, functions: usize) -> Self {
        let (domain, place) = (number / DOMAIN, number % DOMAIN);
        let (bus, behind) = (place / PORT + 1, place % PORT);
        let port = format!("{domain:04x}:00:{bus:02x}.0");
        let Some(behind) = behind.checked_sub(1) else {
            return Self {
                model: 0,
                bus,
                port: None,
                address: port,
                domain,
            };
        };
        let (slot, part) = (behind / 8, behind % 8);
        Self {
            model: if number + 1 == functions { 2 } else { 1 },
            bus,
            port: Some(port),
            address: format!("{domain:04x}:{bus:02x}:{slot:02x}.{part}"),
            domain,
        }
    }

    /// Where it is below `/sys`.
    fn folder(&self) -> String {
        let port = self
            .port
            .iter()
            .fold(String::new(), |_, port| format!("/{port}"));
        format!("devices/pci{:04x}:00{port}/{}", self.domain, self.address)
    }
}

/// The address of the network card in a tree of so many functions, and its path from the root port.
#[must_use]
pub fn card(functions: usize) -> (String, String) {
    let function = Function::new(functions - 1, functions);
    let place = function.address.rsplit(':').next().unwrap_or_default();
    let path = match &function.port {
        Some(port) => format!("{port}/{place}"),
        None => function.address.clone(),
    };
    (function.address, path)
}

/// Writes the image at `path`: that at `base`, and a tree of so many functions behind it.
///
/// # Errors
/// Where something cannot be read or written.
pub fn write(path: &Path, base: &Path, functions: usize) -> Result<()> {
    let mut archive = Archive::behind(path, base)?;
    let root = TREE.trim_start_matches('/');
    archive.add(root, FOLDER, b"")?;
    for folder in [
        "sys",
        "sys/bus",
        "sys/bus/pci",
        "sys/bus/pci/devices",
        "sys/bus/pci/drivers",
        "sys/bus/pci/drivers/vfio-pci",
        "sys/class",
        "sys/class/iommu",
        "sys/class/iommu/dmar0",
        "sys/kernel",
        "sys/kernel/iommu_groups",
        "sys/devices",
        "proc",
    ] {
        archive.add(&format!("{root}/{folder}"), FOLDER, b"")?;
    }
    for file in ["cmdline", "cpuinfo"] {
        let real = format!("/proc/{file}");
        archive.add(&format!("{root}/proc/{file}"), LINK, real.as_bytes())?;
    }
    let mut tree = Tree {
        archive,
        sysfs: format!("{root}/sys"),
        domain: None,
        written: Vec::new(),
    };
    for number in 0..functions {
        tree.function(&Function::new(number, functions), number)?;
    }
    tree.archive.finish()
}

/// A tree being written.
struct Tree {
    archive: Archive,
    /// Where its `/sys` is.
    sysfs: String,
    /// The domain whose folder there is, of the last function.
    domain: Option<usize>,
    /// The models whose files there are.
    written: Vec<usize>,
}

impl Tree {
    fn function(&mut self, function: &Function, group: usize) -> Result<()> {
        let sysfs = &self.sysfs;
        if self.domain.replace(function.domain) != Some(function.domain) {
            let folder = format!("{sysfs}/devices/pci{:04x}:00", function.domain);
            self.archive.add(&folder, FOLDER, b"")?;
        }
        let below = function.folder();
        let folder = format!("{sysfs}/{below}");
        self.archive.add(&folder, FOLDER, b"")?;
        let first = !self.written.contains(&function.model);
        for (number, (file, text)) in FILES.iter().zip(attributes(function.model)).enumerate() {
            let inode = u32::try_from(function.model * FILES.len() + number + 1)?;
            let text = if first { text.as_bytes() } else { b"" };
            let place = format!("{folder}/{file}");
            self.archive.add_linked(&place, inode, text)?;
        }
        if first {
            self.written.push(function.model);
        }
        if function.port.is_none() {
            for file in ["secondary_bus_number", "subordinate_bus_number"] {
                let text = format!("{}\n", function.bus);
                let place = format!("{folder}/{file}");
                self.archive.add(&place, DATA, text.as_bytes())?;
            }
        }
        let mut add =
            |place: &str, mode, text: &str| self.archive.add(place, mode, text.as_bytes());
        add(&format!("{folder}/driver_override"), DATA, "(null)\n")?;
        let groups = format!("{sysfs}/kernel/iommu_groups/{group}");
        add(&groups, FOLDER, "")?;
        add(&format!("{groups}/devices"), FOLDER, "")?;
        let address = &function.address;
        let (from_group, from_bus) = ("../../../..", "../../..");
        add(
            &format!("{groups}/devices/{address}"),
            LINK,
            &format!("{from_group}/{below}"),
        )?;
        let up = "../".repeat(below.matches('/').count() + 1);
        add(
            &format!("{folder}/iommu_group"),
            LINK,
            &format!("{up}kernel/iommu_groups/{group}"),
        )?;
        add(
            &format!("{folder}/subsystem"),
            LINK,
            &format!("{up}bus/pci"),
        )?;
        add(
            &format!("{sysfs}/bus/pci/devices/{address}"),
            LINK,
            &format!("{from_bus}/{below}"),
        )
    }
}

/// The content of a model's [`FILES`].
fn attributes(model: usize) -> [String; 4] {
    let [vendor, device, subvendor, subdevice, class] = MODELS[model];
    let (base, sub, interface) = (&class[..2], &class[2..4], &class[4..]);
    let number = |text: &str| format!("0x{}\n", text.to_lowercase());
    let modalias = format!(
        "pci:v0000{vendor}d0000{device}sv0000{subvendor}sd0000{subdevice}bc{base}sc{sub}i{interface}\n"
    );
    [number(vendor), number(device), number(class), modalias]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::{Cursor, Read};

    use cpio::newc;

    #[test]
    fn the_card_is_the_last_function() {
        for (functions, address, path) in [
            (2, "0000:01:00.0", "0000:00:01.0/00.0"),
            (1024, "0003:08:03.6", "0003:00:08.0/03.6"),
            (16384, "003f:08:03.6", "003f:00:08.0/03.6"),
        ] {
            assert_eq!(card(functions), (address.to_owned(), path.to_owned()));
        }
    }

    #[test]
    fn a_tree_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (base, whole) = (folder.path().join("base"), folder.path().join("whole"));
        fs::write(&base, "").unwrap();
        write(&whole, &base, 258 + 1).unwrap();
        let mut rest = Cursor::new(fs::read(&whole).unwrap());
        let (mut found, mut inodes) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            let (name, number) = (reader.entry().name().to_owned(), reader.entry().ino());
            if number != 0 {
                let content = inodes.entry(number).or_insert_with(|| text.clone());
                text.clone_from(content);
            }
            // A folder comes before what is in it.
            let above = name.rsplit_once('/').map(|(above, _)| above);
            assert!(
                above.is_none_or(|above| found.contains_key(above)),
                "{name}"
            );
            assert!(found.insert(name.clone(), text).is_none(), "{name} twice");
            rest = reader.finish().unwrap();
        }
        let one = "tree/sys/devices/pci0001:00/0001:00:01.0/0001:01:00.1";
        for (file, text) in [
            ("vendor", "0x8086\n"),
            ("class", "0x020000\n"),
            (
                "modalias",
                "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00\n",
            ),
            ("iommu_group", "../../../../kernel/iommu_groups/258"),
            ("subsystem", "../../../../bus/pci"),
        ] {
            assert_eq!(found[&format!("{one}/{file}")], text, "{file}");
        }
        let device = "0001:00:01.0/0001:01:00.1";
        assert_eq!(
            found["tree/sys/bus/pci/devices/0001:01:00.1"],
            format!("../../../devices/pci0001:00/{device}")
        );
        assert_eq!(
            found["tree/sys/kernel/iommu_groups/258/devices/0001:01:00.1"],
            format!("../../../../devices/pci0001:00/{device}")
        );
        assert_eq!(
            found["tree/sys/devices/pci0000:00/0000:00:08.0/device"],
            "0x000c\n"
        );
        assert_eq!(
            found["tree/sys/devices/pci0000:00/0000:00:08.0/secondary_bus_number"],
            "8\n"
        );
    }
}

//! Machines in directories, with the links that sysfs has: each entry of `/sys/bus/pci/devices` leads into the
//! tree of bridges.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A function as a topology file has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub address: String,
    pub class: u32,
    pub ids: [u32; 4],
    pub driver: Option<String>,
    pub group: Option<u32>,
    /// The bus behind a bridge.
    pub secondary: Option<u8>,
}

impl Row {
    pub fn is_system(&self) -> bool {
        matches!(self.class >> 8, 0x0600 | 0x0601 | 0x0c05 | 0x0806) || self.class >> 16 == 0x05
    }

    pub fn bus(&self) -> &str {
        self.address.rsplit_once(':').unwrap().0
    }

    pub fn slot(&self) -> &str {
        self.address.rsplit_once('.').unwrap().0
    }

    pub fn id(&self) -> String {
        format!("{:04x}:{:04x}", self.ids[0], self.ids[1])
    }
}

/// The machines of the topology files, by name.
pub fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap();
    let mut names: Vec<_> = files
        .filter_map(|file| {
            Some(
                file.unwrap()
                    .file_name()
                    .to_str()?
                    .strip_suffix(".tsv")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    names
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/topologies")
}

/// The functions of a topology file.
pub fn rows(name: &str) -> Vec<Row> {
    let text = fs::read_to_string(folder().join(format!("{name}.tsv"))).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(parsed).collect()
}

fn parsed(line: &str) -> Row {
    let fields: Vec<_> = line.split('\t').collect();
    let hex = |field: &str| u32::from_str_radix(field, 16).unwrap_or(0);
    Row {
        address: fields[0].to_owned(),
        class: hex(fields[1]),
        ids: [2, 3, 4, 5].map(|at| hex(fields[at])),
        driver: Some(fields[7].to_owned()).filter(|driver| driver != "-"),
        group: fields[8].parse().ok(),
        secondary: u8::from_str_radix(fields[9], 16).ok(),
    }
}

pub struct Machine {
    directory: TempDir,
}

impl Machine {
    pub fn of(name: &str) -> Self {
        Self::with(&rows(name))
    }

    pub fn with(rows: &[Row]) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let machine = Self {
            directory: directory.unwrap(),
        };
        // A list of names of its own: that of the system which runs the tests is another.
        machine.write("usr/share/hwdata/pci.ids", NAMES);
        machine.write("proc/self/mountinfo", "27 1 0:24 / / rw - tmpfs tmpfs rw\n");
        machine.write("proc/cmdline", "quiet\n");
        fs::create_dir_all(machine.path("sys/bus/pci/drivers")).unwrap();
        if rows.iter().any(|row| row.group.is_some()) {
            let made_by = |vendor| rows.iter().any(|row| row.ids[0] == vendor);
            let iommu = match () {
                () if made_by(0x1022) => "ivhd0",
                () if made_by(0x1def) => "smmu3.0x0000000023fc0000",
                () => "dmar0",
            };
            fs::create_dir_all(machine.path("sys/class/iommu").join(iommu)).unwrap();
        }
        let buses: BTreeMap<String, &Row> = rows
            .iter()
            .filter_map(|row| {
                let domain = row.address.split(':').next().unwrap();
                Some((format!("{domain}:{:02x}", row.secondary?), row))
            })
            .collect();
        for row in rows {
            machine.insert(row, &buses);
        }
        machine
    }

    fn insert(&self, row: &Row, buses: &BTreeMap<String, &Row>) {
        // From the function up to its root bus.
        let mut steps = vec![row.address.clone()];
        let mut bus = row.bus().to_owned();
        while let Some(bridge) = buses.get(&bus) {
            steps.push(bridge.address.clone());
            bus = bridge.bus().to_owned();
        }
        let mut place = format!("devices/pci{bus}");
        if bus.split(':').next().unwrap().len() > 4 {
            // A domain of VMD's is inside its controller.
            place = format!("devices/pci0000:00/0000:00:0e.0/pci{bus}");
        }
        for step in steps.iter().rev() {
            place = format!("{place}/{step}");
        }
        let device = self.path("sys").join(&place);
        fs::create_dir_all(&device).unwrap();
        let entry = self.path("sys/bus/pci/devices").join(&row.address);
        fs::create_dir_all(entry.parent().unwrap()).unwrap();
        symlink(format!("../../../{place}"), &entry).unwrap();
        let [vendor, id, subvendor, subdevice] = row.ids;
        let class = row.class;
        let (base, sub, interface) = (class >> 16, (class >> 8) & 0xff, class & 0xff);
        let write = |file: &str, text: String| fs::write(device.join(file), text).unwrap();
        write(
            "modalias",
            format!(
                "pci:v{vendor:08X}d{id:08X}sv{subvendor:08X}sd{subdevice:08X}bc{base:02X}sc{sub:02X}i{interface:02x}\n"
            ),
        );
        write("vendor", format!("{vendor:#06x}\n"));
        write("device", format!("{id:#06x}\n"));
        write("class", format!("{class:#08x}\n"));
        if let Some(bus) = row.secondary {
            let domain = row.address.split(':').next().unwrap();
            write("secondary_bus_number", format!("{bus}\n"));
            write(
                "subordinate_bus_number",
                format!("{}\n", last_bus(domain, bus, buses)),
            );
        }
        if let Some(group) = row.group {
            let folder = format!("sys/kernel/iommu_groups/{group}");
            fs::create_dir_all(self.path(&folder).join("devices")).unwrap();
            symlink(self.path(&folder), device.join("iommu_group")).unwrap();
            symlink(
                &entry,
                self.path(&folder).join("devices").join(&row.address),
            )
            .unwrap();
        }
        if let Some(driver) = &row.driver {
            let folder = self.path("sys/bus/pci/drivers").join(driver);
            fs::create_dir_all(&folder).unwrap();
            symlink(folder, device.join("driver")).unwrap();
        }
    }

    /// Puts a device of a class behind a function: `net/eth0`, `usb3/3-1/...`.
    pub fn behind(&self, function: &str, way: &str, class: &str) -> PathBuf {
        let device = fs::canonicalize(self.path("sys/bus/pci/devices").join(function)).unwrap();
        let place = device.join(way);
        fs::create_dir_all(&place).unwrap();
        let link = self
            .path("sys/class")
            .join(class)
            .join(place.file_name().unwrap());
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&place, link).unwrap();
        place
    }

    /// The directory of a function.
    pub fn device(&self, address: &str) -> PathBuf {
        self.path("sys/bus/pci/devices").join(address)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// The last bus behind a bridge.
fn last_bus(domain: &str, bus: u8, buses: &BTreeMap<String, &Row>) -> u8 {
    let behind = buses
        .values()
        .filter(|row| row.bus() == format!("{domain}:{bus:02x}"));
    let last = behind
        .filter_map(|row| Some(last_bus(domain, row.secondary?, buses)))
        .max();
    last.unwrap_or(bus)
}

const NAMES: &str = "\
10de  NVIDIA Corporation
\t2182  TU116 [GeForce GTX 1660 Ti]
\t2204  GA102 [GeForce RTX 3090]
8086  Intel Corporation
\t1528  Ethernet Controller 10-Gigabit X540-AT2
C 03  Display controller
\t00  VGA compatible controller
";

/// A function without a driver.
pub fn row(address: &str, ids: [u32; 2], class: u32, group: u32) -> Row {
    Row {
        address: address.to_owned(),
        class,
        ids: [ids[0], ids[1], 0, 0],
        driver: None,
        group: Some(group),
        secondary: None,
    }
}

/// A desktop: a card behind a port, a NIC and a disk behind others, a USB and a SATA controller on the root bus.
pub fn desktop() -> Machine {
    let port = |address, bus, group| Row {
        secondary: Some(bus),
        ..row(address, [0x8086, 0x1901], 0x06_0400, group)
    };
    let on = |row: Row, driver: &str| Row {
        driver: Some(driver.to_owned()),
        ..row
    };
    Machine::with(&[
        port("0000:00:01.0", 1, 1),
        on(
            row("0000:00:14.0", [0x8086, 0xa36d], 0x0c_0330, 2),
            "xhci_hcd",
        ),
        on(row("0000:00:17.0", [0x8086, 0xa352], 0x01_0601, 3), "ahci"),
        port("0000:00:1c.0", 2, 4),
        port("0000:00:1d.0", 4, 5),
        on(
            row("0000:00:1f.3", [0x8086, 0xa348], 0x04_0300, 9),
            "snd_hda_intel",
        ),
        on(
            row("0000:01:00.0", [0x10de, 0x2204], 0x03_0000, 6),
            "nouveau",
        ),
        on(
            row("0000:01:00.1", [0x10de, 0x1aef], 0x04_0300, 7),
            "snd_hda_intel",
        ),
        on(row("0000:02:00.0", [0x8086, 0x1528], 0x02_0000, 8), "ixgbe"),
        on(row("0000:04:00.0", [0x144d, 0xa808], 0x01_0802, 10), "nvme"),
    ])
}

//! The directory: what sysfs and procfs show of the machine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::card::{Card, topology};
use super::sriov::Virtual;
use super::trouble::Trouble;
use tempfile::TempDir;
use vfio_bind_agent::machine::tree::{PROTECTED, Tree};

/// Opens a directory as a root.
pub fn open(directory: &Path) -> Tree {
    let path = CString::new(directory.as_os_str().as_bytes()).unwrap();
    Tree::open(&path).unwrap()
}

pub struct FakeMachine {
    pub(super) directory: TempDir,
    pub(super) tree: Tree,
    pub trouble: Trouble,
    /// Native drivers and what they take when they are loaded.
    pub(super) native: RefCell<BTreeMap<String, String>>,
    pub(super) events: RefCell<Vec<String>>,
    /// Groups that the kernel makes when it first probes a driver for the function.
    pub(super) late: RefCell<BTreeMap<String, u32>>,
    /// Whether it does so for what comes, too.
    pub(super) makes_late: Cell<bool>,
    /// Groups that it makes when virtio-iommu's driver is there.
    pub(super) idle: RefCell<BTreeMap<String, u32>>,
    /// Functions whose device lock is held.
    pub(super) locked: RefCell<Vec<String>>,
    /// Writes of children that wait for such a lock.
    pub(super) queued: RefCell<Vec<(String, Vec<u8>)>>,
    /// The sum of the limits that were reached.
    pub(super) waited: Cell<Duration>,
    /// Physical functions and what can be made of them.
    pub(super) makers: RefCell<BTreeMap<String, Virtual>>,
    /// Whether vfio-pci has the IDs of [`Trouble::by_ids`].
    pub(super) has_ids: Cell<bool>,
    /// Vendor and device of those that it was given later.
    pub(super) new_ids: RefCell<Vec<(u32, u32)>>,
}

impl FakeMachine {
    pub fn new(cards: &[Card]) -> Self {
        // Thousands of machines are made: in memory where that can be.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.unwrap();
        let tree = open(directory.path());
        let machine = Self {
            directory,
            tree,
            trouble: Trouble::default(),
            native: RefCell::default(),
            events: RefCell::default(),
            late: RefCell::default(),
            makes_late: Cell::default(),
            idle: RefCell::default(),
            locked: RefCell::default(),
            queued: RefCell::default(),
            waited: Cell::default(),
            makers: RefCell::default(),
            has_ids: Cell::default(),
            new_ids: RefCell::default(),
        };
        for path in [
            "sys/bus/pci/devices",
            "sys/bus/pci/drivers",
            "sys/kernel/iommu_groups",
            "sys/class/iommu",
            "run",
            "proc",
        ] {
            fs::create_dir_all(machine.path(path)).unwrap();
        }
        fs::write(machine.path("sys/bus/pci/drivers_probe"), "").unwrap();
        // A part of the kernel.
        machine.register("pcieport");
        // As an image has it whose system boots from nothing on PCI.
        machine.record("");
        for card in cards {
            machine.insert(card);
        }
        if cards.iter().any(|card| card.group.is_some()) {
            let made_by = |vendor| cards.iter().any(|card| card.ids[0] == vendor);
            let iommu = match () {
                () if made_by(0x1022) => "ivhd0",
                () if made_by(0x1def) => "smmu3.0x0000000023fc0000",
                () => "dmar0",
            };
            fs::create_dir(machine.path("sys/class/iommu").join(iommu)).unwrap();
        }
        machine
    }

    /// What the image says that its system boots from.
    pub fn record(&self, list: &str) {
        write(self, PROTECTED, list);
    }

    /// A machine from its TSV file in tests/topologies.
    pub fn from_topology(name: &str) -> Self {
        Self::new(&topology(name))
    }

    pub fn with(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    /// With `address` as the boot_vga function, and the firmware framebuffer `device` in the memory
    /// of `owner`.
    pub fn with_framebuffer(self, address: &str, owner: &str, device: &str) -> Self {
        fs::write(self.device(address).join("boot_vga"), "1\n").unwrap();
        let iomem = format!(
            "00000000-00000fff : Reserved\nc0000000-dfffffff : PCI Bus 0000:41\n  \
             c0000000-c0ffffff : {owner}\n    c0000000-c02fffff : BOOTFB\n"
        );
        fs::write(self.path("proc/iomem"), iomem).unwrap();
        self.give_framebuffer(device);
        self
    }

    pub(super) fn give_framebuffer(&self, device: &str) {
        let unbind = self.framebuffer(device);
        fs::create_dir_all(unbind.parent().unwrap()).unwrap();
        fs::write(unbind, "").unwrap();
    }

    /// What is there while a framebuffer's device has its driver.
    pub fn framebuffer(&self, device: &str) -> PathBuf {
        self.path(&format!("sys/bus/platform/devices/{device}/driver/unbind"))
    }

    /// With vfio-pci built into the kernel or loaded before.
    pub fn with_vfio_pci(self) -> Self {
        self.register("vfio-pci");
        self
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn device(&self, address: &str) -> PathBuf {
        self.path("sys/bus/pci/devices").join(address)
    }

    /// A function that comes into the machine.
    pub fn insert(&self, card: &Card) {
        let device = self.device(&card.address);
        fs::create_dir(&device).unwrap();
        let [vendor, id, subvendor, subdevice] = card.ids;
        let (base, sub, interface) = (
            card.class >> 16,
            (card.class >> 8) & 0xff,
            card.class & 0xff,
        );
        let modalias = format!(
            "pci:v{vendor:08X}d{id:08X}sv{subvendor:08X}sd{subdevice:08X}bc{base:02X}sc{sub:02X}i{interface:02x}\n"
        );
        fs::write(device.join("modalias"), modalias).unwrap();
        fs::write(device.join("driver_override"), "(null)\n").unwrap();
        if card.bridge {
            // Without buses, as one that nobody has set up.
            let (first, last) = card.buses.unwrap_or_default();
            for (name, bus) in [("secondary", first), ("subordinate", last)] {
                let file = device.join(format!("{name}_bus_number"));
                fs::write(file, format!("{bus}\n")).unwrap();
            }
        }
        if let Some(group) = card.group {
            let target = format!("../../../../kernel/iommu_groups/{group}");
            symlink(target, device.join("iommu_group")).unwrap();
            self.list_member(group, &card.address);
        }
        if let Some(driver) = &card.driver {
            self.register(driver);
            self.native
                .borrow_mut()
                .insert(card.address.clone(), driver.clone());
            let first = (vendor, id);
            let taken = self.new_ids.borrow().contains(&first);
            self.attach(&card.address, if taken { "vfio-pci" } else { driver });
        }
    }

    /// A function that leaves the machine.
    pub fn remove(&self, address: &str) {
        self.locked.borrow_mut().retain(|locked| locked != address);
        self.remove_virtual(address);
        self.detach(address);
        let entry = self.device(address);
        // It may have left already, or never had a group.
        let group = fs::read_link(entry.join("iommu_group"));
        let group = group
            .ok()
            .and_then(|target| Some(target.file_name()?.to_owned()));
        if let Some(group) = group {
            let groups = self.path("sys/kernel/iommu_groups");
            let _ = fs::remove_file(groups.join(group).join("devices").join(address));
        }
        self.late.borrow_mut().remove(address);
        if let Ok(real) = fs::canonicalize(&entry) {
            let _ = fs::remove_dir_all(real);
        }
        let _ = fs::remove_file(entry);
    }

    /// With groups only for what has a driver, until one is probed: Linux before 6.15 with this IOMMU.
    pub fn with_late_groups(self, iommu: &str) -> Self {
        let late = self.forget_groups(|address| self.driver(address).is_none());
        self.late.replace(late);
        self.makes_late.set(true);
        fs::remove_dir_all(self.path("sys/class/iommu")).unwrap();
        fs::create_dir_all(self.path("sys/class/iommu").join(iommu)).unwrap();
        self
    }

    /// With a virtio-iommu that waits for its driver.
    pub fn with_idle_iommu(self) -> Self {
        let idle = self.forget_groups(|_| true);
        self.idle.replace(idle);
        fs::remove_dir_all(self.path("sys/class/iommu")).unwrap();
        fs::create_dir(self.path("sys/class/iommu")).unwrap();
        self
    }

    fn forget_groups(&self, which: impl Fn(&str) -> bool) -> BTreeMap<String, u32> {
        let mut groups = BTreeMap::new();
        for address in self
            .addresses()
            .into_iter()
            .filter(|address| which(address))
        {
            let link = self.device(&address).join("iommu_group");
            if let Ok(target) = fs::read_link(&link) {
                let number = target.file_name().unwrap().to_str().unwrap().parse();
                let number = number.unwrap();
                let list = format!("sys/kernel/iommu_groups/{number}/devices/{address}");
                fs::remove_file(self.path(&list)).unwrap();
                groups.insert(address, number);
                fs::remove_file(link).unwrap();
            }
        }
        groups
    }

    /// Puts a function into the kernel's own list of a group.
    fn list_member(&self, group: u32, address: &str) {
        let list = self.path(&format!("sys/kernel/iommu_groups/{group}/devices"));
        fs::create_dir_all(&list).unwrap();
        fs::write(list.join(address), "").unwrap();
    }

    pub(super) fn give_group(&self, address: &str, group: u32) {
        let target = self.path(&format!("sys/kernel/iommu_groups/{group}"));
        // It may have left the machine.
        if symlink(target, self.device(address).join("iommu_group")).is_ok() {
            self.list_member(group, address);
        }
    }

    /// What a function sits behind, as sysfs has it: the entry is a link into the tree of bridges.
    pub fn put_behind(&self, address: &str, bridges: &str) {
        let entry = self.device(address);
        let place = format!("devices/pci{bridges}/{address}");
        let real = self.path("sys").join(&place);
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::rename(&entry, &real).unwrap();
        symlink(format!("../../../{place}"), &entry).unwrap();
        // The links in it were relative to its old place.
        for (link, directory) in [
            ("iommu_group", "sys/kernel/iommu_groups"),
            ("driver", "sys/bus/pci/drivers"),
        ] {
            if let Ok(target) = fs::read_link(real.join(link)) {
                let target = self.path(directory).join(target.file_name().unwrap());
                fs::remove_file(real.join(link)).unwrap();
                symlink(target, real.join(link)).unwrap();
            }
        }
    }

    pub(super) fn register(&self, driver: &str) {
        fs::create_dir_all(self.path("sys/bus/pci/drivers").join(driver)).unwrap();
    }

    pub fn driver(&self, address: &str) -> Option<String> {
        let target = fs::read_link(self.device(address).join("driver")).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    pub fn driver_override(&self, address: &str) -> String {
        let text = fs::read_to_string(self.device(address).join("driver_override")).unwrap();
        text.trim_end().trim_start_matches("(null)").to_owned()
    }

    pub fn set_override(&self, address: &str, driver: &str) {
        fs::write(
            self.device(address).join("driver_override"),
            format!("{driver}\n"),
        )
        .unwrap();
    }

    /// What was done to the machine, in order; forgets it.
    pub fn take_events(&self) -> Vec<String> {
        self.events.take()
    }

    pub fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<_> = fs::read_dir(self.path("sys/bus/pci/devices"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        addresses.sort();
        addresses
    }
}

/// Puts a file into a machine's tree.
pub fn write(machine: &FakeMachine, path: &str, content: impl AsRef<[u8]>) {
    let path = machine.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

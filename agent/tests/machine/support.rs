//! A machine in a directory: the tree that sysfs would show, and a kernel that reacts to writes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::machine::tree::{PROTECTED, Tree};
use vfio_bind_agent::machine::{LoadError, Loading, Machine, Root};
use vfio_bind_agent::plan::decision::Step;
use vfio_bind_agent::record::{Record, unmatched};

/// A function to put into the tree.
#[derive(Clone, Debug, Default)]
pub struct Card {
    pub address: String,
    pub ids: [u32; 4],
    pub class: u32,
    pub driver: Option<String>,
    pub group: Option<u32>,
    pub bridge: bool,
    /// The first and the last bus behind a bridge.
    pub buses: Option<(u8, u8)>,
}

impl Card {
    pub fn new(address: &str, vendor: u32, device: u32, class: u32, group: u32) -> Self {
        Self {
            address: address.to_owned(),
            ids: [vendor, device, 0, 0],
            class,
            group: Some(group),
            ..Self::default()
        }
    }

    pub fn on(self, driver: &str) -> Self {
        Self {
            driver: Some(driver.to_owned()),
            ..self
        }
    }

    pub fn bridge(self) -> Self {
        Self {
            bridge: true,
            ..self
        }
    }

    /// A bridge with these buses behind it.
    pub fn bridge_to(self, first: u8, last: u8) -> Self {
        Self {
            buses: Some((first, last)),
            ..self.bridge()
        }
    }
}

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// vfio-pci is not in the image.
    pub no_module: bool,
    /// These modules are not in the image.
    pub missing: Vec<&'static str>,
    /// modprobe does not end, although it has done its work.
    pub slow_modprobe: bool,
    /// The image has no modprobe.
    pub no_modprobe: bool,
    /// The driver's probe refuses these.
    pub probe_refuses: Vec<String>,
    /// The native driver of these does not let go before [`FakeMachine::let_go`].
    pub stuck: Vec<String>,
    /// Somebody else unbinds these just before they are unbound.
    pub unbound_first: Vec<String>,
    /// These vanish with the first write to them.
    pub vanishing: Vec<String>,
    /// A write to a path that ends like this answers so.
    pub writes: Vec<(String, Errno)>,
    /// VFIO calls these groups not viable.
    pub not_viable: Vec<u32>,
    /// vfio-pci takes these by the IDs that kmod hands to it, unless it gets an empty list.
    pub by_ids: Vec<String>,
    /// Modules that call their driver otherwise, or have none.
    pub named: Vec<(&'static str, &'static str)>,
    /// How long the run may take.
    pub time: Option<Duration>,
    /// vfio-pci is asked before native drivers, as it is where it came first.
    pub ids_first: bool,
    /// An empty list does not get through.
    pub deaf_to_options: bool,
}

/// Opens a directory as a root.
pub fn open(directory: &Path) -> Tree {
    let path = CString::new(directory.as_os_str().as_bytes()).unwrap();
    Tree::open(&path).unwrap()
}

pub struct FakeMachine {
    directory: TempDir,
    tree: Tree,
    pub trouble: Trouble,
    /// Native drivers and what they take when they are loaded.
    native: RefCell<BTreeMap<String, String>>,
    events: RefCell<Vec<String>>,
    /// Groups that the kernel makes when it first probes a driver for the function.
    late: RefCell<BTreeMap<String, u32>>,
    /// Groups that it makes when virtio-iommu's driver is there.
    idle: RefCell<BTreeMap<String, u32>>,
    /// Functions whose device lock is held.
    locked: RefCell<Vec<String>>,
    /// Writes of children that wait for such a lock.
    queued: RefCell<Vec<(String, Vec<u8>)>>,
    /// The sum of the limits that were reached.
    waited: Cell<Duration>,
    /// Whether vfio-pci has the IDs of [`Trouble::by_ids`].
    has_ids: Cell<bool>,
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
            idle: RefCell::default(),
            locked: RefCell::default(),
            queued: RefCell::default(),
            waited: Cell::default(),
            has_ids: Cell::default(),
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

    fn give_framebuffer(&self, device: &str) {
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

    fn device(&self, address: &str) -> PathBuf {
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
            self.attach(&card.address, driver);
        }
    }

    /// A function that leaves the machine.
    pub fn remove(&self, address: &str) {
        self.locked.borrow_mut().retain(|locked| locked != address);
        self.detach(address);
        // It may have left already.
        let _ = fs::remove_dir_all(self.device(address));
    }

    /// A native driver that is there, and takes a function when the kernel is asked to probe it.
    pub fn expect_native(&self, address: &str, driver: &str) {
        self.register(driver);
        self.native
            .borrow_mut()
            .insert(address.to_owned(), driver.to_owned());
    }

    /// Somebody holds the device lock of a function until [`FakeMachine::let_go`].
    pub fn lock(&self, address: &str) {
        self.locked.borrow_mut().push(address.to_owned());
    }

    /// A native driver is loaded and takes its function, unless an override keeps it away.
    pub fn load_native(&self, address: &str, driver: &str) {
        self.expect_native(address, driver);
        self.probe(address);
    }

    /// A call that waits for `limit` for a device lock, which somebody takes just before it and keeps
    /// until [`FakeMachine::let_go`]; with empty data it reads.
    pub fn stick(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        let below = path.strip_prefix("sys/bus/pci/devices/");
        let address = match below.and_then(|rest| rest.split_once('/')) {
            Some((address, _)) => address.to_owned(),
            None => String::from_utf8(data.to_vec()).unwrap(),
        };
        if !self.device(&address).exists() {
            return Err(Errno::NOENT);
        }
        // The link goes before the driver is asked to let go (`__device_release_driver`).
        if path.ends_with("/unbind") {
            self.detach(&address);
        } else if !data.is_empty() {
            self.queue(path, data);
        }
        self.locked.borrow_mut().push(address);
        self.give_up(limit)
    }

    fn queue(&self, path: &str, data: &[u8]) {
        let call = (path.to_owned(), data.to_owned());
        self.queued.borrow_mut().push(call);
    }

    /// Whether somebody has the device lock of a function.
    pub fn is_locked(&self, address: &str) -> bool {
        self.locked.borrow().iter().any(|locked| locked == address)
    }

    /// With groups only for what has a driver, until one is probed: Linux before 6.15 with this IOMMU.
    pub fn with_late_groups(self, iommu: &str) -> Self {
        let late = self.forget_groups(|address| self.driver(address).is_none());
        self.late.replace(late);
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

    fn give_group(&self, address: &str, group: u32) {
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

    fn register(&self, driver: &str) {
        fs::create_dir_all(self.path("sys/bus/pci/drivers").join(driver)).unwrap();
    }

    /// What a module does when it is loaded; gives its driver.
    fn insert_module(&self, module: &str) -> String {
        let named = self.trouble.named.iter().find(|(name, _)| *name == module);
        let driver = named.map_or(module, |(_, driver)| driver).to_owned();
        let drivers = self
            .path("sys/module")
            .join(module.replace('-', "_"))
            .join("drivers");
        fs::create_dir_all(&drivers).unwrap();
        if !driver.is_empty() {
            self.register(&driver);
            let target = self.path("sys/bus/pci/drivers").join(&driver);
            let _ = symlink(target, drivers.join(format!("pci:{driver}")));
        }
        driver
    }

    fn attach(&self, address: &str, driver: &str) {
        let target = self.path("sys/bus/pci/drivers").join(driver);
        symlink(&target, self.device(address).join("driver")).unwrap();
        symlink(self.device(address), target.join(address)).unwrap();
    }

    /// What `unbind` and the removal of a device do; false if it has no driver.
    fn detach(&self, address: &str) -> bool {
        let driver = self.driver(address);
        if let Some(driver) = &driver {
            let _ = fs::remove_file(self.device(address).join("driver"));
            let function = self.path("sys/bus/pci/drivers").join(driver).join(address);
            let _ = fs::remove_file(function);
        }
        driver.is_some()
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

    fn write(&self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let short = path
            .trim_start_matches("sys/bus/pci/")
            .trim_start_matches("devices/");
        let text = String::from_utf8_lossy(data).escape_debug().to_string();
        self.events.borrow_mut().push(format!("{short} = {text}"));
        self.react(path, data)
    }

    /// How long was waited in vain.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// The stuck drivers return after all, and what waited for the device locks is done.
    pub fn let_go(&self) {
        self.locked.take();
        for (path, data) in self.queued.take() {
            // Nobody is there any more to hear the answer.
            let _ = self.react(&path, &data);
        }
    }

    /// Whether a call on this path, or with this address as its data, waits for a device lock.
    fn waits(&self, path: &str, data: &[u8]) -> bool {
        let locked = self.locked.borrow();
        locked.iter().any(|address| {
            data == address.as_bytes() || path.contains(&format!("/{address}/driver_override"))
        })
    }

    /// Whether a driver is to let go of a function that it does not have, which it says at once.
    fn asks_in_vain(&self, path: &str, data: &[u8]) -> bool {
        let by_driver = path.strip_prefix("sys/bus/pci/drivers/");
        by_driver
            .and_then(|rest| rest.strip_suffix("/unbind"))
            .is_some_and(|driver| {
                let address = String::from_utf8_lossy(data);
                self.driver(&address).as_deref() != Some(driver)
            })
    }

    /// What happens after `limit` of waiting.
    fn give_up(&self, limit: Duration) -> Result<(), Errno> {
        self.waited.set(self.waited.get() + limit);
        Err(Errno::TIMEDOUT)
    }

    fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<_> = fs::read_dir(self.path("sys/bus/pci/devices"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        addresses.sort();
        addresses
    }

    /// The kernel's device_attach: the override decides, or else the native driver if it is loaded.
    fn probe(&self, address: &str) {
        if self.is_locked(address)
            || self.driver(address).is_some()
            || !self.device(address).exists()
        {
            return;
        }
        if self.trouble.ids_first {
            self.take_by_id(address);
            if self.driver(address).is_some() {
                return;
            }
        }
        let wanted = match self.driver_override(address) {
            chosen if !chosen.is_empty() => Some(chosen),
            _ => self.native.borrow().get(address).cloned(),
        };
        let Some(driver) = wanted else {
            self.take_by_id(address);
            return;
        };
        let registered = self.path("sys/bus/pci/drivers").join(&driver).exists();
        let refused =
            driver.contains("vfio") && self.trouble.probe_refuses.iter().any(|a| a == address);
        if registered && let Some(group) = self.late.borrow_mut().remove(address) {
            self.give_group(address, group);
        }
        if registered && !refused {
            self.attach(address, &driver);
        }
    }

    /// vfio-pci's probe by its own list of IDs.
    fn take_by_id(&self, address: &str) {
        let wanted = self.has_ids.get() && self.trouble.by_ids.iter().any(|a| a == address);
        let free = || self.driver(address).is_none() && self.driver_override(address).is_empty();
        if wanted && free() {
            self.attach(address, "vfio-pci");
        }
    }

    fn react(&self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let text = String::from_utf8(data.to_vec()).unwrap();
        if let Some((_, errno)) = self
            .trouble
            .writes
            .iter()
            .find(|(end, _)| path.ends_with(end.as_str()))
        {
            return Err(*errno);
        }
        if path == "sys/bus/pci/drivers_probe" {
            let there = self.device(&text).exists();
            self.probe(&text);
            return if there { Ok(()) } else { Err(Errno::NODEV) };
        }
        if path.starts_with("sys/bus/platform/devices/") {
            assert_eq!(self.path(path), self.framebuffer(&text));
            fs::remove_file(self.path(path)).unwrap();
            return Ok(());
        }
        if path == "sys/bus/platform/drivers_probe" {
            self.give_framebuffer(&text);
            return Ok(());
        }
        if self.asks_in_vain(path, data) {
            return Err(Errno::NODEV);
        }
        let driver = path.strip_prefix("sys/bus/pci/drivers/");
        if let Some(driver) = driver.and_then(|rest| rest.strip_suffix("/bind")) {
            let suits = self
                .native
                .borrow()
                .get(&text)
                .is_some_and(|one| one == driver);
            if !suits || self.driver(&text).is_some() {
                return Err(Errno::NODEV);
            }
            self.attach(&text, driver);
            return Ok(());
        }
        if path.starts_with("sys/bus/pci/drivers/") {
            return self.react(&format!("sys/bus/pci/devices/{text}/driver/unbind"), data);
        }
        let (address, file) = path
            .strip_prefix("sys/bus/pci/devices/")
            .and_then(|rest| rest.split_once('/'))
            .unwrap_or_else(|| panic!("nobody may write to {path}"));
        if self.trouble.vanishing.iter().any(|a| a == address) {
            self.remove(address);
        }
        if !self.device(address).exists() {
            return Err(Errno::NOENT);
        }
        match file {
            "driver_override" => {
                let value = text.trim_end();
                let shown = if value.is_empty() { "(null)" } else { value };
                fs::write(self.device(address).join(file), format!("{shown}\n")).unwrap();
                Ok(())
            }
            // The link goes before the driver is asked to let go (`__device_release_driver`).
            "driver/unbind" => {
                if self.trouble.stuck.iter().any(|a| a == address) {
                    self.locked.borrow_mut().push(address.to_owned());
                }
                let is_first = !self.trouble.unbound_first.iter().any(|a| a == address);
                match (self.detach(address), is_first) {
                    (true, true) => Ok(()),
                    (true, false) => Err(Errno::NODEV),
                    (false, _) => Err(Errno::NOENT),
                }
            }
            _ => panic!("nobody may write to {path}"),
        }
    }
}

/// The cards of a topology file.
pub fn topology(name: &str) -> Vec<Card> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/topologies")
        .join(format!("{name}.tsv"));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let mut cards: Vec<_> = rows.map(card).collect();
    // From below: what is behind a bridge comes after it.
    for at in (0..cards.len()).rev() {
        let Some((first, _)) = cards[at].buses else {
            continue;
        };
        let domain = cards[at].address.split(':').next().unwrap();
        let bus = format!("{domain}:{first:02x}:");
        let behind = cards.iter().filter(|card| card.address.starts_with(&bus));
        let last = behind.filter_map(|card| Some(card.buses?.1)).max();
        cards[at].buses = Some((first, last.unwrap_or(first)));
    }
    cards
}

/// A row of a topology file.
fn card(row: &str) -> Card {
    let fields: Vec<_> = row.split('\t').collect();
    let hex = |field: &str| match field {
        "-" => 0,
        digits => u32::from_str_radix(digits, 16).unwrap(),
    };
    Card {
        address: fields[0].to_owned(),
        class: hex(fields[1]),
        ids: [2, 3, 4, 5].map(|at| hex(fields[at])),
        driver: Some(fields[7].to_owned()).filter(|driver| driver != "-"),
        group: fields[8].parse().ok(),
        bridge: fields[9] != "-",
        buses: u8::from_str_radix(fields[9], 16).ok().map(|bus| (bus, bus)),
    }
}

impl Root for FakeMachine {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        // driver_override_show takes the device lock.
        assert!(!self.waits(path, b""), "read({path}) never returns");
        self.tree.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.tree.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.tree.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        self.tree.list(path, each)
    }
}

impl Machine for FakeMachine {
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        if self.waits(path, data) && !self.asks_in_vain(path, data) {
            self.queue(path, data);
            return self.give_up(limit);
        }
        let answer = self.write(path, data);
        // Only now the driver that was to let go holds its lock.
        let stuck = path.ends_with("driver/unbind") && self.waits("", data);
        if stuck { self.give_up(limit) } else { answer }
    }

    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8],
        limit: Duration,
    ) -> Result<&'b [u8], Errno> {
        if self.waits(path, b"") {
            self.give_up(limit)?;
        }
        self.tree.read(path, buffer)
    }

    fn is_late(&self) -> bool {
        self.trouble
            .time
            .is_some_and(|time| self.waited.get() >= time)
    }

    fn load_module(&self, name: &str, how: Loading) -> Result<(), LoadError> {
        let words: Vec<_> = how.arguments(name).collect();
        self.events
            .borrow_mut()
            .push(format!("modprobe {}", words.join(" ")));
        if self.trouble.no_modprobe {
            return Err(LoadError::NoModprobe);
        }
        if self.trouble.no_module || self.trouble.missing.contains(&name) {
            return Err(LoadError::Status(1));
        }
        if name == "virtio_iommu" {
            // Its name there is that of the PCI function (`viommu_probe`).
            let _ = fs::create_dir(self.path("sys/class/iommu/0000:00:07.0"));
            for (address, group) in self.idle.take() {
                self.give_group(&address, group);
            }
            return Ok(());
        }
        let driver = self.insert_module(name);
        if name == "vfio-pci" {
            let given = !how.no_ids || self.trouble.deaf_to_options;
            self.has_ids.set(given);
        }
        for address in self.addresses() {
            if self.driver_override(&address) == driver {
                self.probe(&address);
            } else if name == "vfio-pci" {
                self.take_by_id(&address);
            }
        }
        if self.trouble.slow_modprobe {
            return Err(LoadError::TimedOut);
        }
        Ok(())
    }

    fn group_viable(&self, group: u32) -> Result<bool, Errno> {
        let harmless =
            |driver: &str| driver.contains("vfio") || ["pci-stub", "pcieport"].contains(&driver);
        let link = format!("/{group}");
        let member = |address: &String| {
            let target = fs::read_link(self.device(address).join("iommu_group"));
            target.is_ok_and(|target| target.to_string_lossy().ends_with(&link))
        };
        let members = self.addresses().into_iter().filter(member);
        let usable = members
            .filter_map(|address| self.driver(&address))
            .all(|driver| harmless(&driver));
        Ok(usable && !self.trouble.not_viable.contains(&group))
    }
}

/// Puts a file into a machine's tree.
pub fn write(machine: &FakeMachine, path: &str, content: impl AsRef<[u8]>) {
    let path = machine.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The functions that a record says are bound by this run.
pub fn bound(record: &Record<'_>) -> Vec<String> {
    let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
    let bound = steps.filter(|(_, outcome)| outcome.fate == Fate::Bound);
    let function = |step: &Step| record.inventory.get(step.function).unwrap();
    bound
        .map(|(step, _)| function(step).address.to_string())
        .collect()
}

/// What a record says of selectors that match nothing.
pub fn unmatched(record: &Record<'_>) -> Vec<String> {
    unmatched::unmatched(record.policy, record.inventory, record.plan)
        .map(|unmatched| unmatched.to_string())
        .collect()
}

/// What a record says is wrong with the policy.
pub fn problems(record: &Record<'_>) -> Vec<String> {
    let problems = record.policy.problems.iter();
    problems.map(ToString::to_string).collect()
}

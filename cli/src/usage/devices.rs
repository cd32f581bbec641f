//! What a PCI function carries, as sysfs shows it: devices with a node, and network interfaces.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::pci::address::Address;

use crate::storage::block::{Sysfs, entries, name, text_of};

/// What tells a device node from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// A block device; else a character device.
    pub block: bool,
    /// `major:minor`.
    pub number: String,
}

/// A device with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The kernel's name for it, as `event3`.
    pub name: String,
    /// `drm`, `input`, `sound`, ...
    pub subsystem: String,
    /// What its hardware calls itself.
    pub known_as: Option<String>,
    /// The virtual function that carries it, where it is not the function itself.
    pub through: Option<Address>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in this network namespace.
    pub name: String,
    /// As in [`Device`].
    pub through: Option<Address>,
}

/// All that goes with a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Devices.
    pub devices: BTreeMap<Number, Device>,
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// Functions with an interface that this network namespace does not show; `None` is the function itself.
    pub hidden: Vec<Option<Address>>,
    /// What the paths of its BARs begin with, as processes see them: user space may be the driver.
    pub resources: BTreeMap<PathBuf, Option<Address>>,
    /// There is more.
    pub cut: bool,
}

/// The most directories of one function. A host controller with full hubs has some thousand.
const MOST_DIRECTORIES: usize = 50_000;

/// Finds what a function carries; nothing where it is not there.
#[must_use]
pub fn carried(sysfs: &Sysfs, function: Address) -> Carried {
    let mut carried = Carried::default();
    let Some(directory) = sysfs.directory(attribute(function, "").as_str()) else {
        return carried;
    };
    carried.add(sysfs, function, &directory, None);
    for entry in entries(&directory) {
        // A physical function's driver takes the virtual ones along, or waits until nobody has them.
        if !name(&entry).starts_with("virtfn") {
            continue;
        }
        if let Ok(place) = fs::canonicalize(&entry)
            && let Some(virtual_one) = place.file_name().and_then(|n| Address::parse(n.as_bytes()))
        {
            carried.add(sysfs, virtual_one, &place, Some(virtual_one));
        }
    }
    carried
}

/// Calls `each` with every directory at and below that of a function, and with those right below it; the
/// subsystem of a multipath NVMe disk, which is elsewhere, counts as below its controller. `enters` says whether a
/// directory's entry is entered. False where there are too many to look at all.
pub fn walk(
    sysfs: &Sysfs,
    top: &Path,
    enters: &dyn Fn(&Path, &Path) -> bool,
    each: &mut dyn FnMut(&Path, &[PathBuf]),
) -> bool {
    let mut waiting = vec![top.to_owned()];
    let mut looked_at = 0_usize;
    while let Some(directory) = waiting.pop() {
        looked_at += 1;
        if looked_at > MOST_DIRECTORIES {
            return false;
        }
        let below: Vec<_> = entries(&directory)
            .into_iter()
            .filter(|entry| fs::symlink_metadata(entry).is_ok_and(|one| one.is_dir()))
            .filter(|entry| enters(&directory, entry))
            .collect();
        each(&directory, &below);
        waiting.extend(below);
        waiting.extend(nvme_subsystem(sysfs, &name(&directory)));
    }
    true
}

impl Carried {
    fn add(&mut self, sysfs: &Sysfs, function: Address, top: &Path, through: Option<Address>) {
        let resource = Path::new("/").join(sysfs.below(top)).join("resource");
        self.resources.insert(resource, through);
        self.add_nvidia(sysfs, function, through);
        // Right below a bridge is what it leads to. A VMD controller's are below a bus of their own.
        let enters = |directory: &Path, entry: &Path| {
            directory != top || Address::parse(name(entry).as_bytes()).is_none()
        };
        self.cut |= !walk(sysfs, top, &enters, &mut |directory, below| {
            self.add_node(sysfs, directory, top, through);
            if name(directory) == "net" {
                if below.is_empty() {
                    self.hidden.push(through);
                }
                let found = below.iter().map(|entry| Interface {
                    name: name(entry),
                    through,
                });
                self.interfaces.extend(found);
            }
        });
    }

    /// The node of the device at a directory, and of its VFIO group, where it has them.
    fn add_node(&mut self, sysfs: &Sysfs, directory: &Path, top: &Path, through: Option<Address>) {
        let group = vfio_group(sysfs, directory);
        for (place, known_as) in [
            (Some(directory.to_owned()), known_as(directory, top)),
            (group, None),
        ] {
            let Some(place) = place else {
                continue;
            };
            if let Some(number) = text_of(&place.join("dev")) {
                let subsystem = linked(&place.join("subsystem"));
                let block = subsystem == "block";
                let device = Device {
                    name: name(&place),
                    subsystem,
                    known_as,
                    through,
                };
                self.devices.insert(Number { block, number }, device);
            }
        }
    }

    /// The node of NVIDIA's own driver, which sysfs does not show.
    fn add_nvidia(&mut self, sysfs: &Sysfs, function: Address, through: Option<Address>) {
        const MAJOR: u32 = 195;
        let file = format!("proc/driver/nvidia/gpus/{function}/information");
        let text = sysfs.text(file).unwrap_or_default();
        let mut minors = text.lines().filter_map(|line| {
            let minor = line.strip_prefix("Device Minor:")?;
            minor.trim().parse::<u32>().ok()
        });
        if let Some(minor) = minors.next() {
            let number = Number {
                block: false,
                number: format!("{MAJOR}:{minor}"),
            };
            let device = Device {
                name: format!("nvidia{minor}"),
                subsystem: "nvidia".to_owned(),
                known_as: None,
                through,
            };
            self.devices.insert(number, device);
        }
    }
}

/// The group that user space opens in order to get this function, or this part of one.
fn vfio_group(sysfs: &Sysfs, directory: &Path) -> Option<PathBuf> {
    if !linked(&directory.join("driver")).contains("vfio") {
        return None;
    }
    let group = linked(&directory.join("iommu_group"));
    sysfs.directory(Path::new("sys/class/vfio").join(group))
}

/// Where the nodes of a multipath NVMe disk are: not below its controllers, which have a device for each path
/// (`nvme0c1n1`) without a node.
fn nvme_subsystem(sysfs: &Sysfs, device: &str) -> Option<PathBuf> {
    let (subsystem, path) = device.strip_prefix("nvme")?.split_once('c')?;
    let (controller, disk) = path.split_once('n')?;
    for number in [subsystem, controller, disk] {
        number.parse::<u32>().ok()?;
    }
    let link = format!("sys/class/nvme-subsystem/nvme-subsys{subsystem}");
    sysfs.directory(link)
}

/// What the hardware at a directory below `top` calls itself: an input device, a camera, a USB device.
fn known_as(directory: &Path, top: &Path) -> Option<String> {
    let own = directory.ancestors().take_while(|place| *place != top);
    let mut names = own.filter_map(|place| {
        let name = text_of(&place.join("name")).or_else(|| text_of(&place.join("product")));
        name.filter(|name| !name.is_empty())
    });
    names.next()
}

/// The name of what a link leads to; empty where there is none.
#[must_use]
pub fn linked(link: &Path) -> String {
    fs::read_link(link)
        .map(|target| name(&target))
        .unwrap_or_default()
}

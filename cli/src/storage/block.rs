//! Block devices as sysfs has them.

use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{major, minor};
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::pci::address::Address;

use super::volume_group;

/// What a block device stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Other block devices, by their directories in sysfs: LUKS, LVM, md, bcache, multipath.
    Devices(Vec<PathBuf>),
    /// A file.
    File(PathBuf),
    /// A device node.
    Node(PathBuf),
    /// Memory.
    Memory,
    /// Devices with these directories in sysfs: a disk, or the controllers that lead to it.
    Hardware(Vec<PathBuf>),
}

/// The `sys` and `dev` of a system.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// That of the system whose root directory, without links in its path, is `root`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// A path below the root.
    #[must_use]
    pub fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What of a path is below the root.
    #[must_use]
    pub fn below<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// What a file says, without white space at its ends; `None` where it cannot be read.
    #[must_use]
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        text_of(&self.place(path))
    }

    /// A directory of sysfs, by the place in `/sys/devices` that a link leads to.
    #[must_use]
    pub fn directory(&self, link: impl AsRef<Path>) -> Option<PathBuf> {
        let path = fs::canonicalize(self.place(link)).ok()?;
        path.starts_with(self.place("sys")).then_some(path)
    }

    /// The block device with these numbers, `major:minor`.
    #[must_use]
    pub fn by_number(&self, device: &str) -> Option<PathBuf> {
        let known = !device.is_empty();
        known.then(|| self.directory(Path::new("sys/dev/block").join(device)))?
    }

    /// The block device that a node in `/dev` stands for.
    #[must_use]
    pub fn by_node(&self, node: &Path) -> Option<PathBuf> {
        let name = node.strip_prefix("/dev").ok()?.to_str()?;
        // sysfs spells `cciss/c0d0` so.
        let own = Path::new("sys/class/block").join(name.replace('/', "!"));
        let by_metadata = || {
            let metadata = fs::metadata(self.place(node)).ok()?;
            let is_block = metadata.file_type().is_block_device();
            is_block.then(|| self.by_number(&number(metadata.rdev())))?
        };
        // A captured system has no nodes: links, and names.
        let by_link = || {
            let target = fs::read_link(self.place(node)).ok()?;
            self.directory(Path::new("sys/class/block").join(target.file_name()?))
        };
        let by_mapper_name = || {
            let wanted = name.strip_prefix("mapper/")?;
            let devices = entries(&self.place("sys/class/block"));
            let mut named = devices.into_iter().filter(|device| {
                fs::read_to_string(device.join("dm/name"))
                    .is_ok_and(|name| name.trim_end() == wanted)
            });
            fs::canonicalize(named.next()?).ok()
        };
        self.directory(own)
            .or_else(by_metadata)
            .or_else(by_link)
            .or_else(by_mapper_name)
    }

    /// All devices of the btrfs file system that has `member`; none where sysfs knows of none.
    #[must_use]
    pub fn btrfs_devices(&self, member: &Path) -> Vec<PathBuf> {
        let name = member.file_name().unwrap_or_default();
        let systems = entries(&self.place("sys/fs/btrfs"));
        let lists = systems.into_iter().map(|system| system.join("devices"));
        let mut ours = lists.filter(|list| fs::symlink_metadata(list.join(name)).is_ok());
        ours.next().map_or_else(Vec::new, |list| targets(&list))
    }

    /// The LVM volume group of a block device.
    #[must_use]
    pub fn volume_group(&self, device: &Path) -> Option<String> {
        let uuid = fs::read_to_string(device.join("dm/uuid")).ok()?;
        volume_group::of(&uuid).map(str::to_owned)
    }

    /// All active volumes of a volume group, and parts of volumes.
    #[must_use]
    pub fn volumes(&self, group: &str) -> Vec<PathBuf> {
        let devices = entries(&self.place("sys/class/block")).into_iter();
        devices
            .filter_map(|device| fs::canonicalize(device).ok())
            .filter(|device| self.volume_group(device).as_deref() == Some(group))
            .collect()
    }

    /// The physical function that makes a virtual one.
    #[must_use]
    pub fn physical(&self, function: Address) -> Option<Address> {
        let link = self.place(attribute(function, "physfn").as_str());
        let target = fs::read_link(link).ok()?;
        Address::parse(target.file_name()?.as_bytes())
    }

    /// The PCI functions on the way to these directories, each once, by address.
    #[must_use]
    pub fn functions(&self, directories: &[PathBuf]) -> Vec<Address> {
        let mut found: Vec<_> = directories
            .iter()
            .flat_map(|directory| functions(self.below(directory)))
            .collect();
        // A virtual function is nothing without the one that made it.
        let makers = found.iter().filter_map(|one| self.physical(*one));
        let makers: Vec<_> = makers.collect();
        found.extend(makers);
        found.sort();
        found.dedup();
        found
    }

    /// The servers of a disk that comes over a network: of its iSCSI session, of the NVMe controller
    /// with this directory.
    #[must_use]
    pub fn servers(&self, directory: &Path) -> Vec<IpAddr> {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let nvme = read(directory.join("address"));
        let nvme = nvme
            .split(',')
            .find_map(|field| field.trim().strip_prefix("traddr="));
        let mut servers: Vec<_> = nvme
            .into_iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let session = |place: &&Path| {
            name(place)
                .strip_prefix("session")
                .is_some_and(|number| number.parse::<u32>().is_ok())
        };
        let connections = directory
            .ancestors()
            .find(session)
            .map(entries)
            .unwrap_or_default();
        for connection in connections {
            for entry in entries(&connection.join("iscsi_connection")) {
                let address = read(entry.join("persistent_address"));
                servers.extend(address.trim().parse::<IpAddr>());
            }
        }
        servers
    }

    /// What the block device at this directory of sysfs stands on.
    #[must_use]
    pub fn base(&self, device: &Path) -> Base {
        let is_partition = device.join("partition").exists();
        let disk = device.parent().filter(|_| is_partition).unwrap_or(device);
        let slaves = targets(&disk.join("slaves"));
        if !slaves.is_empty() {
            return Base::Devices(slaves);
        }
        if let Ok(file) = fs::read(disk.join("loop/backing_file")) {
            let file = Path::new(OsStr::from_bytes(file.trim_ascii_end())).to_owned();
            return if file.starts_with("/dev") {
                Base::Node(file)
            } else {
                Base::File(file)
            };
        }
        if name(disk).starts_with("zram") {
            // Since 4.14, where the kernel can write pages back.
            let back = fs::read_to_string(disk.join("backing_dev")).unwrap_or_default();
            return match back.trim_end() {
                "" | "none" => Base::Memory,
                node => Base::Node(node.into()),
            };
        }
        // The node of a multipath NVMe disk belongs to a subsystem, which links to its controllers.
        if let Some(subsystem) = disk.parent().filter(|_| is_below(disk, "nvme-subsystem")) {
            let controllers = targets(subsystem);
            let paths = targets(&disk.join("multipath"));
            return Base::Hardware([controllers, paths].concat());
        }
        Base::Hardware(vec![disk.to_owned()])
    }
}

/// The numbers of a device, as sysfs spells them.
#[must_use]
pub fn number(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// What a file says, without white space at its ends; `None` where it cannot be read.
#[must_use]
pub fn text_of(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let around = |c: char| c.is_whitespace() || c == '\0';
    Some(text.trim_matches(around).to_owned())
}

/// The last component of a path, for people.
#[must_use]
pub fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The PCI functions on the way to a directory of sysfs, bridges left out.
///
/// A bridge is what has its secondary bus, and so the next function, right below it. An Intel VMD
/// controller is none: between it and its bus there is a host bridge (`pci10000:e0`).
#[must_use]
pub fn functions(directory: &Path) -> Vec<Address> {
    let steps = directory.components().map(|component| match component {
        Component::Normal(name) => Address::parse(name.as_bytes()),
        _ => None,
    });
    let steps: Vec<_> = steps.collect();
    let next = steps.iter().skip(1).chain([&None]);
    let ends = steps.iter().zip(next).filter(|(_, next)| next.is_none());
    ends.filter_map(|(step, _)| *step).collect()
}

fn is_below(path: &Path, name: &str) -> bool {
    path.components()
        .any(|component| component.as_os_str() == name)
}

/// What a directory lists, by name; nothing where there is no such directory.
#[must_use]
pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let list = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<_> = list.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// The directories that the links in a directory lead to, except those that every device has.
fn targets(directory: &Path) -> Vec<PathBuf> {
    let general = ["subsystem", "device", "bdi"];
    let links = entries(directory)
        .into_iter()
        .filter(|path| path.is_symlink() && !general.contains(&name(path).as_str()));
    links
        .filter_map(|link| fs::canonicalize(link).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_are_on_the_way_but_no_controllers() {
        for (directory, expected) in [
            (
                "/sys/devices/pci0000:00/0000:00:02.0/virtio1/block/vda",
                &["0000:00:02.0"][..],
            ),
            (
                "/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0/0000:02:01.0/0000:03:00.0/nvme",
                &["0000:03:00.0"],
            ),
            (
                "/sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0",
                &["0000:00:0e.0", "10000:e1:00.0"],
            ),
            ("/sys/devices/pci0000:00/0000:00:1f.2", &["0000:00:1f.2"]),
            ("/sys/devices/virtual/block/dm-0", &[]),
        ] {
            let found: Vec<_> = functions(Path::new(directory))
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found, expected, "{directory}");
        }
    }
}

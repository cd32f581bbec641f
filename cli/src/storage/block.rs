//! Block devices as sysfs has them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{major, minor};
use vfio_bind::address::Address;

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

    /// A directory of sysfs, by the place in `/sys/devices` that a link leads to.
    fn directory(&self, link: impl AsRef<Path>) -> Option<PathBuf> {
        let path = fs::canonicalize(self.place(link)).ok()?;
        path.starts_with(self.place("sys")).then_some(path)
    }

    /// The block device with these numbers, `major:minor`.
    #[must_use]
    pub fn by_number(&self, device: &str) -> Option<PathBuf> {
        self.directory(Path::new("sys/dev/block").join(device))
    }

    /// The block device that a node in `/dev` stands for.
    #[must_use]
    pub fn by_node(&self, node: &Path) -> Option<PathBuf> {
        let name = node.strip_prefix("/dev").ok()?.to_str()?;
        // sysfs spells `cciss/c0d0` so.
        let own = Path::new("sys/class/block").join(name.replace('/', "!"));
        let by_metadata = || {
            let metadata = fs::metadata(self.place(node)).ok()?;
            let number = metadata.rdev();
            let is_block = metadata.file_type().is_block_device();
            is_block.then(|| self.by_number(&format!("{}:{}", major(number), minor(number))))?
        };
        // A captured system has no nodes.
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
            return Base::File(
                Path::new(std::ffi::OsStr::from_bytes(file.trim_ascii_end())).to_owned(),
            );
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
fn entries(directory: &Path) -> Vec<PathBuf> {
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

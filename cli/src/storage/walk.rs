//! From a file system or a swap to the PCI functions that carry it.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use vfio_bind::address::Address;

use super::ask::{self, Ask};
use super::block::{Base, Sysfs, functions, name};
use super::mounts::{Mount, holding, overlay_folders};

/// File systems whose data comes over a network.
const NETWORK: [&str; 8] = [
    "nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "9p", "virtiofs",
];

/// What every walk may look at.
pub struct Map<'a> {
    /// The system's devices.
    pub sysfs: Sysfs,
    /// All that is mounted.
    pub mounts: Vec<Mount>,
    /// Who tells what no file does.
    pub ask: &'a dyn Ask,
}

/// A thing on the way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A mount, by its place in the list of mounts.
    Mount(usize),
    /// A block device, by its directory in sysfs.
    Block(PathBuf),
}

/// What a walk came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Functions, each with the disk and the layers above it: `nvme0n1p2 through dm-0`.
    pub functions: Vec<(Address, String)>,
    /// What could not be found, in words.
    pub unresolved: Vec<String>,
}

/// One walk. It takes each thing once, so that it ends whatever sysfs says, cycles included.
pub struct Walk<'m> {
    map: &'m Map<'m>,
    seen: BTreeSet<Node>,
    /// What is still to be looked at, with the layers above it, the lowest first.
    next: VecDeque<(Node, Vec<String>)>,
    ends: Ends,
    /// Whether some of it is in memory, where nothing is to be found.
    memory: bool,
}

impl<'m> Walk<'m> {
    /// The walk from a mount.
    #[must_use]
    pub fn from_mount(map: &'m Map<'m>, place: usize) -> Ends {
        let mut walk = Self::new(map);
        walk.push(Node::Mount(place), &[]);
        walk.finish()
    }

    /// The walk from a device node.
    #[must_use]
    pub fn from_node(map: &'m Map<'m>, node: &Path) -> Ends {
        let mut walk = Self::new(map);
        walk.node(node, &[]);
        walk.finish()
    }

    /// The walk from a file.
    #[must_use]
    pub fn from_file(map: &'m Map<'m>, file: &Path) -> Ends {
        let mut walk = Self::new(map);
        walk.file(file, &[]);
        walk.finish()
    }

    fn new(map: &'m Map<'m>) -> Self {
        Self {
            map,
            seen: BTreeSet::new(),
            next: VecDeque::new(),
            ends: Ends::default(),
            memory: false,
        }
    }

    fn finish(mut self) -> Ends {
        while let Some((node, layers)) = self.next.pop_front() {
            match node {
                Node::Mount(place) => self.mount(place, &layers),
                Node::Block(device) => self.block(&device, &layers),
            }
        }
        if self.ends == Ends::default() && !self.memory {
            self.unresolved("what it stands on leads back to itself".to_owned());
        }
        self.ends
    }

    fn push(&mut self, node: Node, layers: &[String]) {
        if self.seen.insert(node.clone()) {
            self.next.push_back((node, layers.to_vec()));
        }
    }

    fn unresolved(&mut self, problem: String) {
        self.ends.unresolved.push(problem);
    }

    /// A device node.
    fn node(&mut self, node: &Path, layers: &[String]) {
        match self.map.sysfs.by_node(node) {
            Some(device) => self.push(Node::Block(device), layers),
            None => self.unresolved(format!("sysfs has no block device for {}", node.display())),
        }
    }

    /// A file on some mount.
    fn file(&mut self, file: &Path, layers: &[String]) {
        match holding(&self.map.mounts, file) {
            Some(place) => self.push(Node::Mount(place), layers),
            None => self.unresolved(format!("no mount holds {}", file.display())),
        }
    }

    fn mount(&mut self, place: usize, layers: &[String]) {
        let map = self.map;
        let Some(mount) = map.mounts.get(place) else {
            return;
        };
        let Mount {
            kind,
            source,
            device,
            ..
        } = mount;
        match kind.as_str() {
            "btrfs" => self.btrfs(source, layers),
            "zfs" => self.zfs(source, layers),
            // One device or several with colons between them.
            "bcachefs" => {
                for node in source.to_string_lossy().split(':') {
                    self.node(Path::new(node), layers);
                }
            }
            "overlay" => self.overlay(place, mount, layers),
            "tmpfs" | "ramfs" | "rootfs" => self.memory = true,
            "autofs" => self.unresolved(
                "an automount that has not mounted anything yet: look into it, and try again"
                    .to_owned(),
            ),
            network if NETWORK.contains(&network) => self.unresolved(format!(
                "{network} from {}: which function leads there cannot be known",
                source.display()
            )),
            _ => match map.sysfs.by_number(device) {
                Some(device) => self.push(Node::Block(device), layers),
                None if source.starts_with("/dev") => self.node(source, layers),
                None => self.unresolved(format!(
                    "{kind} from {}: sysfs has no block device {device}",
                    source.display()
                )),
            },
        }
    }

    fn btrfs(&mut self, source: &Path, layers: &[String]) {
        let Some(member) = self.map.sysfs.by_node(source) else {
            return self.node(source, layers);
        };
        let devices = self.map.sysfs.btrfs_devices(&member);
        if devices.is_empty() {
            self.unresolved(format!(
                "sysfs has no btrfs file system with {}: if it has other members, they are not known",
                source.display()
            ));
            self.push(Node::Block(member), layers);
        }
        for device in devices {
            self.push(Node::Block(device), layers);
        }
    }

    fn zfs(&mut self, source: &Path, layers: &[String]) {
        let dataset = source.to_string_lossy();
        let pool = dataset.split('/').next().unwrap_or_default();
        let listing = match self.map.ask.zpool(pool) {
            Ok(listing) => listing,
            Err(reason) => {
                let problem = format!("the members of the ZFS pool {pool} are not known: {reason}");
                return self.unresolved(problem);
            }
        };
        let mut members = ask::pool_members(&listing).peekable();
        if members.peek().is_none() {
            self.unresolved(format!("zpool names no members of the ZFS pool {pool}"));
        }
        for member in members.map(Path::new) {
            if member.starts_with("/dev") {
                self.node(member, layers);
            } else {
                self.file(member, layers);
            }
        }
    }

    fn overlay(&mut self, place: usize, mount: &Mount, layers: &[String]) {
        let folders = overlay_folders(&mount.options);
        let visible = |folder: &PathBuf| self.map.sysfs.place(folder).is_dir();
        let folders: Vec<_> = folders.into_iter().filter(visible).collect();
        if folders.is_empty() {
            let problem =
                "an overlay of file systems that cannot be seen from here, as in a container";
            self.unresolved(problem.to_owned());
        }
        let mounts = &self.map.mounts;
        for folder in folders {
            // What it hides itself, as an extension of /usr does, was mounted before.
            let holder = holding(mounts, &folder).filter(|holder| *holder != place);
            match holder.or_else(|| holding(&mounts[..place], &folder)) {
                Some(holder) => self.push(Node::Mount(holder), layers),
                None => self.unresolved(format!("no mount holds {}", folder.display())),
            }
        }
    }

    fn block(&mut self, device: &Path, layers: &[String]) {
        let map = self.map;
        let name = name(device);
        let deeper = || [std::slice::from_ref(&name), layers].concat();
        match map.sysfs.base(device) {
            Base::Memory => self.memory = true,
            Base::Devices(devices) => {
                let layers = deeper();
                for device in devices {
                    self.push(Node::Block(device), &layers);
                }
            }
            Base::File(file) => self.file(&file, &deeper()),
            Base::Node(node) => self.node(&node, &deeper()),
            Base::Hardware(directories) => {
                let mut found: Vec<_> = directories
                    .iter()
                    .flat_map(|directory| functions(map.sysfs.below(directory)))
                    .collect();
                found.sort();
                found.dedup();
                if found.is_empty() {
                    self.unresolved(format!(
                        "{name} is behind no PCI function: /{}",
                        map.sysfs.below(device).display()
                    ));
                }
                let text = match layers {
                    [] => name,
                    _ => format!("{name} through {}", layers.join(", ")),
                };
                let ends = found.into_iter().map(|function| (function, text.clone()));
                self.ends.functions.extend(ends);
            }
        }
    }
}

//! From what is needed to the PCI functions that carry it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use vfio_bind_agent::pci::address::Address;

use super::ask::{self, Ask};
use super::block::{Base, Sysfs, entries, name};
use super::mounts::{Mount, holding};
use super::second::{self, Bitmap};
use super::{network, tables, volume_group};

/// What every walk may look at.
pub struct Map<'a> {
    /// The system's devices.
    pub sysfs: Sysfs,
    /// All that is mounted, as this process sees it.
    pub mounts: Vec<Mount>,
    /// Who tells what no file does.
    pub ask: &'a dyn Ask,
}

impl Map<'_> {
    /// The node of the device that `root=` of the kernel command line names.
    #[must_use]
    pub fn root_device(&self) -> Option<PathBuf> {
        let line = self.sysfs.text("proc/cmdline")?;
        let roots = tables::command_line(&line)
            .into_iter()
            .filter(|wanted| wanted.by == "/");
        roots
            .filter_map(|wanted| self.device(&wanted.what))
            .next_back()
    }

    /// The node that a name of a device, as tables have it, leads to now.
    #[must_use]
    pub fn device(&self, spec: &str) -> Option<PathBuf> {
        let mut nodes = tables::nodes(spec).into_iter().map(PathBuf::from);
        nodes.find(|node| self.sysfs.by_node(node).is_some())
    }
}

/// Where a walk starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At a mount, by its place in the list of mounts.
    Mount(usize),
    /// At a file system that this process does not see mounted.
    FileSystem(Mount),
    /// At a device node.
    Node(PathBuf),
    /// At a file.
    File(PathBuf),
    /// At a file that the kernel has open: its path may lead elsewhere by now.
    OpenFile(PathBuf),
    /// At a network interface.
    Interface(String),
    /// Nowhere, and why.
    Unknown(String),
}

/// A thing on the way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// A mount, by its place in the list of mounts.
    Mount(usize),
    /// A block device, by its directory in sysfs.
    Block(PathBuf),
    /// A network interface.
    Interface(String),
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
    pub(super) map: &'m Map<'m>,
    seen: BTreeSet<Node>,
    /// What is still to be looked at, with the layers above it, the lowest first.
    next: VecDeque<(Node, Vec<String>)>,
    /// Volume groups on the way, each with the volume that led there.
    groups: BTreeMap<String, String>,
    /// Those whose members were looked for.
    grouped: BTreeSet<String>,
    ends: Ends,
    /// Whether some of it is in memory, where nothing is to be found.
    pub(super) memory: bool,
    /// Interfaces below others that are behind no function: those of guests, tunnels.
    bare: Vec<String>,
}

impl<'m> Walk<'m> {
    /// Goes all the way.
    #[must_use]
    pub fn from(map: &'m Map<'m>, start: &Start) -> Ends {
        let mut walk = Self {
            map,
            seen: BTreeSet::new(),
            next: VecDeque::new(),
            groups: BTreeMap::new(),
            grouped: BTreeSet::new(),
            ends: Ends::default(),
            memory: false,
            bare: Vec::new(),
        };
        match start {
            Start::Mount(place) => walk.push(Node::Mount(*place), &[]),
            Start::FileSystem(mount) => walk.file_system(mount, None, &[]),
            Start::Node(node) => walk.node(node, &[]),
            Start::File(file) => walk.file(file, &[]),
            Start::OpenFile(file) => walk.open_file(file, None, &[]),
            Start::Interface(name) => walk.push(Node::Interface(name.clone()), &[]),
            Start::Unknown(reason) => walk.unresolved(reason.clone()),
        }
        walk.finish()
    }

    fn finish(mut self) -> Ends {
        loop {
            self.go_on();
            // What is reached without it is told without it.
            match self.groups.pop_first() {
                Some((group, name)) => self.volume_group(group, &name),
                None => break,
            }
        }
        if self.ends == Ends::default() && !self.bare.is_empty() {
            self.unresolved(format!(
                "{} is behind no PCI function",
                self.bare.join(", ")
            ));
        }
        if self.ends == Ends::default() && !self.memory {
            self.unresolved(
                "what it stands on leads back to itself, as in a chroot of a disk image: the root \
                 directory is not on this system's disk; build the image, or run `vfio-bind protected`, \
                 in the system that boots from it"
                    .to_owned(),
            );
        }
        self.ends
    }

    fn go_on(&mut self) {
        while let Some((node, layers)) = self.next.pop_front() {
            match node {
                Node::Mount(place) => {
                    if let Some(mount) = self.map.mounts.get(place) {
                        self.file_system(mount, Some(place), &layers);
                    }
                }
                Node::Block(device) => self.block(&device, &layers),
                Node::Interface(name) => self.interface(&name, &layers),
            }
        }
    }

    fn push(&mut self, node: Node, layers: &[String]) {
        if self.seen.insert(node.clone()) {
            self.next.push_back((node, layers.to_vec()));
        }
    }

    pub(super) fn push_mount(&mut self, place: usize, layers: &[String]) {
        self.push(Node::Mount(place), layers);
    }

    pub(super) fn push_block(&mut self, device: PathBuf, layers: &[String]) {
        self.push(Node::Block(device), layers);
    }

    pub(super) fn unresolved(&mut self, problem: String) {
        self.ends.unresolved.push(problem);
    }

    /// A device node.
    pub(super) fn node(&mut self, node: &Path, layers: &[String]) {
        match self.map.sysfs.by_node(node) {
            Some(device) => self.push_block(device, layers),
            None => self.unresolved(format!("sysfs has no block device for {}", node.display())),
        }
    }

    /// A file on some mount.
    pub(super) fn file(&mut self, file: &Path, layers: &[String]) {
        match holding(&self.map.mounts, file) {
            Some(place) => self.push_mount(place, layers),
            None => self.unresolved(format!("no mount holds {}", file.display())),
        }
    }

    /// A file that the kernel has open, with its number where that is known. The path was right when it
    /// was opened.
    fn open_file(&mut self, path: &Path, inode: Option<ask::File>, layers: &[String]) {
        let holder = holding(&self.map.mounts, path).and_then(|place| self.map.mounts.get(place));
        let expected = inode.as_ref().map(|file| &file.device);
        // Where a file system has no device, files have a number of their own for it.
        let expected = expected.or(holder
            .map(|mount| &mount.device)
            .filter(|d| !d.starts_with("0:")));
        let same = match self.map.ask.file(path) {
            Ok(Some(file)) => {
                expected.is_none_or(|device| *device == file.device)
                    && inode.as_ref().is_none_or(|inode| inode.inode == file.inode)
            }
            Ok(None) => false,
            // Nobody knows better than the path, unless the kernel says that it is gone.
            Err(_) => !path.to_string_lossy().ends_with(" (deleted)"),
        };
        if same {
            self.file(path, layers);
        } else {
            self.unresolved(format!(
                "{} leads elsewhere now: what lay there is covered, moved or deleted",
                path.display()
            ));
        }
    }

    /// The file of a loop device: losetup knows its file system, whatever its path says.
    fn loop_file(&mut self, name: &str, path: &Path, layers: &[String]) {
        let listing = self.map.ask.losetup().unwrap_or_default();
        let known = ask::loop_file(&listing, name);
        let device = known
            .as_ref()
            .and_then(|file| self.map.sysfs.by_number(&file.device));
        match device {
            Some(device) => self.push_block(device, layers),
            None => self.open_file(path, known, layers),
        }
    }

    /// A network interface: a card's, or one that stands on others.
    fn interface(&mut self, name: &str, layers: &[String]) {
        let sysfs = &self.map.sysfs;
        let Some(directory) = sysfs.directory(Path::new("sys/class/net").join(name)) else {
            return self.unresolved(format!("sysfs has no network interface {name}"));
        };
        let below = entries(&directory).into_iter().filter_map(|entry| {
            let lower = super::block::name(&entry);
            lower.strip_prefix("lower_").map(str::to_owned)
        });
        let below: Vec<_> = below.collect();
        if self.found(&[directory], &through(name, layers)) {
            return;
        }
        if below.is_empty() {
            self.bare.push(name.to_owned());
        }
        let layers = [&[name.to_owned()], layers].concat();
        for name in below {
            self.push(Node::Interface(name), &layers);
        }
    }

    /// The way to a server, or out where its address is not known.
    pub(super) fn network(&mut self, what: &str, address: Option<IpAddr>, layers: &[String]) {
        let sysfs = &self.map.sysfs;
        let interfaces = match address {
            Some(address) => network::toward(sysfs, address).into_iter().collect(),
            None => network::default_interfaces(sysfs),
        };
        if interfaces.is_empty() {
            let to = address
                .map(|address| format!(" to {address}"))
                .unwrap_or_default();
            self.unresolved(format!(
                "{what} comes over a network, and there is no route{to} now"
            ));
        }
        for interface in interfaces {
            self.push(Node::Interface(interface), layers);
        }
    }

    fn block(&mut self, device: &Path, layers: &[String]) {
        let map = self.map;
        let name = name(device);
        let deeper = [std::slice::from_ref(&name), layers].concat();
        match map.sysfs.base(device) {
            Base::Memory => self.memory = true,
            Base::Devices(devices) => {
                for device in devices {
                    self.push_block(device, &deeper);
                }
            }
            Base::File(file) => self.loop_file(&name, &file, &deeper),
            Base::Node(node) => self.node(&node, &deeper),
            Base::Hardware(directories) => {
                let text = through(&name, layers);
                let servers = directories
                    .iter()
                    .flat_map(|place| map.sysfs.servers(place));
                let servers: Vec<_> = servers.collect();
                if self.found(&directories, &text) {
                } else if !servers.is_empty() {
                    for server in servers {
                        self.network(&name, Some(server), &deeper);
                    }
                } else if ["nbd", "rbd"].iter().any(|kind| name.starts_with(kind)) {
                    self.network(&name, None, &deeper);
                } else {
                    self.unresolved(format!(
                        "{name} is behind no PCI function: /{}",
                        map.sysfs.below(device).display()
                    ));
                }
            }
        }
        match second::bitmap(&map.sysfs, device) {
            Bitmap::Inside => {}
            Bitmap::File(Some(file)) => self.file(&file, &deeper),
            Bitmap::File(None) => self.unresolved(format!(
                "{name} has its bitmap in a file, and /proc/mdstat does not tell which"
            )),
        }
        if let Some(group) = map.sysfs.volume_group(device) {
            self.groups.entry(group).or_insert(name);
        }
    }

    /// Takes the functions on the way to these directories of sysfs; whether there are any.
    pub(super) fn found(&mut self, directories: &[PathBuf], text: &str) -> bool {
        let found = self.map.sysfs.functions(directories);
        let ends = found.iter().map(|function| (*function, text.to_owned()));
        self.ends.functions.extend(ends);
        !found.is_empty()
    }

    /// All of a volume group, which lvm activates as a whole: a snapshot's store, and what is empty
    /// today. sysfs shows volumes that are in use; lvm knows the others.
    fn volume_group(&mut self, group: String, name: &str) {
        if !self.grouped.insert(group.clone()) {
            return;
        }
        let told = format!("the volume group of {name}");
        let layers = std::slice::from_ref(&told);
        for device in self.map.sysfs.volumes(&group) {
            self.push_block(device, layers);
        }
        match self.map.ask.pvs() {
            Err(reason) => self.unresolved(format!(
                "{told} may have members that nothing here shows: {reason}"
            )),
            Ok(listing) => {
                for member in volume_group::members(&listing, &group) {
                    if member.starts_with('/') {
                        self.node(Path::new(member), layers);
                    } else {
                        self.unresolved(format!("a member of {told} is missing, says pvs"));
                    }
                }
            }
        }
    }
}

/// A thing and the layers above it, for people.
pub(super) fn through(name: &str, layers: &[String]) -> String {
    match layers {
        [] => name.to_owned(),
        _ => format!("{name} through {}", layers.join(", ")),
    }
}

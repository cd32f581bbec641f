//! What file systems stand on.

use std::path::{Path, PathBuf};

use super::block::{entries, name, text_of};
use super::mounts::{Mount, holding, overlay_folders};
use super::walk::{Walk, through};
use super::{ask, network, second};

/// File systems whose data comes over a network.
const NETWORK: [&str; 8] = [
    "nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "9p", "virtiofs",
];

/// Whether a file system of this type has something below it that its device's number does not tell:
/// several devices, a pool, a network.
#[must_use]
pub fn stands_alone(kind: &str) -> bool {
    NETWORK.contains(&kind) || ["btrfs", "zfs", "bcachefs"].contains(&kind)
}

impl Walk<'_> {
    /// A file system; `place` is that of its mount in the list, where it is in it.
    pub(super) fn file_system(&mut self, mount: &Mount, place: Option<usize>, layers: &[String]) {
        let Mount { kind, source, .. } = mount;
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
            "virtiofs" => self.virtio(mount, layers),
            "9p" if mount.option("trans").is_none_or(|trans| trans == "virtio") => {
                self.virtio(mount, layers);
            }
            network if NETWORK.contains(&network) => {
                let address = mount.option("addr").and_then(|text| text.parse().ok());
                let what = format!("{network} from {}", source.display());
                self.network(&what, address.or_else(|| network::server(source)), layers);
            }
            _ => self.on_device(mount, layers),
        }
    }

    /// A file system on a block device, or on several.
    fn on_device(&mut self, mount: &Mount, layers: &[String]) {
        let sysfs = &self.map.sysfs;
        let Mount { kind, source, .. } = mount;
        let on_node = || source.starts_with("/dev").then(|| sysfs.by_node(source))?;
        let Some(device) = sysfs.by_number(&mount.device).or_else(on_node) else {
            return match kind.as_str() {
                // Since 6.12: a file, without a loop device between them.
                "erofs" if source.is_absolute() && !source.starts_with("/dev") => self.file(source, layers),
                _ => self.unresolved(format!(
                    "{kind} from {} has no block device of its own ({}), and what it stands on cannot be \
                     followed",
                    source.display(),
                    mount.device
                )),
            };
        };
        match kind.as_str() {
            "xfs" => {
                let others = ["logdev", "rtdev"].map(|option| mount.option(option));
                for node in others.into_iter().flatten() {
                    self.node(Path::new(&node), layers);
                }
            }
            "ext3" | "ext4" => {
                for journal in second::journals(sysfs, &name(&device)) {
                    self.push_block(journal, layers);
                }
            }
            "f2fs" => {
                let node = format!("/dev/{}", name(&device).replace('!', "/"));
                match second::f2fs_devices(&sysfs.place(&node)) {
                    Ok(devices) => devices.iter().for_each(|device| self.node(device, layers)),
                    Err(error) => self.unresolved(format!(
                        "f2fs: whether it has other devices cannot be read from {node}: {error}"
                    )),
                }
            }
            _ => {}
        }
        self.push_block(device, layers);
    }

    /// The virtio function through which the host shares a directory, by its tag.
    fn virtio(&mut self, mount: &Mount, layers: &[String]) {
        let sysfs = &self.map.sysfs;
        let tag = mount.source.to_string_lossy();
        let has_tag = |file: PathBuf| text_of(&file).as_deref() == Some(&*tag);
        let list = |directory: &str| entries(&sysfs.place(directory)).into_iter();
        let devices: Vec<_> = if mount.kind == "9p" {
            let devices = list("sys/bus/virtio/drivers/9pnet_virtio");
            devices
                .filter(|device| has_tag(device.join("mount_tag")))
                .collect()
        } else {
            let shares = list("sys/fs/virtiofs").filter(|share| has_tag(share.join("tag")));
            let devices: Vec<_> = shares.map(|share| share.join("device")).collect();
            // Before 6.9 nothing tells one of them from another: all.
            let all = list("sys/bus/virtio/drivers/virtiofs")
                .filter(|entry| name(entry).starts_with("virtio"));
            if devices.is_empty() {
                all.collect()
            } else {
                devices
            }
        };
        let mut any = false;
        for device in devices
            .iter()
            .filter_map(|device| device.canonicalize().ok())
        {
            let text = through(&name(&device), layers);
            any |= self.found(&[device], &text);
        }
        if !any {
            self.unresolved(format!(
                "{} {tag}: no virtio function has this tag",
                mount.kind
            ));
        }
    }

    fn btrfs(&mut self, source: &Path, layers: &[String]) {
        // What the kernel itself mounted has a name that no device has.
        let root = (source == Path::new("/dev/root")).then(|| self.map.root_device());
        let source = match &root {
            None => source,
            Some(Some(node)) => node,
            Some(None) => {
                let problem = "btrfs on /dev/root, and root= of the kernel command line names no device \
                               that is there";
                return self.unresolved(problem.to_owned());
            }
        };
        let Some(member) = self.map.sysfs.by_node(source) else {
            return self.node(source, layers);
        };
        let devices = self.map.sysfs.btrfs_devices(&member);
        if devices.is_empty() {
            self.unresolved(format!(
                "sysfs has no btrfs file system with {}: if it has other members, they are not known",
                source.display()
            ));
            self.push_block(member, layers);
        }
        for device in devices {
            self.push_block(device, layers);
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

    fn overlay(&mut self, place: Option<usize>, mount: &Mount, layers: &[String]) {
        let folders = overlay_folders(&mount.options);
        let visible =
            |folder: &PathBuf| folder.is_absolute() && self.map.sysfs.place(folder).is_dir();
        let (folders, hidden): (Vec<_>, Vec<_>) = folders.into_iter().partition(visible);
        if let Some(first) = hidden.first() {
            let more = match hidden.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            self.unresolved(format!(
                "an overlay of layers that cannot be seen from here, as in a container: {}{more}",
                first.display()
            ));
        } else if folders.is_empty() {
            self.unresolved("an overlay that does not name its layers".to_owned());
        }
        let mounts = &self.map.mounts;
        for folder in folders {
            // What it hides itself, as an extension of /usr does, was mounted before.
            let before = place
                .and_then(|place| mounts.get(..place))
                .unwrap_or(mounts);
            let holder = holding(mounts, &folder).filter(|holder| Some(*holder) != place);
            match holder.or_else(|| holding(before, &folder)) {
                Some(holder) => self.push_mount(holder, layers),
                None => self.unresolved(format!("no mount holds {}", folder.display())),
            }
        }
    }
}

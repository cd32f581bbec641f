//! Disks, and what is on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::detail::{Detail, natural};
use crate::storage::ask::{self, Ask};
use crate::storage::block::{Sysfs, entries, name, text_of};
use crate::storage::mounts::{self, Swap, holding};
use crate::terminal::one_line;

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The kernel's name for it.
    pub name: String,
    /// What it calls itself.
    pub model: Option<String>,
    /// How much it holds.
    pub bytes: Option<u64>,
    /// What is on it and used.
    pub users: Vec<User>,
}

/// A use of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The disk or the partition.
    pub device: String,
    /// The layers between, the lowest first: `cryptroot`, `vg-root`, `md0`.
    pub through: Vec<String>,
    /// A mount point, `swap`, `ZFS`, or the layer that has it where nothing is on that.
    pub of: String,
}

/// Mount points that every system may have, and that say nothing of its owner.
const COMMON: [&str; 12] = [
    "/",
    "/boot",
    "/boot/efi",
    "/efi",
    "/esp",
    "/home",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/usr",
    "/var",
];

impl Disk {
    /// `disk nvme0n1 Samsung SSD 980 PRO 1TB (1.0 TB): /boot, /`.
    #[must_use]
    pub fn told(&self, detail: Detail) -> String {
        let mut text = format!("disk {}", self.name);
        if let Some(model) = &self.model {
            text.extend([" ", model]);
        }
        if let Some(bytes) = self.bytes {
            text += &format!(" ({})", size(bytes));
        }
        let uses = self.uses_in(detail);
        if !uses.is_empty() {
            text += &format!(": {}", uses.join(", "));
        }
        text
    }

    /// What it is used for, each once, and no more than may be told.
    #[must_use]
    pub fn uses_in(&self, detail: Detail) -> Vec<&str> {
        match detail {
            Detail::All => self.uses(),
            Detail::Impersonal => self.common_uses(),
        }
    }

    /// What it is used for, each once.
    #[must_use]
    pub fn uses(&self) -> Vec<&str> {
        let mut uses = Vec::new();
        for user in &self.users {
            if !uses.contains(&&*user.of) {
                uses.push(&*user.of);
            }
        }
        uses
    }

    /// The same without names that somebody chose.
    fn common_uses(&self) -> Vec<&str> {
        let mut uses = Vec::new();
        for of in self.uses() {
            let of = match of {
                "swap" | "ZFS" => of,
                point if COMMON.contains(&point) => point,
                _ => "something in use",
            };
            if !uses.contains(&of) {
                uses.push(of);
            }
        }
        uses
    }
}

/// A size as it is printed on disks: `500 GB`, `1.0 TB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut tenths = bytes / 100;
    let mut unit = 0;
    // To the nearest, but never 1000 of a unit.
    while (tenths >= 9995) && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", (tenths + 5) / 10, UNITS[unit]),
    }
}

/// What uses which block device directly, by its directory in sysfs.
#[derive(Debug, Default)]
pub struct Users(BTreeMap<PathBuf, Vec<String>>);

impl Users {
    /// Finds what is mounted, swapped to and in a ZFS pool.
    #[must_use]
    pub fn of(sysfs: &Sysfs, ask: &dyn Ask) -> Self {
        let mut users = Self::default();
        let read = |path| fs::read(sysfs.place(path)).unwrap_or_default();
        // What is not UTF-8 names no device.
        let text = |path| String::from_utf8_lossy(&read(path)).into_owned();
        let mounts = mounts::mounts(&text("proc/self/mountinfo"));
        let mut places = Vec::new();
        for mount in &mounts {
            let place = sysfs
                .by_number(&mount.device)
                // btrfs has numbers of its own.
                .or_else(|| sysfs.by_node(&mount.source));
            let mut all = place
                .as_ref()
                .map_or_else(Vec::new, |one| sysfs.btrfs_devices(one));
            all.extend(place);
            for place in &all {
                users.add(place, &one_line(&mount.point.to_string_lossy()));
            }
            places.push(all);
        }
        for swap in mounts::swaps(&text("proc/swaps")) {
            match swap {
                Swap::Device(node) => {
                    if let Some(place) = sysfs.by_node(&node) {
                        users.add(&place, "swap");
                    }
                }
                Swap::File(file) => {
                    let mount = holding(&mounts, &file).and_then(|at| places.get(at));
                    for place in mount.into_iter().flatten() {
                        users.add(place, "swap");
                    }
                }
            }
        }
        if sysfs.place("sys/module/zfs").exists()
            && let Ok(listing) = ask.zpools()
        {
            for member in ask::pool_members(&listing) {
                if let Some(place) = sysfs.by_node(Path::new(member)) {
                    users.add(&place, "ZFS");
                }
            }
        }
        users
    }

    fn add(&mut self, place: &Path, user: &str) {
        let users = self.0.entry(place.to_owned()).or_default();
        if !users.iter().any(|known| known == user) {
            users.push(user.to_owned());
        }
    }

    /// The disk at a directory of sysfs.
    #[must_use]
    pub fn disk(&self, place: &Path) -> Disk {
        let mut users = Vec::new();
        let partitions = entries(place).into_iter();
        let partitions = partitions.filter(|entry| entry.join("partition").exists());
        let mut parts: Vec<_> = partitions.collect();
        parts.sort_by_key(|part| natural(&name(part)));
        for part in [place.to_owned()].iter().chain(&parts) {
            let device = name(part);
            self.climb(
                part,
                &device,
                &mut Vec::new(),
                &mut BTreeSet::new(),
                &mut users,
            );
        }
        let model = text_of(&place.join("device/model"))
            // SD cards.
            .or_else(|| text_of(&place.join("device/name")))
            .map(|model| one_line(&model));
        Disk {
            name: name(place),
            model: model.filter(|model| !model.is_empty()),
            // In sectors of 512 bytes, whatever the disk's own are.
            bytes: text_of(&place.join("size"))
                .and_then(|sectors| sectors.parse::<u64>().ok()?.checked_mul(512))
                .filter(|bytes| *bytes > 0),
            users,
        }
    }

    /// Goes up through what holds a device, each thing once.
    fn climb(
        &self,
        place: &Path,
        device: &str,
        through: &mut Vec<String>,
        seen: &mut BTreeSet<PathBuf>,
        users: &mut Vec<User>,
    ) {
        if !seen.insert(place.to_owned()) {
            return;
        }
        let user = |of: &str, through: &[String]| User {
            device: device.to_owned(),
            through: through.to_vec(),
            of: of.to_owned(),
        };
        let own = self.0.get(place).into_iter().flatten();
        users.extend(own.map(|of| user(of, through)));
        for holder in entries(&place.join("holders")) {
            let Ok(upper) = fs::canonicalize(&holder) else {
                continue;
            };
            let own = text_of(&upper.join("dm/name")).filter(|name| !name.is_empty());
            let own = own.map_or_else(|| name(&upper), |own| one_line(&own));
            let before = users.len();
            through.push(own.clone());
            self.climb(&upper, device, through, seen, users);
            through.pop();
            if users.len() == before {
                users.push(user(&own, through));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_on_the_box() {
        for (bytes, expected) in [
            (512, "0.5 kB"),
            (500_107_862_016, "500 GB"),
            (1_000_204_886_016, "1.0 TB"),
            (1_920_383_410_176, "1.9 TB"),
            (999_960_000_000, "1.0 TB"),
            (16_000_900_661_248, "16 TB"),
            (31_914_983_424, "32 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }
}

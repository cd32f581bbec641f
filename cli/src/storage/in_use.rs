//! What is in use now, whether a boot needs it or not: disks that are mounted anywhere, held by
//! something, or part of a pool, and the interfaces of default routes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::block::{Sysfs, entries, name};
use super::file_system::stands_alone;
use super::mounts::{self, Mount};
use super::needed::{Want, at_boot, want};
use super::walk::{Map, Start};
use super::{ask, network};

/// All that the system needs to boot, and all that is in use.
#[must_use]
pub fn now(map: &Map<'_>) -> Vec<Want> {
    let mut wants = at_boot(map);
    wants.extend(mounted(map));
    wants.extend(held(&map.sysfs));
    wants.extend(pools(map));
    let routes = network::default_interfaces(&map.sysfs).into_iter();
    wants.extend(routes.map(|name| want("the default route", Start::Interface(name))));
    wants
}

/// What is mounted in this view of the system, and in that of each other process; each device once.
fn mounted(map: &Map<'_>) -> Vec<Want> {
    let on_something =
        |mount: &Mount| map.sysfs.by_number(&mount.device).is_some() || stands_alone(&mount.kind);
    let mut seen: BTreeSet<_> = mounts::needed(&map.mounts)
        .into_iter()
        .map(|place| map.mounts[place].device.clone())
        .collect();
    let mut wants = Vec::new();
    for (place, mount) in map.mounts.iter().enumerate() {
        if on_something(mount) && seen.insert(mount.device.clone()) {
            wants.push(want(&mount.shown, Start::Mount(place)));
        }
    }
    for (process, list) in views(&map.sysfs) {
        for mount in mounts::mounts(&list) {
            if on_something(&mount) && seen.insert(mount.device.clone()) {
                let user = format!("{} of process {process}", mount.shown);
                wants.push(want(user, Start::FileSystem(mount)));
            }
        }
    }
    wants
}

/// The lists of mounts of processes that see others than this one: a process for each view. What may
/// not be read is not: only root sees all.
fn views(sysfs: &Sysfs) -> Vec<(u32, String)> {
    let view = |process: &str| fs::read_link(sysfs.place(format!("proc/{process}/ns/mnt"))).ok();
    let mut known: BTreeSet<_> = view("self").into_iter().collect();
    let processes = entries(&sysfs.place("proc"));
    let mut processes: Vec<u32> = processes
        .iter()
        .filter_map(|path| name(path).parse().ok())
        .collect();
    processes.sort_unstable();
    let new = processes.into_iter().filter(|process| {
        let view = view(&process.to_string());
        view.is_none_or(|view| known.insert(view))
    });
    new.filter_map(|process| Some((process, sysfs.text(format!("proc/{process}/mountinfo"))?)))
        .collect()
}

/// Block devices that others stand on, members of a btrfs that is mounted, and loop devices.
fn held(sysfs: &Sysfs) -> Vec<Want> {
    let node = |device: &str| Start::Node(Path::new("/dev").join(device.replace('!', "/")));
    let mut wants = Vec::new();
    for device in entries(&sysfs.place("sys/class/block")) {
        let own = name(&device);
        let holders: Vec<_> = entries(&device.join("holders"))
            .iter()
            .map(|path| name(path))
            .collect();
        if !holders.is_empty() {
            wants.push(want(holders.join(", "), node(&own)));
        }
        if device.join("loop/backing_file").exists() {
            wants.push(want(&own, node(&own)));
        }
    }
    for system in entries(&sysfs.place("sys/fs/btrfs")) {
        for member in entries(&system.join("devices")) {
            wants.push(want("btrfs", node(&name(&member))));
        }
    }
    wants
}

/// The members of all ZFS pools, where the kernel has ZFS.
fn pools(map: &Map<'_>) -> Vec<Want> {
    if !map.sysfs.place("sys/module/zfs").exists() {
        return Vec::new();
    }
    let start = |member: &str| {
        let member = PathBuf::from(member);
        if member.starts_with("/dev") {
            Start::Node(member)
        } else {
            Start::File(member)
        }
    };
    match map.ask.zpools() {
        Ok(listing) => ask::pool_members(&listing)
            .map(|member| want("ZFS", start(member)))
            .collect(),
        Err(reason) => vec![want(
            "ZFS",
            Start::Unknown(format!("the members of its pools are not known: {reason}")),
        )],
    }
}

//! What a boot needs: what is mounted and swapped to where it counts, and what tables want.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::block::{Sysfs, entries, name};
use super::file_system::stands_alone;
use super::mounts::{self, Mount, Swap, holding};
use super::tables;
use super::walk::{Map, Start};

/// Something that is needed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// A mount point, `swap`, a line of a table.
    pub user: String,
    /// Where the walk to its functions starts.
    pub start: Start,
}

pub(super) fn want(user: impl Into<String>, start: Start) -> Want {
    Want {
        user: user.into(),
        start,
    }
}

/// All that the system needs to boot.
#[must_use]
pub fn at_boot(map: &Map<'_>) -> Vec<Want> {
    let mut wants = mounted(map);
    wants.extend(swapped(&map.sysfs));
    wants.extend(fstab(map));
    wants.extend(named(map));
    wants
}

/// What a file says. Where it is there and cannot be read, that is told.
fn read(sysfs: &Sysfs, path: &str, wants: &mut Vec<Want>) -> String {
    match fs::read(sysfs.place(path)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                let user = format!("/{path}");
                wants.push(want(
                    user,
                    Start::Unknown(format!("what it names: {error}")),
                ));
            }
            String::new()
        }
    }
}

fn mounted(map: &Map<'_>) -> Vec<Want> {
    let mut places = mounts::needed(&map.mounts);
    let mut wants = Vec::new();
    if !places
        .iter()
        .any(|place| map.mounts[*place].point == Path::new("/"))
    {
        let problem = "not in /proc/self/mountinfo, as in a chroot that is no mount of its own";
        wants.push(want("/", Start::Unknown(problem.to_owned())));
    }
    let init = init_files(&map.sysfs);
    places.extend(init.iter().filter_map(|file| holding(&map.mounts, file)));
    places.sort_by_key(|place| (&map.mounts[*place].point, *place));
    places.dedup();
    wants.extend(
        places
            .into_iter()
            .map(|place| want(&map.mounts[place].shown, Start::Mount(place))),
    );
    let hidden = first_process_mounts(&map.sysfs, &map.mounts).into_iter();
    wants.extend(hidden.map(|mount| want(mount.shown.clone(), Start::FileSystem(mount))));
    wants
}

/// Where init and the libraries of programs lie: a root in memory has them elsewhere.
fn init_files(sysfs: &Sysfs) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let root = sysfs.place("/");
    let init = fs::canonicalize(sysfs.place("sbin/init")).ok();
    files.extend(init.and_then(|init| Some(Path::new("/").join(init.strip_prefix(&root).ok()?))));
    let own = fs::read_link(sysfs.place("proc/self/exe")).ok();
    let mut processes = vec!["self"];
    if is_own_root(sysfs) {
        processes.push("1");
    }
    for process in processes {
        let maps = sysfs
            .text(format!("proc/{process}/maps"))
            .unwrap_or_default();
        let mapped = maps
            .lines()
            .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])));
        // This program may lie anywhere.
        files.extend(mapped.filter(|file| Some(file) != own.as_ref()));
    }
    files
}

/// Whether process 1 has the root directory of this process: in a chroot or a container what it sees
/// is another system, or a part of one.
fn is_own_root(sysfs: &Sysfs) -> bool {
    let identity = |path| {
        let metadata = fs::metadata(sysfs.place(path)).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity("proc/1/root").is_some_and(|root| Some(root) == identity("/"))
}

/// What a boot needs of the mounts of process 1 and this process does not see: a service may be kept
/// from them.
fn first_process_mounts(sysfs: &Sysfs, seen: &[Mount]) -> Vec<Mount> {
    if !is_own_root(sysfs) {
        return Vec::new();
    }
    let text = sysfs.text("proc/1/mountinfo").unwrap_or_default();
    let all = mounts::mounts(&text);
    let is_seen = |mount: &Mount| {
        seen.iter()
            .any(|m| m.point == mount.point && m.device == mount.device)
    };
    let places = mounts::needed(&all).into_iter();
    places
        .map(|place| all[place].clone())
        .filter(|mount| !is_seen(mount))
        .collect()
}

fn swapped(sysfs: &Sysfs) -> Vec<Want> {
    let mut wants = Vec::new();
    let swaps = read(sysfs, "proc/swaps", &mut wants);
    let start = |swap| match swap {
        Swap::Device(node) => Start::Node(node),
        Swap::File(file) => Start::OpenFile(file),
    };
    let swaps = mounts::swaps(&swaps).into_iter();
    wants.extend(swaps.map(|swap| want("swap", start(swap))));
    wants
}

fn fstab(map: &Map<'_>) -> Vec<Want> {
    let mut wants = Vec::new();
    let text = read(&map.sysfs, "etc/fstab", &mut wants);
    for tables::Entry {
        spec,
        point,
        kind,
        options,
    } in tables::fstab(&text)
    {
        let path = mounts::unescape(&point);
        let place = map
            .mounts
            .iter()
            .rposition(|mount| mount.point == path && mount.kind != "autofs");
        let file_system = |source: &Path| {
            Start::FileSystem(Mount {
                id: 0,
                parent: 0,
                device: String::new(),
                point: path.clone(),
                shown: point.clone(),
                kind: kind.clone(),
                source: source.to_owned(),
                options: options.clone(),
            })
        };
        let source = Path::new(&spec);
        let start = if tables::is_device(&spec) {
            match map.device(&spec) {
                Some(node) if kind == "swap" => Some(Start::Node(node)),
                Some(node) => Some(file_system(&node)),
                // What is mounted there is known.
                None if place.is_some() => None,
                None => {
                    let problem = format!("/etc/fstab wants {spec}, which is not there now");
                    Some(Start::Unknown(problem))
                }
            }
        } else if source.is_absolute() && (kind == "swap" || map.sysfs.place(source).is_file()) {
            Some(Start::File(source.to_owned()))
        } else if stands_alone(&kind) {
            place.is_none().then(|| file_system(source))
        } else {
            // In memory, or of files that are on other lines.
            continue;
        };
        let mounted = place.map(Start::Mount);
        wants.extend(
            [mounted, start]
                .into_iter()
                .flatten()
                .map(|start| want(&point, start)),
        );
    }
    wants
}

/// What crypttab, the kernel command line and initramfs-tools name.
fn named(map: &Map<'_>) -> Vec<Want> {
    let mut wants = Vec::new();
    let mut text = |path: &str| read(&map.sysfs, path, &mut wants);
    let mut named = tables::crypttab(&text("etc/crypttab"));
    named.extend(tables::command_line(&text("proc/cmdline")));
    let settings = entries(&map.sysfs.place("etc/initramfs-tools/conf.d")).into_iter();
    let settings = settings.map(|file| format!("etc/initramfs-tools/conf.d/{}", name(&file)));
    let settings = ["etc/initramfs-tools/initramfs.conf".to_owned()]
        .into_iter()
        .chain(settings);
    let settings = settings.filter_map(|file| tables::resume(&text(&file)));
    let resume = settings.fold(None, |_, last| Some(last));
    named.extend(resume.map(|what| tables::Wanted {
        by: "resume".to_owned(),
        what,
        waited_for: true,
    }));
    let start = |wanted: tables::Wanted| {
        let tables::Wanted {
            by,
            what,
            waited_for,
        } = wanted;
        let start = if tables::is_device(&what) {
            match map.device(&what) {
                Some(node) => Start::Node(node),
                None if waited_for => {
                    Start::Unknown(format!("{by} wants {what}, which is not there now"))
                }
                None => return None,
            }
        } else if what.starts_with('/') {
            Start::File(PathBuf::from(what))
        } else {
            return None;
        };
        Some(want(by, start))
    };
    wants.extend(named.into_iter().filter_map(start));
    wants
}

//! Who has a device open, or mapped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};

use crate::storage::block::{entries, name, text_of};

use super::devices::Number;

/// How long all processes may take: thousands take a second.
const LIMIT: Duration = Duration::from_secs(20);

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// What it calls itself: `/proc/PID/comm`.
    pub name: String,
}

/// How a process holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By a descriptor.
    Open,
    /// In its memory; the descriptor may be closed.
    Mapped,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Mapped => "mapped",
        })
    }
}

/// Something that a process has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The device; `None` where it is a file of sysfs.
    pub device: Option<Number>,
    /// What the process called it, as the kernel shows that now.
    pub path: PathBuf,
    /// How.
    pub how: How,
}

/// What a scan has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Processes that have something of what was looked for, each thing once.
    pub users: BTreeMap<Process, Vec<Opened>>,
    /// How many processes may not be looked at.
    pub unreadable: usize,
    /// There was no time for all of them.
    pub late: bool,
}

impl Scan {
    /// What could not be looked at.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let unreadable = (self.unreadable > 0).then(|| {
            format!(
                "{} processes could not be looked at, and may have a device open; root may look at all",
                self.unreadable
            )
        });
        let late = self.late.then(|| {
            format!(
                "not all processes were looked at within {} s; one of those left may have a device open",
                LIMIT.as_secs()
            )
        });
        unreadable.into_iter().chain(late).collect()
    }
}

/// What becomes of one process.
enum Seen {
    User(Process, Vec<Opened>),
    Unreadable,
}

/// Looks for processes that have one of `devices` open or mapped, or a file of sysfs whose path begins with
/// one of `resources`.
#[must_use]
pub fn scan(proc: &Path, devices: BTreeSet<Number>, resources: BTreeSet<PathBuf>) -> Scan {
    let mut scan = Scan::default();
    if devices.is_empty() && resources.is_empty() {
        return scan;
    }
    let look = Look {
        proc: proc.to_owned(),
        devices,
        resources,
    };
    let (sender, receiver) = mpsc::channel();
    // A file of a server that does not answer may hold up whoever asks for it.
    thread::spawn(move || look.at_all(&sender));
    let end = Instant::now() + LIMIT;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Seen::User(process, opened)) => {
                scan.users.insert(process, opened);
            }
            Ok(Seen::Unreadable) => scan.unreadable += 1,
            Err(RecvTimeoutError::Disconnected) => return scan,
            Err(RecvTimeoutError::Timeout) => {
                scan.late = true;
                return scan;
            }
        }
    }
}

/// What is looked for, and where.
struct Look {
    proc: PathBuf,
    devices: BTreeSet<Number>,
    resources: BTreeSet<PathBuf>,
}

impl Look {
    fn at_all(&self, sender: &Sender<Seen>) {
        for directory in entries(&self.proc) {
            let Ok(id) = name(&directory).parse() else {
                continue;
            };
            let seen = match self.at(&directory) {
                Some(opened) if opened.is_empty() => continue,
                Some(opened) => {
                    let name = text_of(&directory.join("comm")).unwrap_or_default();
                    Seen::User(Process { id, name }, opened)
                }
                None => Seen::Unreadable,
            };
            // Nobody waits for what comes too late.
            if sender.send(seen).is_err() {
                return;
            }
        }
    }

    /// What the process at a directory of proc has; `None` where it may not be looked at. One that has ended
    /// has nothing.
    fn at(&self, process: &Path) -> Option<Vec<Opened>> {
        let mut found = Vec::new();
        let descriptors = match fs::read_dir(process.join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) => return (error.kind() != ErrorKind::PermissionDenied).then_some(found),
        };
        for link in descriptors.flatten() {
            self.add(&link.path(), How::Open, &mut found);
        }
        for link in mapped(process) {
            self.add(&link, How::Mapped, &mut found);
        }
        Some(found)
    }

    /// What a link of proc leads to, if it is looked for and new.
    fn add(&self, link: &Path, how: How, found: &mut Vec<Opened>) {
        let Ok(path) = fs::read_link(link) else {
            return;
        };
        let in_sysfs = || self.resources.iter().any(|place| begins_with(&path, place));
        // A socket, a pipe and what else is no file is named without a path.
        if !path.is_absolute() {
            return;
        }
        let device = number(link).filter(|device| self.devices.contains(device));
        if device.is_none() && !in_sysfs() {
            return;
        }
        let is_known = |one: &Opened| one.device == device && one.path == path;
        if !found.iter().any(is_known) {
            found.push(Opened { device, path, how });
        }
    }
}

/// Whether a path begins with these bytes: `resource` is where `resource0` begins.
pub(super) fn begins_with(path: &Path, place: &Path) -> bool {
    path.as_os_str()
        .as_bytes()
        .starts_with(place.as_os_str().as_bytes())
}

/// The links to files of `/dev` and `/sys` that a process has mapped.
fn mapped(process: &Path) -> Vec<PathBuf> {
    // START-END PERMISSIONS OFFSET DEVICE INODE PATH
    let text = text_of(&process.join("maps")).unwrap_or_default();
    let lines = text.lines().filter(|line| {
        let path = line.find('/').and_then(|start| line.get(start..));
        path.is_some_and(|path| path.contains("/dev/") || path.starts_with("/sys/"))
    });
    let ranges = lines.filter_map(|line| line.split(' ').next());
    ranges
        .map(|range| process.join("map_files").join(range))
        .collect()
}

/// The device that a link leads to. No server is asked: it might not answer.
fn number(link: &Path) -> Option<Number> {
    let found = statx(CWD, link, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE).ok()?;
    let block = match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => false,
        _ => return None,
    };
    Some(Number {
        block,
        number: format!("{}:{}", found.stx_rdev_major, found.stx_rdev_minor),
    })
}

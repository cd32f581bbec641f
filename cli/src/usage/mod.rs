//! Who uses a PCI function now: processes that have a device of it open, and networks that go through it.
//!
//! What is mounted, swapped to or held by another layer is [`crate::storage`]'s. [`devices`] finds what a
//! function carries, [`processes`] who has it open, [`interfaces`] what networks want of it.

pub mod devices;
pub mod interfaces;
pub mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use vfio_bind_agent::pci::address::Address;

use crate::storage::ask::Ask;
use crate::storage::block::Sysfs;

use devices::{Carried, Device};
use processes::{Opened, Process, begins_with};

/// How many users of a function a text names.
const USERS_TOLD: usize = 4;

/// Who uses which function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// A phrase for each user of a function, such as `Xorg (pid 812) has /dev/dri/card0 open`. A function
    /// that nobody is seen to use is not here.
    pub users: BTreeMap<Address, Vec<String>>,
    /// What could not be looked at, in words.
    pub told: Vec<String>,
}

impl Usage {
    /// The users of a function in one text without line ends; `None` where nobody uses it.
    #[must_use]
    pub fn text(&self, function: Address) -> Option<String> {
        let users = self.users.get(&function)?;
        let named = users.iter().take(USERS_TOLD).cloned();
        let more = users.len().saturating_sub(USERS_TOLD);
        let more = (more > 0).then(|| format!("and {more} more"));
        let text: Vec<_> = named.chain(more).collect();
        Some(text.join("; ").replace(char::is_control, " "))
    }
}

/// Finds who uses these functions of the system at `root`, each for itself: what is behind a bridge is no use
/// of the bridge, and what a virtual function is used for is use of the physical one, which it goes with.
///
/// Whoever opens something afterwards is not seen, nor who holds it without a descriptor or a mapping.
#[must_use]
pub fn of(root: &Path, ask: &dyn Ask, functions: &[Address]) -> Usage {
    // What is there no more is told by whoever needs it.
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let sysfs = Sysfs::of(&root);
    let mut usage = Usage::default();
    let mut carried = BTreeMap::new();
    for function in functions {
        let found = devices::carried(&sysfs, *function);
        if found.cut {
            usage.told.push(format!(
                "{function} has too much below it in sysfs; not all of it was looked at"
            ));
        }
        carried.insert(*function, found);
    }
    networks(&sysfs, ask, &carried, &mut usage);
    opened(&sysfs, &carried, &mut usage);
    usage
}

/// What networks go through the functions.
fn networks(sysfs: &Sysfs, ask: &dyn Ask, carried: &BTreeMap<Address, Carried>, usage: &mut Usage) {
    if carried
        .values()
        .all(|carried| carried.interfaces.is_empty() && carried.hidden.is_empty())
    {
        return;
    }
    let busy = interfaces::Busy::of(sysfs, ask);
    usage.told.extend(busy.told.clone());
    for (function, carried) in carried {
        let users = carried.interfaces.iter().flat_map(|one| {
            let through = one.through;
            busy.users(sysfs, &one.name)
                .into_iter()
                .map(move |user| behind(through, &user))
        });
        let hidden = carried.hidden.iter().map(|through| {
            behind(
                *through,
                "its network interface is in another network namespace",
            )
        });
        let users: Vec<_> = users.chain(hidden).collect();
        if !users.is_empty() {
            usage.users.entry(*function).or_default().extend(users);
        }
    }
}

/// Who has a device of the functions open or mapped.
fn opened(sysfs: &Sysfs, carried: &BTreeMap<Address, Carried>, usage: &mut Usage) {
    let devices: BTreeSet<_> = carried
        .values()
        .flat_map(|c| c.devices.keys().cloned())
        .collect();
    let resources = carried.values().flat_map(|c| c.resources.keys().cloned());
    let found = processes::scan(&sysfs.place("proc"), devices, resources.collect());
    usage.told.extend(found.told());
    for (process, opened) in &found.users {
        for (function, carried) in carried {
            let mut held = opened.iter().filter_map(|one| held(process, one, carried));
            let Some(first) = held.next() else {
                continue;
            };
            let more = match held.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            usage
                .users
                .entry(*function)
                .or_default()
                .push(first + &more);
        }
    }
}

/// How a process uses a function by something that it has open; `None` where that is no use.
fn held(process: &Process, opened: &Opened, carried: &Carried) -> Option<String> {
    let (through, known) = match &opened.device {
        Some(device) => {
            let node = carried.devices.get(device)?;
            if watches(process, node) {
                return None;
            }
            (node.through, node.known_as.as_deref())
        }
        None => {
            let mut places = carried.resources.iter();
            let (_, through) = places.find(|(place, _)| begins_with(&opened.path, place))?;
            (*through, None)
        }
    };
    let known = known.map(|known| format!(" ({known})")).unwrap_or_default();
    let user = format!(
        "{} (pid {}) has {}{known} {}",
        process.name,
        process.id,
        opened.path.display(),
        opened.how
    );
    Some(behind(through, &user))
}

/// Daemons that hold what is there in order to hear of it, and let go of what disappears. What logind holds
/// for a session, a process of that session holds as well.
const WATCHERS: [&str; 8] = [
    "systemd-logind",
    "elogind",
    "elogind-daemon",
    "systemd-udevd",
    "(udev-worker)",
    "udevd",
    "upowerd",
    "acpid",
];

/// Whether it is no use that this process has this open.
fn watches(process: &Process, device: &Device) -> bool {
    let kept_for_logind = || {
        // Its store of descriptors outlives a restart of logind.
        process.id == 1 && ["input", "drm"].contains(&device.subsystem.as_str())
    };
    // Every session's sound server has the mixer of every card open; what plays has a pcm.
    let mixer = device.subsystem == "sound" && device.name.starts_with("controlC");
    mixer || WATCHERS.contains(&process.name.as_str()) || kept_for_logind()
}

/// A use of a function, or of one that goes with it.
fn behind(through: Option<Address>, user: &str) -> String {
    match through {
        Some(function) => format!("its virtual function {function} is in use: {user}"),
        None => user.to_owned(),
    }
}

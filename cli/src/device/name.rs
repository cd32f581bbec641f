//! Names that the kernel or libvirt has for a device: an interface, a disk, a node in `/dev`, a path in `/sys`,
//! `pci_0000_02_00_0`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::policy::grammar;

use crate::storage::block::{self, Base, Sysfs, entries, functions, name};

/// What has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The functions that carry it, by address.
    pub functions: Vec<Address>,
    /// What there is to say of it.
    pub notes: Vec<String>,
}

/// Whether a text is such a name, and not meant for the agent's grammar: names of devices have no colon.
#[must_use]
pub fn is_name(text: &str) -> bool {
    grammar::parse(text.as_bytes()).is_err() && (!text.contains(':') || text.starts_with("/dev/"))
}

/// The selectors that a word stands for: itself, or the addresses of the functions that have it as a name.
///
/// # Errors
/// As those of [`find`].
pub fn selectors(root: &Path, word: &str) -> Result<Vec<String>> {
    let addresses = match spelled_elsewhere(word) {
        Some(address) => vec![address],
        None if is_name(word) => find(root, word)?.functions,
        None => return Ok(vec![word.to_owned()]),
    };
    Ok(addresses.iter().map(ToString::to_string).collect())
}

/// A function as libvirt or a path of sysfs spells it.
#[must_use]
pub fn spelled_elsewhere(text: &str) -> Option<Address> {
    of_libvirt(text).or_else(|| in_sysfs(text))
}

/// `pci_0000_02_00_0`, as `virsh nodedev-list` has it.
fn of_libvirt(text: &str) -> Option<Address> {
    let fields: Vec<_> = text.strip_prefix("pci_")?.split('_').collect();
    let [domain, bus, device, function] = fields[..] else {
        return None;
    };
    Address::parse(format!("{domain}:{bus}:{device}.{function}").as_bytes())
}

/// The last function on a path of sysfs.
fn in_sysfs(text: &str) -> Option<Address> {
    let path = Path::new(text);
    path.starts_with("/sys").then(|| functions(path))?.pop()
}

/// What the kernel has under a name: an interface, a disk, a display, a sound card, a USB device.
///
/// # Errors
/// Where nothing has that name, several things do, or what has it is on no function.
pub fn find(root: &Path, text: &str) -> Result<Named> {
    let real = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let sysfs = Sysfs::of(&real);
    let found = named(&sysfs, text);
    let mut ways: BTreeMap<Vec<Address>, String> = BTreeMap::new();
    for (class, place) in &found {
        let carriers = carriers(&sysfs, class, place);
        ways.entry(carriers).or_insert_with(|| class.clone());
    }
    let on_pci: Vec<_> = ways.iter().filter(|(all, _)| !all.is_empty()).collect();
    match on_pci[..] {
        [] => Err(without_function(&sysfs, text, &found)),
        [(functions, _)] => {
            let notes = found
                .iter()
                .filter_map(|(_, place)| shared(text, &sysfs, place))
                .take(1);
            Ok(Named {
                functions: functions.clone(),
                notes: notes.collect(),
            })
        }
        _ => {
            let all = on_pci.iter().map(|(functions, class)| {
                let functions: Vec<_> = functions.iter().map(ToString::to_string).collect();
                format!("{} ({class}/{text})", functions.join(" and "))
            });
            let all: Vec<_> = all.collect();
            bail!(
                "{text} is the name of several: {}; name one by its address",
                all.join(", ")
            )
        }
    }
}

/// The directories of sysfs of what has a name, each with its class.
fn named(sysfs: &Sysfs, text: &str) -> Vec<(String, PathBuf)> {
    if text.starts_with("/dev/") {
        let node = Path::new(text);
        if let Some(place) = sysfs.by_node(node) {
            return vec![("block".to_owned(), place)];
        }
    }
    // A link, as in /dev/dri/by-path, or the node itself.
    let link = fs::canonicalize(sysfs.place(text))
        .ok()
        .filter(|_| text.starts_with('/'));
    let path = link
        .as_deref()
        .map_or(Path::new(text), |path| sysfs.below(path));
    let (mut class, name) = match text.contains('/') {
        true => (path.parent().map(name), name(path)),
        false => (None, text.to_owned()),
    };
    for (folder, known) in [("dri", "drm"), ("snd", "sound"), ("input", "input")] {
        if class.as_deref() == Some(folder) {
            class = Some(known.to_owned());
        }
    }
    let is_name = !name.is_empty() && !name.starts_with('.');
    let all = entries(&sysfs.place("sys/class"))
        .into_iter()
        .filter(|_| is_name);
    let all = all.chain([sysfs.place("sys/bus/usb/devices")]);
    let mut found = Vec::new();
    for folder in all {
        let of = block::name(&folder);
        let wanted = class
            .as_ref()
            .is_none_or(|class| *class == of || class == "dev");
        if let Ok(place) = fs::canonicalize(folder.join(&name))
            && wanted
            && place.starts_with(sysfs.place("sys"))
        {
            found.push((of, place));
        }
    }
    found
}

/// The functions that carry what a directory of sysfs shows: the last on the way to it, or of a disk with
/// several ways each of them.
fn carriers(sysfs: &Sysfs, class: &str, place: &Path) -> Vec<Address> {
    let places = match sysfs.base(place) {
        Base::Hardware(places) if class == "block" => places,
        _ if class == "block" => Vec::new(),
        _ => vec![place.to_owned()],
    };
    let last = |place: &PathBuf| functions(sysfs.below(place)).pop();
    let mut carriers: Vec<_> = places.iter().filter_map(last).collect();
    carriers.sort();
    carriers.dedup();
    carriers
}

/// What else goes with a device that is one of several behind its function.
fn shared(text: &str, sysfs: &Sysfs, place: &Path) -> Option<String> {
    let place = sysfs.below(place);
    let function = *functions(place).last()?;
    let bus = ["usb", "ata", "host"].into_iter().find(|bus| {
        let mut parts = place
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        parts.any(|part| {
            let number = part.strip_prefix(bus);
            number.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        })
    })?;
    let what = match bus {
        "usb" => "the USB controller",
        _ => "the disk controller",
    };
    Some(format!(
        "{text} is behind {what} {function}, which goes with all that is behind it"
    ))
}

/// That a name leads to no function, and what it may stand on.
fn without_function(sysfs: &Sysfs, text: &str, found: &[(String, PathBuf)]) -> anyhow::Error {
    let Some((_, place)) = found.first() else {
        return anyhow!(
            "{text} is nothing that this machine has: give an address (`lspci -D` shows them), or the \
             name of an interface, a disk, a display or a sound card"
        );
    };
    let below: Vec<_> = match sysfs.base(place) {
        Base::Devices(devices) => devices.iter().map(|device| name(device)).collect(),
        _ => entries(place)
            .iter()
            .filter_map(|entry| Some(name(entry).strip_prefix("lower_")?.to_owned()))
            .collect(),
    };
    if below.is_empty() {
        return anyhow!("{text} is on no PCI function: it cannot be bound to vfio-pci");
    }
    anyhow!(
        "{text} is made of {}: give the devices that are meant",
        below.join(", ")
    )
}

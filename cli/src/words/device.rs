//! Devices as people write them, and the functions that they mean.
//!
//! What the agent's grammar reads, the agent finds. Everything else is a name that the kernel or libvirt has
//! for a device: an interface, a disk, a node in `/dev`, a path in `/sys`, `pci_0000_02_00_0`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::{Address, Slot};
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::policy::grammar;
use vfio_bind_agent::policy::selector::Target;
use vfio_bind_agent::record::State;

use crate::preview::known::{Informed, Known};
use crate::storage::block::{self, Base, Sysfs, entries, functions, name};
use crate::words::rehearsal::Rehearsal;

/// What somebody means by a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// As it was written.
    pub asked: String,
    /// The functions, by address.
    pub functions: Vec<Address>,
    /// Whether it names a whole device, of which what cannot be lent stays where it is.
    pub whole: bool,
    /// What there is to say of it.
    pub notes: Vec<String>,
}

/// Finds out which functions of the system at `root` a device is.
///
/// # Errors
/// Where nothing has that name, or several things do.
pub fn find(root: &Path, tree: &Tree, asked: &str) -> Result<Meant> {
    let text = asked.trim();
    ensure!(
        !text.is_empty(),
        "a device is wanted: an address as 02:00.0, or a name as eth0 or nvme0n1"
    );
    if let Some(address) = of_libvirt(text).or_else(|| in_sysfs(text)) {
        return by_selector(tree, asked, &address.to_string());
    }
    match grammar::parse(text.as_bytes()) {
        Ok(selector) if selector.excludes => {
            bail!("{text}: a device to be taken is wanted; what is to be left alone needs no word")
        }
        Ok(_) => by_selector(tree, asked, text),
        Err(misread) if is_spelled(text) => Err(anyhow!("{text}: {misread}")),
        Err(_) => by_name(root, asked, text),
    }
}

/// Whether a text is meant to be read by the agent's grammar: names of devices have no colon.
fn is_spelled(text: &str) -> bool {
    text.contains(':') && !text.starts_with("/dev/")
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

/// What the agent takes a selector for, on this machine as it is now.
fn by_selector(tree: &Tree, asked: &str, selector: &str) -> Result<Meant> {
    let known = Known::default();
    let informed = Informed {
        tree,
        known: &known,
    };
    let quote = if selector.contains(' ') { "\"" } else { "" };
    let rehearsal = Rehearsal::of(
        &informed,
        format!("vfio.bind={quote}{selector}{quote}").as_bytes(),
    );
    if rehearsal.state == State::NoPci {
        bail!("sys/bus/pci/devices: no PCI functions; is /sys mounted?");
    }
    let mut functions: Vec<_> = rehearsal.named().collect();
    for step in &rehearsal.steps {
        if let Decision::Refuse(refusal @ Refusal::OtherId(..)) = step.decision {
            bail!("{} cannot be bound: {refusal}", step.address);
        }
    }
    if let (true, Some(missing)) = (functions.is_empty(), rehearsal.unmatched.first()) {
        bail!("{}", missing.strip_prefix("vfio.bind=").unwrap_or(missing));
    }
    if let (true, Some(problem)) = (functions.is_empty(), rehearsal.problems.first()) {
        bail!("{problem}");
    }
    ensure!(
        !functions.is_empty(),
        "{selector} is no function now; give it when it is there"
    );
    functions.sort();
    let parsed = grammar::parse(selector.as_bytes());
    let by_id = parsed.is_ok_and(|one| matches!(one.target, Target::Id(_)) && !one.is_virtual());
    let mut devices: Vec<Slot> = functions
        .iter()
        .map(|one| Slot::from(*one).whole())
        .collect();
    devices.dedup();
    if let (true, [_, _, ..]) = (by_id, &devices[..]) {
        let all: Vec<_> = functions.iter().map(ToString::to_string).collect();
        bail!(
            "{selector} is several devices: {}; name those that are meant",
            all.join(", ")
        );
    }
    let whole = functions.len() > 1
        || parsed.is_ok_and(|one| one.slot().is_some_and(|slot| slot.function.is_none()));
    Ok(Meant {
        asked: asked.to_owned(),
        functions,
        whole,
        notes: Vec::new(),
    })
}

/// What the kernel has under a name: an interface, a disk, a display, a sound card, a USB device.
fn by_name(root: &Path, asked: &str, text: &str) -> Result<Meant> {
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
            Ok(Meant {
                asked: asked.to_owned(),
                functions: functions.clone(),
                whole: false,
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

//! What there is to say of a plan beside the plan: what of a device stays, why something is protected,
//! a driver that does not exist, and what cannot be set.

use std::fs;
use std::path::Path;

use crate::preview::known::Known;
use rustix::io::Errno;
use vfio_bind_agent::bind::prepare::{offered, wanted};
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::SHOWN_MOST;
use vfio_bind_agent::machine::sriov::Sriov;
use vfio_bind_agent::machine::sysfs::driver_directory;
use vfio_bind_agent::pci::address::{Address, Slot};
use vfio_bind_agent::plan::decision::{Decision, Why};
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::policy::presence::comes_later;
use vfio_bind_agent::policy::selector::Selector;
use vfio_bind_agent::policy::setting::Setting;
use vfio_bind_agent::record::Record;

/// A sentence for each of them.
#[must_use]
pub fn notes(record: &Record<'_>, tree: &impl Root, root: &Path, known: &Known) -> Vec<String> {
    let mut notes = left_behind(record);
    notes.extend(protections(record, known));
    notes.extend(no_such_driver(record, tree, root));
    notes.extend(unready(record, tree));
    notes.extend(makers(record, tree));
    notes.extend(to_come(record));
    notes
}

/// The functions of a device that is bound in part, where they are in other groups: a graphics card's
/// audio, which its guest would miss.
fn left_behind(record: &Record<'_>) -> Vec<String> {
    let function =
        |step: &vfio_bind_agent::plan::decision::Step| record.inventory.get(step.function);
    let bound: Vec<_> = record.plan.bound().filter_map(function).collect();
    let is_planned = |address: Address| {
        let mut all = record.plan.steps.iter().filter_map(function);
        all.any(|other| other.address == address)
    };
    let device = |address: Address| (address.domain, address.bus, address.device);
    let mut notes = Vec::new();
    for other in record.inventory.functions() {
        let of_a_bound_one = bound
            .iter()
            .any(|f| device(f.address) == device(other.address));
        if !of_a_bound_one || !other.is_endpoint() || is_planned(other.address) {
            continue;
        }
        let group = other
            .group
            .map_or("no group".to_owned(), |group| format!("group {group}"));
        let driver = other.driver.as_deref().unwrap_or("its native driver");
        notes.push(format!(
            "{} ({}) of the same device is in {group} and stays with {driver}; vfio.bind={} takes it as \
             well",
            other.address,
            other.id.kind(),
            other.address
        ));
    }
    notes
}

/// Why what is refused as protected is protected: the words behind `#` in the list.
pub(crate) fn protections(record: &Record<'_>, known: &Known) -> Vec<String> {
    let mut by: Vec<Address> = Vec::new();
    for step in &record.plan.steps {
        if let Decision::Refuse(Refusal::Protected(member) | Refusal::Behind(member)) =
            step.decision
            && !by.contains(&member)
        {
            by.push(member);
        }
    }
    let reason = |address: Address| {
        let (selector, why) = protection(record, known, address)?;
        Some(match why {
            Some(why) => format!("{address} is protected: {why}"),
            None => format!("{address} is protected by {selector}"),
        })
    };
    by.into_iter().filter_map(reason).collect()
}

/// The selector that protects the function at `address`, and the words behind `#` in the list, where it has some.
#[must_use]
pub fn protection(
    record: &Record<'_>,
    known: &Known,
    address: Address,
) -> Option<(String, Option<String>)> {
    let mut all = record.inventory.functions().iter();
    let function = all.find(|f| f.address == address)?;
    let mut protecting = record
        .policy
        .selectors
        .iter()
        .filter(|selector| selector.source.protects() && selector.matches(function));
    let selector = protecting.next()?;
    let text = String::from_utf8_lossy(selector.text);
    let mut lines = known.protected.lines();
    let line = lines.find(|line| line.contains(&*text));
    let why = line.and_then(|line| line.split_once("  # "));
    let why = why.map(|(_, why)| why.trim().to_owned());
    Some((selector.to_string(), why))
}

/// What `vfio.set=` asks for and the kernel does not offer, so that the function would not be bound.
fn unready(record: &Record<'_>, tree: &impl Root) -> Vec<String> {
    let bound = record.plan.bound().map(|step| step.function);
    let bound = bound.filter_map(|index| record.inventory.get(index));
    let mut notes = Vec::new();
    for function in bound {
        for setting in record.policy.settings_of(function) {
            if let Some(offer) = lacks(tree, function.address, setting) {
                notes.push(format!(
                    "{}: {setting} cannot be set, so it would not be bound: {offer}",
                    function.address
                ));
            }
        }
    }
    notes
}

/// What makes virtual functions and would be bound because an ID or a slot means it as well as them: Intel
/// graphics and NVMe disks, whose virtual functions have their ID and their slot.
fn makers(record: &Record<'_>, tree: &impl Root) -> Vec<String> {
    let mut notes = Vec::new();
    for step in record.plan.bound() {
        let (Why::Selected(at), Some(function)) = (step.why, record.inventory.get(step.function))
        else {
            continue;
        };
        let address = function.address;
        let takes = |s: &&Selector<'_>| !s.excludes && !s.is_virtual();
        let mut all = record.policy.selectors.iter().filter(takes);
        let is_named = all.any(|s| s.slot().and_then(Slot::address) == Some(address));
        let selector = record.policy.selectors.get(usize::from(at));
        if let Some(selector) = selector.filter(|_| !is_named)
            && Sriov::read(tree, address).total > 0
        {
            notes.push(format!(
                "{address} makes virtual functions, and none where it is bound, as {selector} asks for; \
                 vf:{address} means them and leaves it where it is"
            ));
        }
    }
    notes
}

/// What `vf:` means and is not made yet.
fn to_come(record: &Record<'_>) -> impl Iterator<Item = String> {
    let there = |selector: &Selector<'_>| {
        let mut all = record.inventory.functions().iter();
        all.any(|function| selector.matches(function))
    };
    let takes =
        |s: &&Selector<'_>| s.is_virtual() && !s.excludes && comes_later(s, record.inventory);
    let selectors = record.policy.selectors.iter().filter(takes);
    selectors
        .filter(move |selector| !there(selector))
        .map(|selector| {
            format!("{selector} is bound when it is made: there is no such function now")
        })
}

/// What there is in place of a setting.
fn lacks(tree: &impl Root, address: Address, setting: Setting<'_>) -> Option<String> {
    let (attribute, value) = wanted(setting);
    let file = attribute.file(address);
    let mut buffer = [0; SHOWN_MOST];
    match (tree.read(&file, &mut buffer), setting) {
        (Err(Errno::NOENT), _) => {
            let name = file.rsplit('/').next().unwrap_or_default();
            Some(format!("it has no {name} under this kernel"))
        }
        // Who may not read it knows nothing.
        (Err(_), _) | (Ok(_), Setting::D3cold(_)) => None,
        (Ok(text), Setting::ResetMethod(_)) => {
            let text = String::from_utf8_lossy(text);
            let offered: Vec<_> = text.split_whitespace().collect();
            let mut methods = value.split(' ');
            let lacking = methods.any(|method| !offered.contains(&method));
            lacking.then(|| format!("its resets are `{}`", text.trim_end()))
        }
        (Ok(_), Setting::Rebar(bar, exponent)) => {
            let sizes = offered(tree, address, bar).ok()?;
            (!sizes.has(exponent)).then(|| format!("its sizes are {sizes}"))
        }
    }
}

/// A `vfio.driver=` that neither is registered nor is a module of the running kernel.
fn no_such_driver(record: &Record<'_>, tree: &impl Root, root: &Path) -> Option<String> {
    let driver = record.policy.driver.as_str();
    if record.policy.auto || tree.exists(&driver_directory(driver)) {
        return None;
    }
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).ok()?;
    let modules = root.join("lib/modules").join(release.trim());
    let mut known = String::new();
    for list in ["modules.dep", "modules.builtin"] {
        // Without the first nobody knows what there is.
        match fs::read_to_string(modules.join(list)) {
            Ok(text) => known.push_str(&text),
            Err(_) if list == "modules.dep" => return None,
            Err(_) => {}
        }
    }
    let wanted = driver.replace('-', "_");
    let name = |line: &str| {
        let path = line.split(':').next()?;
        let file = path.rsplit('/').next()?;
        Some(file.split(".ko").next()?.replace('-', "_"))
    };
    let is_there = known.lines().filter_map(name).any(|name| name == wanted);
    (!is_there).then(|| {
        format!(
            "vfio.driver={driver}: Linux {} has no module of that name, so nothing would be bound",
            release.trim()
        )
    })
}

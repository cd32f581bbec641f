//! From a device as its owner writes it to the words for the kernel command line that mean it and nothing else.
//!
//! [`device`] finds the functions, [`form`] writes selectors for them, [`line`] puts words on a kernel command line, and a
//! [`rehearsal`] through the agent's own library shows what the words take: what is given here is what a boot does.

pub mod device;
pub mod form;
pub mod line;
mod notes;
pub mod rehearsal;
mod shown;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::record::State;

use crate::names::Names;
use crate::preview::known::{self, Informed, Known};
use crate::storage::protected::Scope;
use crate::words::device::Meant;
use crate::words::form::Selector;
use crate::words::rehearsal::{Cause, Rehearsal};

/// Words for devices, and what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Words {
    /// What belongs on the kernel command line.
    pub words: Vec<String>,
    /// The selectors in it.
    pub selectors: Vec<Selector>,
    /// What they take, by address.
    pub takes: Vec<Taken>,
    /// What shares a group with that and stays.
    pub leaves: Vec<Taken>,
    /// What there is to say.
    pub notes: Vec<String>,
}

/// A function of a group that the words take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Where it is.
    #[serde(serialize_with = "shown::one")]
    pub address: Address,
    /// Vendor and device.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is, in a word or two.
    pub kind: &'static str,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// The driver that has it now.
    pub driver: Option<String>,
    /// Whether it was asked for, as opposed to sharing a group with what was.
    pub asked: bool,
}

/// Finds the sturdiest words for devices of the system at `root`, and sees to it that they take exactly these
/// and their IOMMU groups.
///
/// # Errors
/// Where a device is not found or cannot be bound: all of them are told.
pub fn for_devices(root: &Path, devices: &[String]) -> Result<Words> {
    let tree = known::open(root)?;
    let mut errors = Vec::new();
    let mut meant = Vec::new();
    for device in devices {
        match device::find(root, &tree, device) {
            Ok(found) => meant.push(found),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    if !errors.is_empty() {
        bail!("{}", errors.join("\n"));
    }
    if meant.is_empty() {
        bail!("no device is named: give addresses, or names as eth0 or nvme0n1");
    }
    for_meant(root, &tree, &meant)
}

/// The same for functions by address.
///
/// # Errors
/// As those of [`for_devices`].
pub fn for_addresses(root: &Path, addresses: &[Address]) -> Result<Words> {
    let devices: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    for_devices(root, &devices)
}

fn for_meant(root: &Path, tree: &Tree, meant: &[Meant]) -> Result<Words> {
    let known = known::gather_or_less(root, Scope::Boot)?;
    let nothing = Known::default();
    let bare = Informed {
        tree,
        known: &nothing,
    };
    let by_address = |functions: &BTreeSet<Address>| {
        let all: Vec<_> = functions.iter().map(ToString::to_string).collect();
        format!("vfio.bind={}", all.join(","))
    };
    let all: BTreeSet<_> = meant
        .iter()
        .flat_map(|one| &one.functions)
        .copied()
        .collect();
    // What a slot has besides: its bridges, and what belongs to the machine.
    let seen = Rehearsal::of(&bare, by_address(&all).as_bytes());
    let mut notes: Vec<_> = meant.iter().flat_map(|one| one.notes.clone()).collect();
    notes.extend(known.told.iter().cloned());
    let mut wanted = BTreeSet::new();
    for one in meant {
        let lendable = |address: &&Address| {
            let function = seen.function(**address);
            function.is_some_and(|f| f.is_endpoint() && !f.id.is_system())
        };
        let (endpoints, rest): (Vec<_>, Vec<_>) = one.functions.iter().partition(lendable);
        // What is named alone is taken, or the reason told.
        if !one.whole || endpoints.is_empty() {
            wanted.extend(one.functions.iter().copied());
            continue;
        }
        wanted.extend(endpoints.into_iter().copied());
        for address in rest {
            notes.push(format!(
                "{address} of the same device is no part of it that can be lent, and stays"
            ));
        }
    }
    let functions: Vec<_> = wanted
        .iter()
        .filter_map(|one| seen.function(*one))
        .collect();
    let selectors = form::selectors(root, tree, &functions);
    let text: Vec<_> = selectors
        .iter()
        .map(|selector| selector.text.as_str())
        .collect();
    let words = format!("vfio.bind={}", text.join(","));
    let alone = Known {
        policy: None,
        ..known.clone()
    };
    let rehearsal = Rehearsal::of(
        &Informed {
            tree,
            known: &alone,
        },
        words.as_bytes(),
    );
    refused(root, &rehearsal, &wanted)?;
    exact(&rehearsal, &wanted, &words)?;
    let informed = Informed {
        tree,
        known: &known,
    };
    notes.extend(beside_the_rest(root, &informed, &words, &wanted)?);
    notes.extend(notes::refused_by_vfio(root, &rehearsal));
    notes.extend(notes::no_group_yet(&rehearsal));
    notes.extend(notes::staying(&rehearsal));
    notes.extend(notes::left_behind(&rehearsal, &wanted));
    notes.extend(notes::uncertain_ids(tree, &wanted));
    let names = Names::of(root);
    let taken = |function: &Function, asked| Taken {
        address: function.address,
        id: format!("{:04x}:{:04x}", function.id.vendor, function.id.device),
        name: names.name(&function.id),
        kind: function.id.kind(),
        group: function.group,
        driver: function.driver.as_ref().map(ToString::to_string),
        asked,
    };
    let of = |address: Address| {
        let function = rehearsal.function(address)?;
        Some(taken(function, wanted.contains(&address)))
    };
    let stays = rehearsal
        .steps
        .iter()
        .filter(|step| matches!(step.decision, Decision::Leave(_)));
    Ok(Words {
        takes: taken_by(&rehearsal).filter_map(of).collect(),
        leaves: stays.filter_map(|step| of(step.address)).collect(),
        words: vec![words],
        selectors,
        notes,
    })
}

/// What a rehearsal would bind at boot: what has its group by then as well.
fn taken_by(rehearsal: &Rehearsal) -> impl Iterator<Item = Address> {
    let steps = rehearsal.steps.iter().filter(|step| {
        matches!(
            step.decision,
            Decision::Bind | Decision::Refuse(Refusal::NoGroupYet)
        )
    });
    steps.map(|step| step.address)
}

/// # Errors
/// Why functions that are wanted would not be bound.
fn refused(root: &Path, rehearsal: &Rehearsal, wanted: &BTreeSet<Address>) -> Result<()> {
    let mut errors = Vec::new();
    for address in wanted {
        let Some(Decision::Refuse(refusal)) = rehearsal.step(*address).map(|step| step.decision)
        else {
            continue;
        };
        let names = Names::of(root);
        let next = match refusal {
            Refusal::NoGroupYet => continue,
            Refusal::NoIommu => rehearsal.advice.clone().map(|advice| format!("; {advice}")),
            Refusal::Bridge => behind(rehearsal, &names, *address),
            Refusal::Protected(_) | Refusal::Behind(_) => {
                let why = rehearsal.protections.iter().map(|why| format!("; {why}"));
                Some(why.collect())
            }
            _ => None,
        };
        errors.push(format!(
            "{address} cannot be bound: {refusal}{}",
            next.unwrap_or_default()
        ));
    }
    if errors.is_empty() {
        return Ok(());
    }
    bail!("{}", errors.join("\n"))
}

/// How many functions behind a bridge are named.
const BEHIND_TOLD: usize = 6;

fn behind(rehearsal: &Rehearsal, names: &Names, bridge: Address) -> Option<String> {
    let bridge = rehearsal.function(bridge)?;
    let all: Vec<_> = rehearsal
        .functions
        .iter()
        .filter(|f| f.is_endpoint() && bridge.leads_to(f.address))
        .map(|f| format!("{} ({})", f.address, names.name(&f.id)))
        .collect();
    if all.is_empty() {
        return Some(": there is nothing".to_owned());
    }
    let more = all.len().saturating_sub(BEHIND_TOLD);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let told = all.get(..BEHIND_TOLD).unwrap_or(&all);
    Some(format!(": {}{more}", told.join(", ")))
}

/// # Errors
/// Where words take more or less than what is wanted and shares its group.
fn exact(rehearsal: &Rehearsal, wanted: &BTreeSet<Address>, words: &str) -> Result<()> {
    let named: BTreeSet<_> = rehearsal.named().collect();
    let group = |address| {
        rehearsal
            .function(address)
            .and_then(|function| function.group)
    };
    let groups: BTreeSet<_> = wanted.iter().filter_map(|one| group(*one)).collect();
    // What modprobe.d lists is taken whatever the words are, with its group.
    let listed = |cause: Cause| match cause {
        Cause::Listed => true,
        Cause::Named => false,
        Cause::Sibling(of) => rehearsal
            .step(of)
            .is_some_and(|step| step.cause == Cause::Listed),
    };
    let beyond = |address| group(address).is_none_or(|group| !groups.contains(&group));
    let more = rehearsal.bound().find(|step| match step.cause {
        Cause::Named => !wanted.contains(&step.address),
        cause => beyond(step.address) && !listed(cause),
    });
    let taken: BTreeSet<_> = taken_by(rehearsal).collect();
    let less = wanted
        .iter()
        .find(|one| !named.contains(one) || !taken.contains(one));
    match (more, less) {
        (None, None) => Ok(()),
        (Some(step), _) => bail!(
            "{words} would take {} as well, and no words are given for that: say it with \
             `vfio-bind plan '{words}'`",
            step.address
        ),
        (None, Some(one)) => {
            bail!("{words} would not take {one}; `vfio-bind plan '{words}'` says why")
        }
    }
}

/// What the rest of the running command line and the policy make of the words.
///
/// # Errors
/// Where they keep something from being bound.
fn beside_the_rest(
    root: &Path,
    informed: &Informed<'_>,
    words: &str,
    wanted: &BTreeSet<Address>,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    // A captured tree may be without one.
    let line = known::command_line(root).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    let before = Rehearsal::of(informed, line.as_bytes());
    if before.state == State::Off {
        notes.push("vfio.bind=off is on the running command line: as long as it is there, nothing is bound".to_owned());
        return Ok(notes);
    }
    let bound: BTreeSet<_> = before.bound().map(|step| step.address).collect();
    let already: Vec<_> = wanted
        .intersection(&bound)
        .map(ToString::to_string)
        .collect();
    if !already.is_empty() {
        let are = if already.len() == 1 { "is" } else { "are" };
        notes.push(format!(
            "{} {are} asked for already, by the running command line, the policy or modprobe.d",
            already.join(", ")
        ));
    }
    let line = line::with(&line, &[words.to_owned()]);
    let after = Rehearsal::of(informed, line.as_bytes());
    for address in wanted {
        let why = match after.step(*address).map(|step| step.decision) {
            Some(Decision::Refuse(Refusal::NoGroupYet) | Decision::Bind) => continue,
            Some(Decision::Refuse(refusal)) => refusal.to_string(),
            _ => "they exclude it".to_owned(),
        };
        bail!(
            "{address} cannot be bound beside what the running command line and the policy say: {why}"
        );
    }
    Ok(notes)
}

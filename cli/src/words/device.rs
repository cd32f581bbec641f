//! Devices as people write them, and the functions that they mean.
//!
//! What the agent's grammar reads, the agent finds; names are [`crate::device::name`]'s.

use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::{Address, Slot};
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::policy::grammar;
use vfio_bind_agent::policy::selector::Target;
use vfio_bind_agent::record::State;

use crate::device::name::{self, Named, is_name, spelled_elsewhere};
use crate::preview::known::{Informed, Known};
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
    if let Some(address) = spelled_elsewhere(text) {
        return by_selector(tree, asked, &address.to_string());
    }
    match grammar::parse(text.as_bytes()) {
        Ok(selector) if selector.excludes => {
            bail!("{text}: a device to be taken is wanted; what is to be left alone needs no word")
        }
        Ok(_) => by_selector(tree, asked, text),
        Err(misread) if !is_name(text) => Err(anyhow!("{text}: {misread}")),
        Err(_) => {
            let Named { functions, notes } = name::find(root, text)?;
            Ok(Meant {
                asked: asked.to_owned(),
                functions,
                whole: false,
                notes,
            })
        }
    }
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

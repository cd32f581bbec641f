//! What other managers hold for vfio-pci on this system, and the words that say the same here.
//!
//! Nothing of theirs is changed. Each file is read as the program reads it that it belongs to: [`modprobe`]
//! (kmod, the kernel and initramfs-tools), [`driverctl`], [`unraid`], [`proxmox`].

pub mod driverctl;
pub mod line;
pub mod modprobe;
pub mod proxmox;
pub mod unraid;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::policy::kernel_ids;

pub use line::{Line, Manager, Takes};

use crate::preview::known::{self, Informed, Known};
use crate::words::rehearsal::Rehearsal;
use crate::words::{self, Words};

/// A line, and the words for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Whose it is.
    pub manager: Manager,
    /// The file.
    pub file: String,
    /// The line in it, from 1 on.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// The words that say the same; none where it takes nothing.
    pub words: Vec<String>,
    /// Why there are none.
    pub problem: Option<String>,
    /// What to do by hand once the words are set, and why.
    pub by_hand: String,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imports {
    /// The words for all of it.
    pub words: Option<Words>,
    /// Each line.
    pub found: Vec<Found>,
}

/// Reads what other managers hold on the system at `root`.
///
/// # Errors
/// Where `root` is no directory, or a file is there and cannot be read.
pub fn find(root: &Path) -> Result<Imports> {
    let mut lines = modprobe::lines(root)?;
    lines.extend(driverctl::lines(root)?);
    lines.extend(unraid::lines(root)?);
    lines.extend(proxmox::lines(root)?);
    let tree = known::open(root)?;
    let nothing = Known::default();
    let informed = Informed {
        tree: &tree,
        known: &nothing,
    };
    // That of a word which takes nothing shows what there is.
    let functions = Rehearsal::of(&informed, b"vfio.bind=class:ff").functions;
    let mut all: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for line in lines {
        let (devices, mut problem) = match devices(&line.takes, &functions) {
            Ok(devices) => (devices, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut own = Vec::new();
        if !devices.is_empty() {
            match words::for_devices(root, &devices) {
                Ok(words) => {
                    own = words.words;
                    all.extend(
                        devices
                            .into_iter()
                            .filter(|one| !all.contains(one))
                            .collect::<Vec<_>>(),
                    );
                }
                Err(error) => problem = Some(format!("{error:#}")),
            }
        }
        found.push(Found {
            manager: line.manager,
            file: line.file,
            line: line.line,
            text: line.text,
            words: own,
            problem,
            by_hand: line.by_hand,
        });
    }
    let words = match &all[..] {
        [] => None,
        all => Some(words::for_devices(root, all)?),
    };
    Ok(Imports { words, found })
}

/// The devices that a line takes on this machine.
///
/// # Errors
/// Why none.
fn devices(takes: &Takes, functions: &[Function]) -> Result<Vec<String>, String> {
    match takes {
        Takes::Nothing => Ok(Vec::new()),
        Takes::Unclear(why) => Err(why.clone()),
        Takes::Place(place, None) => Ok(vec![place.clone()]),
        Takes::Place(place, Some(id)) => Ok(vec![format!("{place}@{}", id.to_lowercase())]),
        Takes::Ids(list) => {
            let patterns: Vec<_> = kernel_ids::items(list.as_bytes())
                .filter_map(|item| item.pattern)
                .collect();
            let takes = |one: &&Function| patterns.iter().any(|pattern| pattern.matches(&one.id));
            let taken: Vec<_> = functions.iter().filter(takes).collect();
            // vfio-pci takes no bridge (vfio_pci_probe).
            let endpoints = taken.into_iter().filter(|one| one.is_endpoint());
            let all: Vec<_> = endpoints
                .map(|one: &Function| -> Address { one.address })
                .collect();
            if all.is_empty() {
                return Err(format!(
                    "no function of this machine has one of these IDs: {list}"
                ));
            }
            Ok(all.iter().map(ToString::to_string).collect())
        }
    }
}

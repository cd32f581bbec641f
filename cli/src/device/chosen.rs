//! The functions that the words DEVICE... of a command mean: any selector of the policy, read by the agent's own
//! grammar, or a name.

use std::path::Path;

use super::{is_lent, name};
use crate::inventory;
use anyhow::{Result, anyhow};
use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::policy::problem::Severity;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::record::{Record, State};
use vfio_bind_agent::run::{self, Extent};

/// A function of the machine, as the kernel shows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it sits.
    pub address: Address,
    /// What it is.
    pub id: DeviceId,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// Whether it is a bridge, which cannot be lent.
    pub bridge: bool,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Whether it was meant.
    pub chosen: bool,
}

impl Found {
    /// Whether a driver of VFIO's has it.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        is_lent(self.driver.as_deref())
    }
}

/// What the words of a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All functions of the machine, by their addresses; those that were meant say so.
    Made(Vec<Found>),
    /// Nothing is to be done: what is wrong with the words.
    Wrong(Vec<String>),
}

/// Finds out what `words` mean on the machine at `root`, opened as `tree`.
///
/// # Errors
/// Where the machine has no PCI functions that could be read.
pub fn choose(root: &Path, tree: &Tree, words: &[String]) -> Result<Choice> {
    let mut wrong: Vec<String> = words.iter().filter_map(|word| misuse(word)).collect();
    if !wrong.is_empty() {
        return Ok(Choice::Wrong(wrong));
    }
    if words.is_empty() {
        return Ok(Choice::Made(all(root, tree)?));
    }
    let mut selectors = Vec::new();
    for word in words {
        match name::selectors(root, word) {
            Ok(all) => selectors.extend(all),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    if !wrong.is_empty() {
        return Ok(Choice::Wrong(wrong));
    }
    let line = line(&selectors);
    let mut found = Vec::new();
    let mut none = false;
    run::rehearse(
        &Sysfs(tree),
        line.as_bytes(),
        Extent::Whole,
        &mut |record| {
            none = record.state == State::NoPci;
            let problems = record.policy.problems.iter();
            let errors = problems.filter(|problem| problem.severity() == Severity::Error);
            wrong.extend(errors.map(ToString::to_string));
            let unmatched = unmatched(record.policy, record.inventory, record.plan);
            wrong.extend(unmatched.map(|one| one.to_string()));
            wrong.extend(disappointed(record));
            let functions = record.inventory.functions().iter();
            found.extend(functions.map(|function| {
                let mut all = record.policy.selectors.iter();
                let chosen = all.any(|one| one.matches(function));
                as_found(function, chosen)
            }));
            record.exit()
        },
    );
    if none {
        return Err(nothing(root));
    }
    if !wrong.is_empty() {
        return Ok(Choice::Wrong(wrong));
    }
    Ok(Choice::Made(found))
}

/// All functions of the machine, none of them meant.
fn all(root: &Path, tree: &Tree) -> Result<Vec<Found>> {
    let functions = inventory::functions(tree).unwrap_or_default();
    if functions.is_empty() {
        return Err(nothing(root));
    }
    let functions = functions.iter();
    Ok(functions
        .map(|function| as_found(function, false))
        .collect())
}

fn nothing(root: &Path) -> anyhow::Error {
    let place = root.join("sys/bus/pci/devices");
    anyhow!(
        "{}: no PCI function is shown there; is sysfs mounted?",
        place.display()
    )
}

/// What sits where a word names something else by its `@ID`.
fn disappointed(record: &Record<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for selector in &record.policy.selectors {
        let functions = record.inventory.functions().iter();
        for other in functions.filter(|one| selector.is_disappointed(one)) {
            told.push(format!("{selector}: {} is {}", other.address, other.id));
        }
    }
    told
}

/// The words as a kernel command line of their own.
#[must_use]
pub fn line(words: &[String]) -> String {
    let parameters = words.iter().map(|word| format!("\"vfio.bind={word}\""));
    // A bound function in a group may not change what a word means.
    let all = parameters.chain(["vfio.group=listed".to_owned()]);
    all.collect::<Vec<_>>().join(" ")
}

/// What no selector of a DEVICE may be.
fn misuse(word: &str) -> Option<String> {
    if word.starts_with('!') || word.contains(",!") {
        return Some(format!("{word}: name what is meant; `!` is for policies"));
    }
    if word.contains(|letter: char| letter == '"' || letter.is_control()) || word.is_empty() {
        return Some(format!(
            "`{}` is no device; one is 0000:42:00.0, 10de:2204, slot:4 or another selector of vfio-bind-agent(8)",
            word.escape_default()
        ));
    }
    (word == "off").then(|| "off: name the devices that are meant".to_owned())
}

fn as_found(function: &Function, chosen: bool) -> Found {
    Found {
        address: function.address,
        id: function.id,
        group: function.group,
        bridge: function.bridge,
        driver: function.driver.as_deref().map(ToOwned::to_owned),
        chosen,
    }
}

/// A machine without a policy: only what sysfs shows.
struct Sysfs<'t>(&'t Tree);

impl Sysfs<'_> {
    fn shows(path: &str) -> Result<(), Errno> {
        path.starts_with("sys/").then_some(()).ok_or(Errno::NOENT)
    }
}

impl Root for Sysfs<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        Self::shows(path)?;
        self.0.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Self::shows(path)?;
        self.0.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        Self::shows(path).is_ok() && self.0.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        Self::shows(path)?;
        self.0.list(path, each)
    }
}

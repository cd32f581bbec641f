//! IOMMU groups, and whether each can be lent.

use std::collections::BTreeMap;

use serde::Serialize;
use vfio_bind_agent::machine::sysfs::is_harmless;
use vfio_bind_agent::pci::address::Address;

use super::behind::Detail;
use super::function::Function;
use super::spelled;
use crate::preview::mapping::{DIRECT, of_kind};
use crate::storage::block::Sysfs;

/// What the kernel gives to a virtual machine as a whole, or not at all.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its number; none for what has no group.
    pub number: Option<u32>,
    /// The kind of its domain, as the kernel has it: `DMA`, `DMA-FQ`, `identity`, ...
    pub kind: Option<String>,
    /// Its members, bridges included, by address.
    #[serde(serialize_with = "spelled::all")]
    pub members: Vec<Address>,
    /// Whether it can be lent.
    pub verdict: Verdict,
    /// Whether the firmware wants a 1:1 mapping of memory for it, which VFIO refuses.
    pub mapped_one_to_one: bool,
}

/// Whether a group can be lent to a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In a word.
    pub lending: Lending,
    /// Why not, or what for the host it is in use; one phrase.
    pub why: Option<String>,
    /// The same without what tells who owns the machine.
    #[serde(skip)]
    pub plainly: Option<String>,
}

/// That in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lending {
    /// A driver of VFIO's has it.
    Lent,
    /// It can be lent.
    Can,
    /// It can be lent, and the host would miss it.
    InUse,
    /// That is known only at boot.
    Unknown,
    /// It cannot be lent.
    Cannot,
    /// All of it belongs to the machine itself: nobody would lend it.
    Machine,
}

impl Verdict {
    /// One for a reason that has nothing personal in it.
    #[must_use]
    pub fn new(lending: Lending, why: Option<String>) -> Self {
        Self {
            lending,
            plainly: why.clone(),
            why,
        }
    }

    /// It as words.
    #[must_use]
    pub fn told(&self, detail: Detail) -> String {
        let words = self.lending.words();
        match self.reason(detail) {
            Some(why) => format!("{words}: {why}"),
            None => words.to_owned(),
        }
    }

    /// Why it is so.
    #[must_use]
    pub fn reason(&self, detail: Detail) -> Option<&str> {
        match detail {
            Detail::All => self.why.as_deref(),
            Detail::Impersonal => self.plainly.as_deref(),
        }
    }
}

impl Lending {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Lent => "bound to VFIO",
            Self::Can => "can be lent",
            Self::InUse => "can be lent, but is in use",
            Self::Unknown => "not known before the boot",
            Self::Cannot => "cannot be lent",
            Self::Machine => "belongs to the machine",
        }
    }
}

/// Why the agent would not bind a function, by its address.
pub type Refusals = BTreeMap<Address, Verdict>;

/// The groups of these functions. A refusal of one of a group's functions is one of the group.
#[must_use]
pub fn groups(sysfs: &Sysfs, functions: &[Function], refusals: &Refusals) -> Vec<Group> {
    let mut members: BTreeMap<Option<u32>, Vec<&Function>> = BTreeMap::new();
    for function in functions {
        members.entry(function.group).or_default().push(function);
    }
    let mut groups: Vec<_> = members
        .into_iter()
        .map(|(number, members)| group(sysfs, number, &members, refusals))
        .collect();
    // What has none comes last.
    groups.sort_by_key(|group| (group.number.is_none(), group.number));
    groups
}

fn group(sysfs: &Sysfs, number: Option<u32>, members: &[&Function], refusals: &Refusals) -> Group {
    let attribute = |name| {
        let number = number?;
        sysfs.text(format!("sys/kernel/iommu_groups/{number}/{name}"))
    };
    let regions = attribute("reserved_regions").unwrap_or_default();
    let mapped_one_to_one = of_kind(&regions, DIRECT).next().is_some();
    Group {
        number,
        kind: attribute("type"),
        members: members.iter().map(|member| member.address).collect(),
        verdict: verdict(members, refusals, mapped_one_to_one),
        mapped_one_to_one,
    }
}

fn verdict(members: &[&Function], refusals: &Refusals, mapped: bool) -> Verdict {
    if members.iter().any(|member| member.is_lent()) {
        let mut kept = members.iter().filter_map(|member| keeps(member));
        return Verdict::new(Lending::Lent, kept.next());
    }
    if members.iter().all(|member| member.of_the_machine) {
        return Verdict::new(Lending::Machine, None);
    }
    let mut refused = members
        .iter()
        .filter_map(|member| refusals.get(&member.address));
    // What is certain comes before what is not known yet.
    let first = refused.clone().find(|one| one.lending == Lending::Cannot);
    if let Some(refusal) = first.or_else(|| refused.next()) {
        return refusal.clone();
    }
    if mapped {
        let why = "its firmware wants memory mapped 1:1, and VFIO refuses that";
        return Verdict::new(Lending::Cannot, Some(why.to_owned()));
    }
    let uses = |detail| {
        let uses = members.iter().filter_map(|member| use_of(member, detail));
        let uses: Vec<_> = uses.collect();
        (!uses.is_empty()).then(|| uses.join("; "))
    };
    let why = uses(Detail::All);
    Verdict {
        lending: match why {
            Some(_) => Lending::InUse,
            None => Lending::Can,
        },
        plainly: uses(Detail::Impersonal),
        why,
    }
}

/// What a driver of the host has of a group that VFIO is to lend: the kernel gives no such group to a guest
/// (`iommu_group_claim_dma_owner` in drivers/iommu/iommu.c).
fn keeps(function: &Function) -> Option<String> {
    let driver = function.driver.as_deref();
    let driver = driver.filter(|driver| !is_harmless(driver))?;
    let address = function.address;
    Some(format!(
        "no guest can have it while {address} of it has the driver {driver}"
    ))
}

/// What the host would miss of a function.
fn use_of(function: &Function, detail: Detail) -> Option<String> {
    let mut uses = function.behind.uses(detail);
    if function.boot_display {
        uses.insert(0, "the machine boots on this display".to_owned());
    }
    if function.virtual_functions.is_some_and(|own| own.made > 0) {
        uses.push("its virtual functions go with it".to_owned());
    }
    (!uses.is_empty()).then(|| uses.join(", "))
}

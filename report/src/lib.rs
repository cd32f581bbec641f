//! The record of a run of vfio-bind, `/run/vfio-bind/report.json`, for other programs.
//!
//! `docs/report.schema.json` says the same in JSON Schema. Fields that this version does not know are
//! passed over, so that the record can grow; [`SCHEMA`] grows when one changes its meaning.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the schema that this crate reads.
pub const SCHEMA: u32 = 1;

/// The whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The agent's version.
    #[serde(default)]
    pub agent: String,
    /// The kernel's release.
    pub kernel: String,
    /// `applied`, `off`, `crash-kernel`, `dry-run`, `no-iommu`, `no-pci`, `nothing-asked` or `released`.
    pub state: String,
    /// What the kernel says of IOMMUs.
    pub iommu: Iommu,
    /// What was asked for, as understood.
    pub policy: Policy,
    /// Every function that was selected or shares a group with one that was.
    #[serde(default)]
    pub functions: Vec<Function>,
    /// The groups in which a function is bound.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// `ADDRESS ASKED THERE OUTCOME` of what `vfio.sriov=` makes virtual functions of: how many are asked for, how
    /// many there are, and waits, already, made, again or failed.
    #[serde(default)]
    pub virtual_functions: Vec<String>,
    /// `ADDRESS DRIVER FATE` of what a vfio driver took although nobody asked for it.
    #[serde(default)]
    pub unasked: Vec<String>,
    /// `ADDRESS DRIVER` of what went back because the root file system did not appear, or was given back by
    /// `vfio-bind release`; `-` stands for no driver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_back: Vec<String>,
    /// How many functions the bus has; none where nobody had to list them.
    #[serde(default)]
    pub functions_seen: Option<usize>,
    /// Functions for which there was no room.
    #[serde(default)]
    pub functions_beyond_limit: usize,
    /// Functions that could not be read.
    #[serde(default)]
    pub functions_unreadable: usize,
    /// Groups that VFIO was not asked about.
    #[serde(default)]
    pub groups_beyond_limit: usize,
    /// Blockers of groups that are not listed.
    #[serde(default)]
    pub blockers_beyond_limit: usize,
    /// Everything that was said, in order.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Messages for which there was no room.
    #[serde(default)]
    pub messages_beyond_limit: usize,
    /// The exit status that went with it.
    pub exit: i32,
    /// From start to the writing of the record, in microseconds.
    pub elapsed_us: u64,
}

/// The IOMMU that the kernel uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iommu {
    /// `intel`, `amd`, `smmuv3`, `smmu`, `virtio`, `s390`, `other` or `none`.
    pub kind: String,
    /// How many groups there are.
    #[serde(default)]
    pub groups: u32,
    /// What would turn one on, where there is none.
    #[serde(default)]
    pub advice: Option<String>,
}

/// What was asked for, as understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `vfio.driver=`.
    #[serde(default)]
    pub driver: String,
    /// `vfio.group=`.
    #[serde(default)]
    pub group: String,
    /// `vfio.onfail=`.
    #[serde(default)]
    pub onfail: String,
    /// `vfio.dry_run`.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether all that the system boots from is known.
    #[serde(default)]
    pub listed: bool,
    /// In the order in which they were written.
    #[serde(default)]
    pub selectors: Vec<Selector>,
    /// What has no effect.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What has one that may not be meant.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Errors and warnings for which there was no room.
    #[serde(default)]
    pub problems_beyond_limit: usize,
}

/// One selector and what it matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// As written.
    #[serde(default)]
    pub text: String,
    /// The parameter or the file that it came from.
    pub source: String,
    /// Whether it says what is to be left alone.
    #[serde(default)]
    pub excludes: bool,
    /// Addresses.
    #[serde(default)]
    pub matches: Vec<String>,
    /// The address of what may have been meant, where it matches nothing.
    #[serde(default)]
    pub nearest: Option<String>,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// `0000:42:00.0`.
    pub address: String,
    /// The way through the bridges above it, as the kernel's parameters spell it.
    #[serde(default)]
    pub path: Option<String>,
    /// Four hexadecimal digits, as the following three.
    pub vendor: String,
    /// Of the device itself.
    pub device: String,
    /// The subsystem's.
    pub subvendor: String,
    /// The subsystem's.
    pub subdevice: String,
    /// Six digits.
    pub class: String,
    /// The IOMMU group, where there is one.
    pub group: Option<u32>,
    /// `selected`, or `sibling` of one that is.
    #[serde(default)]
    pub role: String,
    /// Why it is in the record.
    #[serde(default)]
    pub why: String,
    /// The driver when the agent started.
    pub driver_before: Option<String>,
    /// The driver when it ended.
    pub driver_now: Option<String>,
    /// What became of it.
    pub outcome: Fate,
    /// More about that.
    #[serde(default)]
    pub reason: String,
    /// What `vfio.set=` made of it.
    #[serde(default)]
    pub set: Vec<Set>,
}

/// An attribute that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// `reset_method`, `d3cold_allowed` or `rebar.N`.
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub now: String,
}

/// One IOMMU group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its number.
    pub group: u32,
    /// What VFIO says of it; none where there is no answer.
    pub viable: Option<bool>,
    /// What the kernel answered in place of that.
    #[serde(default)]
    pub unanswered: Option<String>,
    /// A member that appeared while the others were bound, and is not.
    #[serde(default)]
    pub late: Option<String>,
    /// A member that could not be read or lies beyond the limit, and is not bound.
    #[serde(default)]
    pub unseen: Option<String>,
    /// `ADDRESS DRIVER` of what makes it not viable.
    #[serde(default)]
    pub blockers: Vec<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `error`, `warning` or `info`.
    pub level: String,
    /// The function, the group (`group 15`), the file or the word that it is about; none where it is the
    /// run.
    #[serde(default)]
    pub about: Option<String>,
    /// As it stands in the kernel log.
    pub text: String,
}

/// What became of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It went to VFIO in this run.
    Bound,
    /// It was on VFIO before.
    Already,
    /// The policy forbids it; nothing was written.
    Refused,
    /// It was tried, and did not work.
    Failed,
    /// It has no driver, on purpose.
    Held,
    /// It was tried, did not work, and its native driver has it back.
    Returned,
    /// A system function that keeps its driver beside a selected one.
    Left,
    /// What a real run would bind.
    Planned,
}

impl Fate {
    /// Whether the function is VFIO's when the agent ends.
    #[must_use]
    pub fn is_vfio(self) -> bool {
        matches!(self, Self::Bound | Self::Already)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "bound",
            Self::Already => "already",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Returned => "returned",
            Self::Left => "left",
            Self::Planned => "planned",
        })
    }
}

impl Report {
    /// Reads a record.
    ///
    /// # Errors
    /// Where it is not JSON or lacks what this version of the schema promises.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The function at `address`.
    #[must_use]
    pub fn function(&self, address: &str) -> Option<&Function> {
        self.functions
            .iter()
            .find(|function| function.address == address)
    }

    /// All functions that selectors of the parameter `source` matched, sorted, each once.
    #[must_use]
    pub fn matches(&self, source: &str) -> Vec<String> {
        let selectors = self.policy.selectors.iter().filter(|s| s.source == source);
        let mut found: Vec<_> = selectors.flat_map(|s| s.matches.iter().cloned()).collect();
        found.sort();
        found.dedup();
        found
    }
}

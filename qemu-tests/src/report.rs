//! The agent's record, `/run/vfio-bind/report.json`, as far as the tests look into it.
//!
//! Fields that the tests do not use are not listed, and unknown ones are passed over, so that the
//! record can grow without breaking an older test.

use std::fmt;

use serde::Deserialize;

/// The whole record.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Grows when a field changes its meaning.
    pub schema: u32,
    /// The kernel's release.
    pub kernel: String,
    /// `applied`, `off`, `dry-run`, `no-iommu` or `nothing-asked`.
    pub state: String,
    /// What the kernel says of IOMMUs.
    pub iommu: Iommu,
    /// The command line as understood.
    pub policy: Policy,
    /// Every function that was selected or shares a group with one that was.
    #[serde(default)]
    pub functions: Vec<Function>,
    /// The groups of those functions.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// `ADDRESS DRIVER` of what went back because the root file system did not appear.
    #[serde(default)]
    pub given_back: Vec<String>,
    /// The exit status that went with it.
    pub exit: i32,
    /// From start to the writing of the record, in microseconds.
    pub elapsed_us: u64,
}

/// The IOMMU that the agent found.
#[derive(Clone, Debug, Deserialize)]
pub struct Iommu {
    /// `intel`, `amd`, ..., or `none`.
    pub kind: String,
}

/// The policy as understood.
#[derive(Clone, Debug, Deserialize)]
pub struct Policy {
    /// In the order of the command line.
    #[serde(default)]
    pub selectors: Vec<Selector>,
    /// What could not be understood.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What was understood but is likely not what was meant.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One selector and what it matched.
#[derive(Clone, Debug, Deserialize)]
pub struct Selector {
    /// The parameter that it came from.
    pub source: String,
    /// Addresses.
    #[serde(default)]
    pub matches: Vec<String>,
}

/// One function.
#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    /// `0000:42:00.0`.
    pub address: String,
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
}

/// One IOMMU group.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Its number.
    pub group: u32,
    /// What VFIO says of it; none where it was not asked.
    pub viable: Option<bool>,
    /// `ADDRESS DRIVER` of what makes it not viable.
    #[serde(default)]
    pub blockers: Vec<String>,
}

/// What became of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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

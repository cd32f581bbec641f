//! What an export gives, and what it was asked for.

use clap::ValueEnum;

/// A text for a target, and what to know beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// What the target reads, with its last line end.
    pub text: String,
    /// What its reader should know, a sentence each.
    pub notes: Vec<String>,
}

impl Exported {
    /// A text that says it all.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self {
            text,
            notes: Vec::new(),
        }
    }
}

/// What was asked for beside the functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether libvirt binds and gives back by itself.
    pub managed: bool,
    /// The version of libvirt, where it is known.
    pub libvirt: Option<Version>,
    /// By /dev/iommu instead of VFIO's groups.
    pub iommufd: bool,
    /// Requests for a running guest in place of arguments.
    pub monitor: Option<Monitor>,
    /// The free root ports of a running guest.
    pub ports: Vec<String>,
    /// The guest: a number for Proxmox VE, a name for Incus.
    pub vm: Option<String>,
    /// What a cluster calls the resource.
    pub resource: Option<String>,
}

/// What a running guest is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Monitor {
    /// To take the functions.
    Add,
    /// To let go of them.
    Del,
}

/// A version, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl std::str::FromStr for Version {
    type Err = String;

    /// Reads `10.0` or `10.0.0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), None) => Ok(Self { major, minor: 0 }),
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => Err("a version is wanted, such as 10.0".to_owned()),
        }
    }
}

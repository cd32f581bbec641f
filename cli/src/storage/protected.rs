//! The functions that the running system needs to boot, in the words of the policy file.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, way};
use vfio_bind_agent::pci::address::Address;

use super::ask::Ask;
use super::block::Sysfs;
use super::needed::{self, Want};
use super::walk::{Ends, Map, Walk};
use super::{in_use, mounts};

/// How many disks a comment names: a pool may have hundreds behind one controller.
const DISKS_TOLD: usize = 4;

/// What is to be protected, and what could not be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// `vfio.protect=PATH@VENDOR:DEVICE  # why`, a line for each function, by address.
    pub lines: Vec<String>,
    /// `USER: why`, a line for each thing that is not protected because its functions are not known.
    pub unresolved: Vec<String>,
}

/// How many open questions a list carries: the agent has room for 64 problems of a whole policy.
const OPEN_TOLD: usize = 8;

impl Protected {
    /// The list as an image carries it: what it leaves open is told again at boot.
    #[must_use]
    pub fn conf(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.extend([line, "\n"]);
        }
        let more = self.unresolved.len().saturating_sub(OPEN_TOLD);
        let more = (more > 0).then(|| format!("and {more} more, see vfio-bind protected"));
        for open in self.unresolved.iter().take(OPEN_TOLD).chain(&more) {
            // The words of the kernel command line have no escapes.
            let open = open.replace('"', "'").replace(char::is_control, " ");
            let _ = writeln!(text, "vfio.unprotected=\"{open}\"");
        }
        text
    }
}

/// Why a function is protected: disks, in the order they were found, each with what is on it.
#[derive(Default)]
struct Uses(Vec<(String, Vec<String>)>);

impl Uses {
    fn add(&mut self, disk: String, user: &str) {
        let known = self.0.iter().position(|(known, _)| *known == disk);
        let at = known.unwrap_or_else(|| {
            self.0.push((disk, Vec::new()));
            self.0.len() - 1
        });
        let users = &mut self.0[at].1;
        if !users.iter().any(|known| known == user) {
            users.push(user.to_owned());
        }
    }

    /// Without line ends: names come from the kernel, which escapes them in mounts, and block
    /// devices have none.
    fn told(&self) -> String {
        let tell = |(disk, users): &(String, Vec<String>)| format!("{}: {disk}", users.join(", "));
        let told: Vec<_> = self.0.iter().take(DISKS_TOLD).map(tell).collect();
        let mut text = told.join("; ");
        if let Some(more) = self
            .0
            .len()
            .checked_sub(DISKS_TOLD)
            .filter(|more| *more > 0)
        {
            let _ = write!(text, "; and {more} more");
        }
        text
    }
}

/// Of what functions are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What the system needs to boot.
    Boot,
    /// That, and all that is in use now.
    Now,
}

/// Finds the functions that carry what the system whose root directory is `root` needs.
///
/// # Errors
/// Where `root` or its list of mounts cannot be read.
pub fn find(root: &Path, ask: &dyn Ask, scope: Scope) -> Result<Protected> {
    let root = fs::canonicalize(root).with_context(|| format!("open({})", root.display()))?;
    let sysfs = Sysfs::of(&root);
    let read = |path: &str| {
        let path = sysfs.place(path);
        let bytes = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
        // The kernel does not escape what is not UTF-8; it names no device.
        anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mounts = mounts::mounts(&read("proc/self/mountinfo")?);
    let map = Map { sysfs, mounts, ask };

    let mut protected = Protected::default();
    let mut uses: BTreeMap<Address, Uses> = BTreeMap::new();
    let mut take = |user: &str, ends: Ends| {
        for (function, disk) in ends.functions {
            uses.entry(function).or_default().add(disk, user);
        }
        for problem in ends.unresolved {
            let open = format!("{user}: {problem}");
            if !protected.unresolved.contains(&open) {
                protected.unresolved.push(open);
            }
        }
    };
    let wants = match scope {
        Scope::Boot => needed::at_boot(&map),
        Scope::Now => in_use::now(&map),
    };
    for Want { user, start } in wants {
        take(&user, Walk::from(&map, &start));
    }
    let c_root = CString::new(root.as_os_str().as_bytes()).context("a root without NUL")?;
    let tree = Tree::open(&c_root)
        .map_err(crate::system)
        .with_context(|| format!("open({})", root.display()))?;
    protected.lines = uses
        .iter()
        .map(|(function, uses)| line(&tree, *function, &uses.told()))
        .collect();
    Ok(protected)
}

/// The line that protects a function, and says why.
#[must_use]
pub fn line(tree: &Tree, function: Address, why: &str) -> String {
    let path =
        way::of(tree, function).map_or_else(|| function.to_string(), |path| path.to_string());
    let id = |name| {
        let mut buffer = [0; 16];
        let text = tree.read(&attribute(function, name), &mut buffer).ok()?;
        let text = std::str::from_utf8(text.trim_ascii()).ok()?;
        u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
    };
    let ids = match (id("vendor"), id("device")) {
        (Some(vendor), Some(device)) => format!("@{vendor:04x}:{device:04x}"),
        // It is protected all the same.
        _ => String::new(),
    };
    format!("vfio.protect={path}{ids}  # {why}")
}

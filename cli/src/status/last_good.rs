//! What the machine was like when all was as asked, kept over boots: `/var/lib/vfio-bind/last-good.json`.
//!
//! docs/schema/last-good.json describes it. No serial number is in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, way};

use crate::device::is_lent;
use crate::preview::known;
use crate::whole;

/// Where it is.
pub const FILE: &str = "var/lib/vfio-bind/last-good.json";

/// What it begins with.
const SCHEMA: &str = "vfio-bind last-good 1";

/// A function of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// `0000:42:00.0`.
    pub address: String,
    /// The way through the bridges above it.
    pub path: Option<String>,
    /// The physical slot, as /sys/bus/pci/slots calls it.
    pub slot: Option<String>,
    /// `10de:1b80:1458:3702`: vendor, device and those of the subsystem.
    pub id: String,
    /// Six digits.
    pub class: String,
    /// Its driver, where that is one of VFIO's.
    pub bound: Option<String>,
}

/// A machine in one boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The number that the kernel gave to the boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// Its release.
    pub kernel: String,
    /// Endpoints, by address; no virtual functions, which come and go.
    pub functions: Vec<Known>,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: String,
    /// The last boot in which all was as asked.
    last: Snapshot,
    /// The one before, to compare with while the last one lasts.
    before: Option<Snapshot>,
}

impl Snapshot {
    /// The machine as it is.
    #[must_use]
    pub fn of(root: &Path, tree: &Tree, functions: &[Function]) -> Self {
        let text = |path: &str| {
            let text = fs::read_to_string(root.join(path)).unwrap_or_default();
            text.trim().to_owned()
        };
        let slots = slots(root);
        let known = functions
            .iter()
            .filter(|function| function.is_endpoint())
            .filter(|function| !tree.exists(&attribute(function.address, "physfn")))
            .map(|function| {
                let address = function.address.to_string();
                let device = address.split('.').next().unwrap_or_default();
                let slot = slots.iter().find(|(place, _)| place == device);
                let driver = function.driver.as_deref();
                let driver = driver.filter(|name| is_lent(Some(name)));
                let id = function.id;
                Known {
                    path: way::of(tree, function.address).map(|way| way.to_string()),
                    slot: slot.map(|(_, name)| name.clone()),
                    id: format!(
                        "{:04x}:{:04x}:{:04x}:{:04x}",
                        id.vendor, id.device, id.subvendor, id.subdevice
                    ),
                    class: format!("{:06x}", id.class),
                    bound: driver.map(str::to_owned),
                    address,
                }
            });
        Self {
            boot: text("proc/sys/kernel/random/boot_id"),
            kernel: text("proc/sys/kernel/osrelease"),
            functions: known.collect(),
        }
    }
}

/// The devices in slots that have a name: `DOMAIN:BUS:DEVICE`, and the name.
fn slots(root: &Path) -> Vec<(String, String)> {
    let directory = fs::read_dir(root.join("sys/bus/pci/slots"));
    let entries = directory.into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| {
        let place = fs::read_to_string(entry.path().join("address")).ok()?;
        let name = entry.file_name().into_string().ok()?;
        Some((place.trim().to_owned(), name))
    };
    entries.filter_map(of).collect()
}

fn read(root: &Path) -> Result<Option<Kept>> {
    let path = root.join(FILE);
    let Some(text) = known::read(&path)? else {
        return Ok(None);
    };
    let show = path.display();
    let kept: Kept = serde_json::from_slice(&text).with_context(|| {
        format!("{show}: not understood; remove it, and the next good boot is remembered")
    })?;
    if kept.schema != SCHEMA {
        bail!(
            "{show}: it is `{}`, and this program reads `{SCHEMA}`",
            kept.schema
        );
    }
    Ok(Some(kept))
}

/// The last good boot before this one; `None` where none is known.
///
/// # Errors
/// Where the file is there and cannot be read.
pub fn before(root: &Path, now: &Snapshot) -> Result<Option<Snapshot>> {
    let kept = read(root)?;
    Ok(kept.and_then(|kept| match kept.last.boot == now.boot {
        true => kept.before,
        false => Some(kept.last),
    }))
}

/// Remembers a machine on which all is as asked: written beside, then renamed.
///
/// # Errors
/// What the system answered; what was remembered stays.
pub fn keep(root: &Path, now: &Snapshot) -> Result<()> {
    // One that cannot be read is of no use, and is replaced.
    let kept = read(root).ok().flatten();
    let before = match kept {
        Some(kept) if kept.last == *now => return Ok(()),
        Some(kept) if kept.last.boot == now.boot => kept.before,
        Some(kept) => Some(kept.last),
        None => None,
    };
    let kept = Kept {
        schema: SCHEMA.to_owned(),
        last: now.clone(),
        before,
    };
    let mut text = serde_json::to_string_pretty(&kept).context("JSON")?;
    text.push('\n');
    let path = root.join(FILE);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("mkdir({})", directory.display()))?;
    }
    whole::write(&path, text.as_bytes())
}

//! What was seen behind functions, kept for when a vfio driver has them and nothing is to be seen.
//!
//! Without serial numbers and hardware addresses: the file can be read by everyone.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use vfio_bind_agent::machine::sysfs::is_harmless;

use super::Machine;
use crate::whole;

/// Where they are kept.
pub const FILE: &str = "var/lib/vfio-bind/seen.json";

/// What the file says it is. Another is left as it is.
const SCHEMA: &str = "vfio-bind seen 1";

/// The most that is read: a thousand functions with much behind each.
const MOST: u64 = 4 << 20;

#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    schema: String,
    functions: BTreeMap<String, Seen>,
}

/// What hung behind one function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Seen {
    /// Vendor and device and those of its subsystem: a card that has moved is not mistaken for another.
    id: String,
    subsystem: Option<String>,
    behind: Vec<String>,
}

/// Adds what was seen earlier to what is lent now.
///
/// # Errors
/// Where the file is there and cannot be read or understood; the machine is as before then.
pub fn recall(root: &Path, machine: &mut Machine) -> Result<()> {
    let Some(kept) = read(&root.join(FILE))? else {
        return Ok(());
    };
    for function in machine.functions.iter_mut().filter(|one| one.is_lent()) {
        let seen = kept.functions.get(&function.address.to_string());
        let same = |seen: &&Seen| seen.id == function.id && seen.subsystem == function.subsystem;
        if let Some(seen) = seen.filter(same) {
            let behind = seen.behind.iter();
            function.last_seen = behind.map(|text| crate::terminal::one_line(text)).collect();
        }
    }
    Ok(())
}

/// Keeps what is seen now, beside what was kept of functions that are lent or are not there now. Nothing is
/// written where nothing is new.
///
/// # Errors
/// Where the file cannot be written, or is another program's or version's.
pub fn keep(root: &Path, machine: &Machine) -> Result<()> {
    let path = root.join(FILE);
    let earlier = read(&path)?;
    let mut functions = earlier.map(|kept| kept.functions).unwrap_or_default();
    let before = functions.clone();
    for function in machine.functions.iter().filter(|one| one.is_endpoint()) {
        let behind: Vec<_> = function.behind.told(super::behind::Detail::Impersonal);
        if function.is_lent() {
            continue;
        }
        let address = function.address.to_string();
        // Without a driver, or with one that does nothing, it shows nothing either.
        let driver = function.driver.as_deref();
        if behind.is_empty() && driver.is_none_or(is_harmless) {
            continue;
        }
        if behind.is_empty() {
            functions.remove(&address);
            continue;
        }
        let seen = Seen {
            id: function.id.clone(),
            subsystem: function.subsystem.clone(),
            behind,
        };
        functions.insert(address, seen);
    }
    if functions == before {
        return Ok(());
    }
    let kept = Kept {
        schema: SCHEMA.to_owned(),
        functions,
    };
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
    let text = serde_json::to_string(&kept).context("JSON")?;
    whole::write(&path, (text + "\n").as_bytes())
}

fn read(path: &Path) -> Result<Option<Kept>> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("stat({})", path.display())),
    };
    let told = || {
        format!(
            "{}: it is not what vfio-bind writes; remove it",
            path.display()
        )
    };
    ensure!(size <= MOST, told());
    let text = fs::read(path).with_context(|| format!("read({})", path.display()))?;
    let kept: Kept = serde_json::from_slice(&text).with_context(told)?;
    ensure!(
        kept.schema == SCHEMA,
        "{}: it is of another version: {}",
        path.display(),
        kept.schema
    );
    Ok(Some(kept))
}

//! What programs add to an image.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::ARCHITECTURE;
use super::peers::{self, DRIVERCTL};
use super::plan::SCRIPTS;
use crate::rig::Rig;
use crate::supply::AGENT;

/// The header of an entry (newc), in front of its name.
const HEADER: u64 = 110;

/// The size of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// What it is.
    pub what: &'static str,
    /// Its bytes.
    pub file: u64,
    /// The bytes of its entries.
    pub entry: u64,
}

impl Size {
    fn add(&mut self, place: &str, file: u64) {
        self.file += file;
        self.entry += entry(place, file);
    }
}

/// The bytes of an entry: name and content begin and end at multiples of four.
fn entry(place: &str, file: u64) -> u64 {
    let name = place.len() as u64 + 1;
    (HEADER + name).next_multiple_of(4) + file.next_multiple_of(4)
}

/// The agent, and in its place a shell and a hook, or driverctl and what it needs besides udev and kmod, which
/// are there.
///
/// # Errors
/// Where a program cannot be had.
pub fn sizes(rig: &Rig<'_>) -> Result<Vec<Size>> {
    let [mut agent, mut dash, mut hook, mut driverctl, mut needed] = [
        "the agent",
        "dash and its libraries",
        "the hook by ID",
        "driverctl",
        "bash, realpath and cut for driverctl, and their libraries",
    ]
    .map(|what| Size {
        what,
        file: 0,
        entry: 0,
    });
    let bytes = |path: &Path| {
        let metadata = fs::metadata(path).with_context(|| format!("stat({})", path.display()));
        metadata.map(|metadata| metadata.len())
    };
    agent.add(AGENT, bytes(&rig.agent(ARCHITECTURE)?)?);
    for (place, path) in peers::shell(rig)? {
        dash.add(&place, bytes(&path)?);
    }
    for (name, text) in SCRIPTS.iter().filter(|(name, _)| *name == "id") {
        hook.add(name, text.len() as u64);
    }
    for (place, path) in peers::driverctl(rig)? {
        let size = match place == DRIVERCTL {
            true => &mut driverctl,
            false => &mut needed,
        };
        size.add(&place, bytes(&path)?);
    }
    Ok(vec![agent, dash, hook, driverctl, needed])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_padded() {
        for (place, file, expected) in [
            ("a", 0, 112),
            ("abc", 1, 120),
            ("abc", 4, 120),
            ("ab", 5, 124),
        ] {
            assert_eq!(entry(place, file), expected, "{place}, {file}");
        }
    }
}

//! The boot loaders, and which of them a machine uses.

use anyhow::Result;

use super::change::{Answer, BootLine};
use super::facts::Facts;
use super::grub;

/// One of them, or one way in which its words are kept.
pub struct Row {
    /// Its name, for `--loader`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether this machine uses it.
    pub signs: fn(&Facts<'_>) -> Result<bool>,
    /// What sets words.
    pub change: fn(&Facts<'_>, &[String]) -> Answer,
    /// The lines that boots may have, the usual one first; none where they cannot be read.
    pub lines: fn(&Facts<'_>) -> Result<Vec<BootLine>>,
    /// What sets words for the next boot alone.
    pub once: Option<fn(&Facts<'_>, &[String]) -> Answer>,
}

/// Where one is there, no other counts: they make the system, its boot entries among it.
static FIRST: [Row; 0] = [];

/// The others: of these a machine uses one.
static OTHERS: [Row; 2] = [
    Row {
        name: "grub.d",
        about: "GRUB, whose grub-mkconfig reads /etc/default/grub.d",
        signs: grub::fragment_signs,
        change: grub::fragment,
        lines: grub::lines,
        once: None,
    },
    Row {
        name: "grub-default",
        about: "GRUB, whose grub-mkconfig reads /etc/default/grub",
        signs: grub::default_signs,
        change: grub::default,
        lines: grub::lines,
        once: None,
    },
];

/// All of them, in the order in which they are looked for.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    FIRST.iter().chain(&OTHERS)
}

/// Which of them this machine uses: one, or none that is known, or more than one may be.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn find(facts: &Facts<'_>) -> Result<Vec<&'static Row>> {
    for row in &FIRST {
        if (row.signs)(facts)? {
            return Ok(vec![row]);
        }
    }
    let mut found = Vec::new();
    for row in &OTHERS {
        if (row.signs)(facts)? {
            found.push(row);
        }
    }
    Ok(found)
}

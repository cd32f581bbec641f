//! Alpine's update-extlinux, which a shell's settings tell what to make.

use anyhow::Result;

use super::change::{Answer, BootLine, Change, Invocation, Stop};
use super::facts::{Facts, Program};
use super::sourced;
use super::u_boot::labels;

const FILE: &str = "etc/update-extlinux.conf";
const MENUS: [&str; 2] = ["boot/extlinux.conf", "boot/extlinux/extlinux.conf"];

/// Whether it makes the menu.
///
/// # Errors
/// None.
pub fn signs(facts: &Facts<'_>) -> Result<bool> {
    let there = facts.view.exists(FILE) && facts.view.program("update-extlinux");
    Ok(there && facts.view.first(&MENUS).is_some() && facts.program == Program::Unknown)
}

/// A line at the end of its settings.
///
/// # Errors
/// Where it is told not to write the menu.
pub fn change(facts: &Facts<'_>, words: &[String]) -> Answer {
    let commands = sourced::understood(facts, FILE)?;
    let mut all = commands.iter().flat_map(|command| command.assignments());
    let overwrite = all.rfind(|assignment| assignment.name == "overwrite");
    if overwrite.is_some_and(|assignment| assignment.value.trim_matches(['"', '\'']) != "1") {
        let menu = facts.view.first(&MENUS).unwrap_or(MENUS[0]);
        return Err(Stop::by_hand(
            format!("/{FILE}: overwrite is not 1, and update-extlinux leaves the menu as it is"),
            [format!(
                "add to the APPEND line of the default entry in /{menu}: {}",
                words.join(" ")
            )],
        ));
    }
    let edit = sourced::append(facts, FILE, "default_kernel_opts", words)?;
    Ok(Change::files(
        vec![edit],
        vec![Invocation::new(["update-extlinux"])],
    ))
}

/// Its entries.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(facts: &Facts<'_>) -> Result<Vec<BootLine>> {
    let menu = facts.view.first(&MENUS).unwrap_or(MENUS[0]);
    Ok(labels(&facts.view.text(menu)?.unwrap_or_default()))
}

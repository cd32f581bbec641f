//! The functions that a person names, in the words of the policy: an address, an ID, a path, a class, ...

use anyhow::{Result, bail};
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::Record;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::run::{self, Extent};

use crate::preview::known::{Informed, Known};

/// The functions that these words mean, each once, by address: what `vfio.bind=` would take for itself, without
/// what shares a group with it.
///
/// # Errors
/// A word that is no selector, excludes, or means nothing on this machine; then the nearest that is there is named.
pub fn chosen(tree: &Tree, words: &[String]) -> Result<Vec<Address>> {
    let mut found = Vec::new();
    for word in words {
        if word.starts_with('!') || word.contains(['"', ',']) {
            bail!("`{word}`: a device is named by one selector, such as 42:00.0 or 10de:2204");
        }
        let line = format!("\"vfio.bind={word}\"");
        let known = Known::default();
        let informed = Informed {
            tree,
            known: &known,
        };
        let mut meant = Err(String::new());
        run::rehearse(&informed, line.as_bytes(), Extent::Whole, &mut |record| {
            meant = means(record);
            record.exit()
        });
        match meant {
            Ok(functions) => found.extend(functions),
            Err(why) => bail!("`{word}`: {why}"),
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// What the selector of a record's policy means, or why it means nothing.
fn means(record: &Record<'_>) -> Result<Vec<Address>, String> {
    let selectors = record.policy.selectors.iter();
    let own: Vec<_> = selectors.filter(|one| one.source == Source::Bind).collect();
    let all = record.inventory.functions().iter();
    let meant = all.filter(|f| own.iter().any(|one| one.matches(f)));
    let meant: Vec<_> = meant.map(|f| f.address).collect();
    if !meant.is_empty() {
        return Ok(meant);
    }
    let problem = record.policy.problems.first().map(ToString::to_string);
    let unmatched = || {
        let mut all = unmatched(record.policy, record.inventory, record.plan);
        all.next().map(|unmatched| unmatched.to_string())
    };
    let nothing = || "there is no such device; `vfio-bind list` names all".to_owned();
    Err(problem.or_else(unmatched).unwrap_or_else(nothing))
}

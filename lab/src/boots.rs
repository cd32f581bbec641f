//! Scenarios as tasks, and which there are.

use anyhow::{Result, bail};
use qemu_tests::scenario::Scenario;
use qemu_tests::{matrix, scenarios};

use crate::rig::{Booted, Rig};
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::table;

/// A task for each scenario.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, scenarios: &'a [Scenario]) -> Vec<Task<'a>> {
    let task = |scenario: &'a Scenario| {
        let name = scenario.name.clone().into_owned();
        let obstacle = rig.settings.obstacle(scenario);
        Task {
            name: name.clone(),
            is_boot: true,
            is_cargo: false,
            wants: match obstacle {
                Some(_) => Vec::new(),
                None => rig.wants(scenario),
            },
            run: Box::new(move || {
                if let Some(reason) = obstacle {
                    return Ok(Row::not_run(&name, reason));
                }
                if let Some(reason) = rig.obstacle(scenario)? {
                    return Ok(Row::not_run(&name, reason));
                }
                Ok(row(&name, rig.run(scenario, |_| {})?))
            }),
        }
    };
    scenarios.iter().map(task).collect()
}

/// What came of a boot.
fn row(name: &str, booted: Booted) -> Row {
    let otherwise = match booted.judgement.ended_well {
        true => Verdict::Failed,
        false => Verdict::Broken,
    };
    let mut row = Row::passed(name);
    row.add_boot(
        None,
        booted.elapsed,
        booted.judgement,
        otherwise,
        &booted.log,
    );
    row
}

/// Every scenario there is, those of a test run first.
#[must_use]
pub fn everything(seed: u64) -> Vec<Scenario> {
    let mut all = scenarios::all(seed);
    let more = matrix::all().into_iter();
    let more: Vec<_> = more
        .filter(|scenario| all.iter().all(|other| other.name != scenario.name))
        .collect();
    all.extend(more);
    all
}

/// The scenarios called `names`, or those of a test run where there are no names.
///
/// # Errors
/// Where a name is unknown; the message has names that are like it.
pub fn choose(seed: u64, names: &[String]) -> Result<Vec<Scenario>> {
    if names.is_empty() {
        return Ok(scenarios::all(seed));
    }
    let all = everything(seed);
    for name in names {
        if !all.iter().any(|scenario| scenario.name == *name) {
            let mut near: Vec<_> = all.iter().map(|scenario| &*scenario.name).collect();
            let likeness = |other: &str| strsim::jaro_winkler(name, other);
            near.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
            near.truncate(3);
            bail!(
                "no scenario `{name}`; near it are {}; --list shows all",
                near.join(", ")
            );
        }
    }
    let wanted = |scenario: &Scenario| names.iter().any(|name| *name == scenario.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Every scenario and what it proves, as a table.
#[must_use]
pub fn list(scenarios: &[Scenario]) -> String {
    let row = |scenario: &Scenario| {
        [&scenario.name, &scenario.proves]
            .map(ToString::to_string)
            .to_vec()
    };
    table::render(
        &["Scenario", "Proves that"],
        &scenarios.iter().map(row).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_and_unknown_ones_are_told_their_neighbours() {
        let names = ["twins".to_owned(), "off".to_owned()];
        assert_eq!(choose(1, &names).unwrap().len(), 2);
        assert!(choose(1, &[]).unwrap().len() > 20);
        let error = choose(1, &["twin".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("`twin`") && error.contains("twins"),
            "{error}"
        );
    }
}

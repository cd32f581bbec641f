//! Systems of one kind, each booted several times, as rows.

use anyhow::Result;

use crate::part::Part;
use crate::rig::Rig;
use crate::row::Row;
use crate::schedule::Task;
use crate::table;

/// Those of `all` that are named, and the other names.
pub fn chosen<T: Copy>(
    names: &[String],
    all: &[T],
    name_of: fn(T) -> &'static str,
) -> (Vec<T>, Vec<String>) {
    let find = |name: &String| all.iter().copied().find(|one| name_of(*one) == name);
    let others = names.iter().filter(|name| find(name).is_none());
    let others = others.cloned().collect();
    (names.iter().filter_map(find).collect(), others)
}

/// A task for each of `systems`, which `boots` carries out.
pub fn tasks<'a, T: Copy + Send + Sync + 'a>(
    rig: &'a Rig<'a>,
    systems: &[T],
    wants: &[Part],
    name_of: fn(T) -> &'static str,
    boots: fn(&Rig<'_>, T) -> Result<Row>,
) -> Vec<Task<'a>> {
    let task = |system: &T| {
        let system = *system;
        Task {
            name: name_of(system).to_owned(),
            is_boot: true,
            is_cargo: false,
            wants: wants.to_vec(),
            run: Box::new(move || boots(rig, system)),
        }
    };
    systems.iter().map(task).collect()
}

/// Every system and what it proves, as a table.
pub fn list<T: Copy>(heading: &str, all: &[T], texts: fn(T) -> [&'static str; 2]) -> String {
    let row = |system: &T| texts(*system).map(str::to_owned).to_vec();
    let rows: Vec<_> = all.iter().map(row).collect();
    table::render(&[heading, "Proves that"], &rows)
}

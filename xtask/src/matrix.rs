//! The matrix as a table: a row for each kernel, a column for each machine.

use std::collections::BTreeMap;

use qemu_tests::architecture::Architecture;
use qemu_tests::matrix::{Cell, KERNELS, PLACES, cells};
use qemu_tests::scenario::BUILT_IN;

use crate::campaign::Line;
use crate::table;

/// The table, and which kernels are behind its rows.
#[must_use]
pub fn render(lines: &[Line]) -> String {
    let all = cells();
    let mut heading = vec!["Kernel"];
    heading.extend(PLACES.map(|place| place.name));
    let row = |kernel: &&'static str| {
        let cells = all.iter().filter(|cell| cell.kernel == *kernel);
        let mut row = vec![(*kernel).to_owned()];
        row.extend(cells.map(|cell| word(cell, lines)));
        row
    };
    let rows: Vec<_> = KERNELS.iter().map(row).collect();
    let table = table::render(&heading, &rows);
    format!("\n{table}\n{}", releases(&all, lines))
}

/// What the scenarios of the matrix are called; all of them in a list would drown the others.
#[must_use]
pub fn names() -> String {
    let mut whats: Vec<_> = cells()
        .iter()
        .filter(|cell| cell.kernel != BUILT_IN)
        .flat_map(|cell| {
            let start = format!("{}-{}-", cell.kernel, cell.place.name);
            let names = cell.scenarios.iter();
            names
                .filter_map(move |scenario| Some(scenario.name.strip_prefix(&start)?.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    whats.sort();
    whats.dedup();
    let kernels = KERNELS.into_iter().filter(|kernel| *kernel != BUILT_IN);
    format!(
        "Each scenario of the matrix can be run by its name as well, KERNEL-MACHINE-WHAT:\n  \
         KERNEL   {}\n  MACHINE  {}\n  WHAT     {}\n",
        kernels.collect::<Vec<_>>().join(", "),
        PLACES.map(|place| place.name).join(", "),
        whats.join(", "),
    )
}

/// What came of a cell: how many of its scenarios passed, of how many.
fn word(cell: &Cell, lines: &[Line]) -> String {
    if cell.scenarios.is_empty() {
        // There is no such kernel for such a machine.
        return "-".to_owned();
    }
    let passed = lines_of(cell, lines).filter(|line| line.passed()).count();
    format!("{passed}/{}", cell.scenarios.len())
}

/// The lines about a cell.
fn lines_of<'a>(cell: &'a Cell, lines: &'a [Line]) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(|line| {
        let mut names = cell.scenarios.iter().map(|scenario| &scenario.name);
        names.any(|name| *name == line.name)
    })
}

/// The kernels that booted, as they call themselves.
fn releases(cells: &[Cell], lines: &[Line]) -> String {
    let mut seen: BTreeMap<(usize, Architecture), &str> = BTreeMap::new();
    for cell in cells {
        let place = KERNELS.iter().position(|kernel| *kernel == cell.kernel);
        for line in lines_of(cell, lines).filter(|line| !line.release.is_empty()) {
            let key = (place.unwrap_or_default(), cell.place.board.architecture());
            seen.insert(key, &line.release);
        }
    }
    let text = seen
        .into_iter()
        .map(|((_, architecture), release)| format!("{architecture:<8}{release}\n"));
    text.collect()
}

//! The matrix as a table: a row for each kernel, a column for each machine.

use qemu_tests::architecture::Architecture;
use qemu_tests::matrix::{Cell, KERNELS, PLATFORMS, cells};
use qemu_tests::scenario::BUILT_IN;

use crate::row::{Row, Verdict};
use crate::table;

/// The table, and which kernels are behind its rows.
#[must_use]
pub fn render(lines: &[Row]) -> String {
    let all = cells();
    let mut heading = vec!["Kernel"];
    heading.extend(PLATFORMS.map(|platform| platform.name));
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
            let start = format!("{}-{}-", cell.kernel, cell.platform.name);
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
        PLATFORMS.map(|platform| platform.name).join(", "),
        whats.join(", "),
    )
}

/// What came of a cell: how many of its scenarios passed, of how many.
fn word(cell: &Cell, lines: &[Row]) -> String {
    if cell.scenarios.is_empty() {
        // There is no such kernel for such a machine.
        return "-".to_owned();
    }
    let passed = lines_of(cell, lines)
        .filter(|line| line.verdict == Verdict::Passed)
        .count();
    format!("{passed}/{}", cell.scenarios.len())
}

/// The lines about a cell.
fn lines_of<'a>(cell: &'a Cell, lines: &'a [Row]) -> impl Iterator<Item = &'a Row> {
    lines.iter().filter(|line| {
        let mut names = cell.scenarios.iter().map(|scenario| &scenario.name);
        names.any(|name| *name == line.name)
    })
}

/// The kernels that booted, as they call themselves: a column for each architecture.
fn releases(cells: &[Cell], lines: &[Row]) -> String {
    let release = |kernel: &str, architecture| {
        let there = cells.iter().filter(|cell| {
            cell.kernel == kernel && cell.platform.board.architecture() == architecture
        });
        let mut lines = there.flat_map(|cell| lines_of(cell, lines));
        let booted = lines.find(|line| !line.release.is_empty());
        booted.map_or("-", |line| &line.release)
    };
    let row = |kernel: &'static str| {
        let releases = Architecture::ALL.map(|architecture| release(kernel, architecture));
        let all = [kernel].into_iter().chain(releases);
        all.map(str::to_owned).collect()
    };
    let mut heading = vec!["Kernel"];
    heading.extend(Architecture::ALL.map(Architecture::name));
    table::render(&heading, &KERNELS.into_iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_counts_what_passed_and_a_kernel_has_a_release_for_each_architecture() {
        let line = |name, verdict| Row {
            verdict,
            release: "6.12.1-amd64".to_owned(),
            ..Row::passed(name)
        };
        let lines = [
            line("6.12-amd-card", Verdict::Passed),
            line("6.12-amd-ids", Verdict::Failed),
        ];
        let text = render(&lines);
        let rows: Vec<_> = text
            .lines()
            .filter(|row| row.starts_with(" 6.12"))
            .collect();
        let words = |row: &str| {
            row.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(rows[0])[3], "1/4", "{text}");
        assert_eq!(words(rows[1]), ["6.12", "6.12.1-amd64", "-", "-"], "{text}");
    }

    #[test]
    fn names_tell_how_to_run_one() {
        let text = names();
        assert!(
            text.contains("smmuv3-efi") && text.contains("card, ids, no-vfio"),
            "{text}"
        );
    }
}

//! What was measured, in a table and in a page.

use std::fmt::Write as _;

use super::figures::Row;
use super::image::Size;
use super::plan::Way;
use super::targets::target;
use crate::table;

/// The heads of the columns; what has two numbers has the agent's first.
const HEADING: [&str; 8] = [
    "What",
    "Instructions",
    "Ratio",
    "Target",
    "System calls",
    "Faults",
    "KiB",
    "Apart",
];

/// What all rows were measured with.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The kernel, as it calls itself.
    pub kernel: String,
    /// QEMU, as it calls itself.
    pub qemu: String,
    /// The shell, as a package.
    pub sizes: Vec<Size>,
}

/// A number in thousands or millions.
fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{:.2}M", number as f64 / 1e6),
        _ => format!("{:.1}M", number as f64 / 1e6),
    }
}

/// A ratio, as exact as it may be taken.
fn ratio(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        _ => format!("{number:.0}"),
    }
}

fn cells(row: &Row) -> Vec<String> {
    let (agent, shell) = (&row.agent, &row.shell);
    let reached = match target(&row.pair) {
        None => String::new(),
        Some(target) if is_wrong(row) => format!("{target}, wrong"),
        Some(target) if row.ratio() <= target => format!("{target}, reached"),
        Some(target) => format!("{target}, missed"),
    };
    vec![
        row.pair.name(),
        format!(
            "{} / {}",
            short(agent.instructions),
            short(shell.instructions)
        ),
        ratio(row.ratio()),
        reached,
        format!("{} / {}", agent.calls, shell.calls),
        format!("{} / {}", agent.faults, shell.faults),
        format!("{} / {}", agent.memory, shell.memory),
        format!(
            "{:.1} / {:.1} %",
            agent.spread as f64 / 10.0,
            shell.spread as f64 / 10.0
        ),
    ]
}

fn is_wrong(row: &Row) -> bool {
    !(row.agent.wrong.is_empty() && row.shell.wrong.is_empty())
}

/// A line for each row that misses its target, or did not do its work.
#[must_use]
pub fn shortcomings(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let name = row.pair.name();
        for (who, figures) in [("the agent", &row.agent), ("the hook", &row.shell)] {
            // One is enough to tell what all of a run say.
            if let Some(wrong) = figures.wrong.first() {
                lines.push(format!("{name}: {who} did not do its work: {wrong}"));
            }
        }
        if let Some(target) = target(&row.pair).filter(|target| row.ratio() > *target) {
            lines.push(format!(
                "{name}: {}, and the target is {target}",
                ratio(row.ratio())
            ));
        }
    }
    lines
}

/// For a terminal.
#[must_use]
pub fn terminal(rows: &[Row]) -> String {
    table::render(&HEADING, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// For a page.
fn markdown(heading: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heading: Vec<_> = heading.iter().map(ToString::to_string).collect();
    let rule: Vec<_> = heading.iter().map(|_| "---".to_owned()).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(&heading) + &line(&rule) + &rows
}

/// The page: the tables, what they mean, and how to have them again.
#[must_use]
pub fn page(rows: &[Row], setting: &Setting) -> String {
    let mut text = format!(
        "# What a run costs\n\n\
         `cargo xtask bench --write` measured this and wrote it, in {}, software emulation, on Linux {},\n\
         with dash of Debian beside the agent. `cargo xtask test --all` looks at some of it again and fails where\n\
         a ratio or a count of system calls is more than a fifth worse than [limits.json](limits.json).\n\n\
         ![The agent's instructions for each of the hook's](cost.svg)\n\n",
        setting.qemu, setting.kernel
    );
    for (way, words) in WAYS {
        let some: Vec<_> = rows.iter().filter(|row| row.pair.way == way).collect();
        if some.is_empty() {
            continue;
        }
        let cells: Vec<_> = some.into_iter().map(cells).collect();
        let _ = write!(text, "{words}\n\n{}\n", markdown(&HEADING, &cells));
    }
    text.push_str(COLUMNS);
    let missed = shortcomings(rows);
    if !missed.is_empty() {
        let _ = write!(text, "\n## Not reached\n\n");
        for line in missed {
            let _ = writeln!(text, "- {line}");
        }
    }
    let sizes = setting.sizes.iter().map(|size| {
        vec![
            size.what.to_owned(),
            size.file.to_string(),
            size.entry.to_string(),
        ]
    });
    let sizes = markdown(
        &["What", "Bytes", "In an image"],
        &sizes.collect::<Vec<_>>(),
    );
    let _ = write!(
        text,
        "\n## In an image\n\nBytes of a file, and of its entry in an archive (newc) that is not compressed.\n\n{sizes}"
    );
    text
}

/// What is done in each part of the page.
const WAYS: [(Way, &str); 3] = [
    (
        Way::Bind,
        "## Bound\n\n\
         A network card without a driver, alone in its group, is given to vfio-pci, which is loaded. The agent runs\n\
         as a hook runs it; the other is a loop of writes of `driver_override` and `drivers_probe`. By path there\n\
         is nothing that people write: beside it is the hook by address. The machine is real to the guest: an NVMe\n\
         controller with virtual functions behind an Intel IOMMU.",
    ),
    (
        Way::Plan,
        "## Looked at\n\n\
         `vfio-bind-agent plan` finds out and prints what it would do; the hook is the same as above and writes, too.\n\
         `made up` is a tree of files on tmpfs, since QEMU 7.2 wants 20 GB for a machine of 1,024\n\
         functions, and has none of 16,384: there one attribute\n\
         costs an eighth of what it does on sysfs, for both, so instructions of the two kinds do not compare.",
    ),
    (
        Way::Load,
        "## A boot's part\n\n\
         vfio-pci is not loaded yet: the agent as a hook, beside a loop of writes of `driver_override` and\n\
         `modprobe vfio-pci`. Behind each run the modules are unloaded.",
    ),
];

const COLUMNS: &str = "\
Each pair is the agent's number and the hook's. Instructions are those of user and kernel, from before a program\n\
is started until it is reaped, by the guest's clock, which QEMU moves by one nanosecond for each (`-icount\n\
shift=0`); a pause counts as if it were instructions. They are the median of several runs; the last column is how\n\
far the fastest is from the slowest, 0 where there was one run. System calls are counted by ptrace in a run of\n\
their own, faults are minor ones, and memory is what the largest process had in the end: nothing gives any back.\n\
Children count. A target is for the ratio.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::row;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (9_999, "9999"),
            (1_234_567, "1.23M"),
            (112_760_176, "112.8M"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!([0.294, 9.99, 207.6].map(ratio), ["0.29", "9.99", "208"]);
    }

    #[test]
    fn what_misses_its_target_or_does_nothing_is_named() {
        let mut wrong = row(80, 100, 4);
        wrong.agent.wrong = vec!["its end is Exited(1)".to_owned()];
        for (row, cell, lines) in [
            (row(80, 100, 4), "0.9, reached", 0),
            (row(90, 100, 4), "0.9, reached", 0),
            (row(91, 100, 4), "0.9, missed", 1),
            (wrong, "0.9, wrong", 1),
        ] {
            assert_eq!(cells(&row)[3], cell);
            assert_eq!(shortcomings(&[row]).len(), lines, "{cell}");
        }
    }

    #[test]
    fn a_page_holds_every_row_and_size() {
        let setting = Setting {
            kernel: "6.1.0".to_owned(),
            qemu: "QEMU 7.2".to_owned(),
            sizes: vec![Size {
                what: "the agent",
                file: 10,
                entry: 136,
            }],
        };
        let rows = [row(200, 100, 4)];
        let text = page(&rows, &setting);
        for piece in [
            "plan by address, 64 real | 200 / 100 | 2.00 | 0.9, missed | 4 / 7",
            "| the agent | 10 | 136 |",
            "6.1.0",
            "## Not reached",
        ] {
            assert!(text.contains(piece), "{piece}: {text}");
        }
        assert!(!text.contains("## Bound"));
        assert!(!page(&[row(1, 100, 4)], &setting).contains("## Not reached"));
        assert!(terminal(&rows).contains("plan by"));
    }
}

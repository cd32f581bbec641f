//! What was measured, in a table and in a page.

use std::fmt::Write as _;

use super::figures::Row;
use super::image::Size;
use super::plan::Way;
use super::profile;
use super::targets::target;
use super::words::{markdown, ratio, short};
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
    /// What programs add to an image.
    pub sizes: Vec<Size>,
}

fn cells(row: &Row) -> Vec<String> {
    let (agent, peer) = (&row.agent, &row.peer);
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
            short(peer.instructions)
        ),
        ratio(row.ratio()),
        reached,
        format!("{} / {}", agent.calls, peer.calls),
        format!("{} / {}", agent.faults, peer.faults),
        format!("{} / {}", agent.memory, peer.memory),
        format!(
            "{:.1} / {:.1} %",
            agent.spread as f64 / 10.0,
            peer.spread as f64 / 10.0
        ),
    ]
}

fn is_wrong(row: &Row) -> bool {
    !(row.agent.wrong.is_empty() && row.peer.wrong.is_empty())
}

/// A line for each row that misses its target, or did not do its work.
#[must_use]
pub fn shortcomings(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let name = row.pair.name();
        for (who, figures) in [("the agent", &row.agent), (row.pair.peer(), &row.peer)] {
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

/// The page: the tables, what they mean, and how to have them again.
#[must_use]
pub fn page(rows: &[Row], setting: &Setting) -> String {
    let mut text = format!(
        "# What a run costs\n\n\
         `cargo xtask bench --write` measured this and wrote it, in {}, software emulation,\n\
         on Linux {}; what is beside the agent is of Debian 12. `cargo xtask test --all` looks at\n\
         some of it again and fails where a ratio or a count of system calls is more than a fifth worse than\n\
         [limits.json](limits.json).\n\n\
         ![The agent's instructions for each of the other's](cost.svg)\n\n{COLUMNS}\n",
        setting.qemu, setting.kernel
    );
    for (way, made_up, words) in PARTS {
        let some = rows
            .iter()
            .filter(|row| row.pair.way == way && row.pair.made_up == made_up);
        let cells: Vec<_> = some.map(cells).collect();
        if !cells.is_empty() {
            let _ = write!(text, "{words}\n\n{}\n", markdown(&HEADING, &cells));
        }
    }
    text += &missed(rows);
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
        "## In an image\n\n\
         Bytes of files, and of their entries in an archive (newc) that is not compressed. driverctl also needs\n\
         kmod, udev and systemd, which are not counted.\n\n{sizes}"
    );
    text
}

/// What is not reached, and where its cost goes.
fn missed(rows: &[Row]) -> String {
    let mut text = String::new();
    let idle = rows.iter().find(|row| row.pair.way == Way::Idle);
    for row in rows {
        let lines = shortcomings(std::slice::from_ref(row));
        if lines.is_empty() {
            continue;
        }
        for line in lines {
            let _ = write!(text, "### {line}\n\n");
        }
        if let Some(table) = profile::table(row, idle) {
            let _ = writeln!(text, "{table}");
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("## Not reached\n\n{PROFILE}\n{text}"),
    }
}

/// What is done in each part of the page; whether its trees are made up.
const PARTS: [(Way, bool, &str); 5] = [
    (
        Way::Bind,
        false,
        "## Bound\n\n\
         A network card without a driver, alone in its group, is given to vfio-pci, which is loaded. The agent runs\n\
         as a hook runs it; a hook is a loop of writes of `driver_override` and `drivers_probe`. By path there is\n\
         nothing that people write: beside it is the hook by address. `driverctl load-override` runs as its unit\n\
         runs it, without what udev and systemd spend until then; it calls modprobe although vfio-pci is loaded.\n\
         The machine is real to the guest: an NVMe controller with virtual functions behind an Intel IOMMU.",
    ),
    (
        Way::Plan,
        false,
        "## Looked at\n\n\
         `vfio-bind-agent plan` finds out and prints what it would do; the hook is the same as above and writes, too.",
    ),
    (
        Way::Plan,
        true,
        "## Looked at, in trees that are made up\n\n\
         The same in a tree of files that stands for `/sys`, in the image: QEMU 7.2 wants 20 GB for a machine of\n\
         1,024 functions, and has none of 16,384. One attribute of such a tree costs both an eighth of what it does\n\
         in sysfs, so instructions do not compare with those above.",
    ),
    (
        Way::Load,
        false,
        "## A boot's part\n\n\
         vfio-pci is not loaded yet: the agent as a hook, beside a loop of writes of `driver_override` and\n\
         `modprobe vfio-pci`. Behind each run the modules are unloaded. The boots are real, with 64 functions.",
    ),
    (
        Way::Idle,
        false,
        "## Nothing asked\n\n\
         The agent with a command line that asks nothing of it, beside a shell that ends at once: what it takes to\n\
         start and to end a process.",
    ),
];

const COLUMNS: &str = "\
Each pair is the agent's number and the other's. Instructions are those of user and kernel, from before a program\n\
is started until it is reaped, by the guest's clock, which QEMU moves by one nanosecond for each (`-icount\n\
shift=0,sleep=off`); a pause counts as if it were instructions. They are the median of three runs, and of one\n\
run with 16,384 functions; the last column is how far the fastest is from the slowest. System calls are counted by the kernel's\n\
histograms in a run of their own, page faults are minor ones, and memory is what the largest process had in the\n\
end: nothing gives any back. Children count. A target is for the ratio. Behind each run it is looked at whether\n\
the right function has vfio-pci, or is named and no other; a wrong answer is a failure.\n";

const PROFILE: &str = "\
Instructions outside of system calls are a program's own, those of its page faults, and those of its start and its\n\
end; a line has what it takes where nothing is asked, which is little else. The others are the kernel's within\n\
system calls of a kind, and how many there were, less what counting takes. Calls that wait are left out: what other\n\
processes do meanwhile has its own lines, and a pause in which nothing runs counts as outside.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::row;

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
        assert!(!text.contains("## Bound") && !text.contains("made up\n"));
        assert!(!page(&[row(1, 100, 4)], &setting).contains("## Not reached"));
        assert!(terminal(&rows).contains("plan by"));
    }
}

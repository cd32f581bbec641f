//! Where the cost of what misses its target goes: into system calls of these kinds, or elsewhere.

use qemu_tests::bench::Kind;

use super::figures::{Figures, Row};
use super::words::{markdown, short};

/// Kinds of system calls that wait, so that what others do goes by within them.
const WAITING: [&str; 9] = [
    "clock_nanosleep",
    "nanosleep",
    "poll",
    "ppoll",
    "restart_syscall",
    "rt_sigtimedwait",
    "vfork",
    "wait4",
    "waitid",
];
/// How many kinds are named.
const MOST: usize = 6;

/// The kinds of a program that do not wait, the most expensive first.
fn kinds(figures: &Figures) -> impl Iterator<Item = &Kind> {
    let waits = |kind: &&Kind| WAITING.contains(&kind.name.as_str());
    figures.kinds.iter().filter(move |kind| !waits(kind))
}

/// What a program spends outside of system calls, in instructions.
fn outside(figures: &Figures) -> u64 {
    let inside: u64 = kinds(figures).map(|kind| kind.nanoseconds).sum();
    figures.instructions.saturating_sub(inside)
}

/// The most expensive kinds of both, by what they cost together.
fn names(row: &Row) -> Vec<&str> {
    let mut sums: Vec<(u64, &str)> = Vec::new();
    for kind in kinds(&row.agent).chain(kinds(&row.peer)) {
        match sums.iter_mut().find(|(_, name)| *name == kind.name) {
            Some((sum, _)) => *sum += kind.nanoseconds,
            None => sums.push((kind.nanoseconds, &kind.name)),
        }
    }
    sums.sort_by_key(|(sum, _)| std::cmp::Reverse(*sum));
    sums.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// A table: what both spend outside of system calls, as much of it as they do where nothing is asked (`idle`),
/// and what they spend in calls of the most expensive kinds. `None` where the kernel did not tell.
#[must_use]
pub fn table(row: &Row, idle: Option<&Row>) -> Option<String> {
    if row.agent.kinds.is_empty() || row.peer.kinds.is_empty() {
        return None;
    }
    let cells = |first: &str, cell: &dyn Fn(&Figures) -> String| {
        vec![first.to_owned(), cell(&row.agent), cell(&row.peer)]
    };
    let names = names(row);
    let mut lines = vec![
        cells("all", &|figures| short(figures.instructions)),
        cells("outside of system calls", &|figures| {
            short(outside(figures))
        }),
    ];
    if let Some(idle) = idle {
        let [agent, peer] = [&idle.agent, &idle.peer].map(|figures| short(outside(figures)));
        lines.push(vec!["that, where nothing is asked".to_owned(), agent, peer]);
    }
    for name in &names {
        lines.push(cells(name, &|figures| {
            let kind = kinds(figures).find(|kind| kind.name == *name);
            kind.map_or_else(String::new, |kind| {
                format!("{} in {}", short(kind.nanoseconds), kind.calls)
            })
        }));
    }
    lines.push(cells("other system calls", &|figures| {
        let rest = kinds(figures).filter(|kind| !names.contains(&kind.name.as_str()));
        let (sum, calls) = rest.fold((0, 0), |(sum, calls), kind| {
            (sum + kind.nanoseconds, calls + kind.calls)
        });
        format!("{} in {calls}", short(sum))
    }));
    Some(markdown(
        &["Instructions", "the agent", row.pair.peer()],
        &lines,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::row;

    #[test]
    fn a_table_says_where_instructions_go() {
        let mut row = row(1_000, 20_000, 4);
        assert_eq!(table(&row, None), None);
        let kind = |name: &str, calls, nanoseconds| Kind {
            name: name.to_owned(),
            calls,
            nanoseconds,
        };
        row.agent.kinds = vec![
            kind("wait4", 1, 900),
            kind("openat", 3, 400),
            kind("a", 1, 1),
        ];
        row.peer.kinds = vec![kind("read", 9, 15_000), kind("openat", 1, 200)];
        for number in 0..MOST {
            let name = format!("some {number}");
            row.peer.kinds.push(kind(&name, 1, 10));
        }
        let text = table(&row, Some(&row)).unwrap();
        for line in [
            "| Instructions | the agent | the hook |",
            "| all | 1000 | 0.02M |",
            "| outside of system calls | 599 | 4740 |",
            "| that, where nothing is asked | 599 | 4740 |",
            "| read |  | 0.01M in 9 |",
            "| openat | 400 in 3 | 200 in 1 |",
            "| some 3 |  | 10 in 1 |",
            "| other system calls | 1 in 1 | 20 in 2 |",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
        assert!(!text.contains("wait4"), "{text}");
    }
}

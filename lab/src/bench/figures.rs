//! What measured numbers come to.

use qemu_tests::bench::{Kind, Measured};

use super::plan::Pair;

/// What one program costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The median, in instructions of user and kernel.
    pub instructions: u64,
    /// How far the runs are from each other, in thousandths of the median.
    pub spread: u64,
    /// The median of minor page faults.
    pub faults: u64,
    /// System calls.
    pub calls: u64,
    /// The same by kind, with the kernel's instructions in them, the most expensive first; none where the kernel
    /// cannot tell.
    pub kinds: Vec<Kind>,
    /// Memory, in KiB.
    pub memory: u64,
    /// What was not as it must be.
    pub wrong: Vec<String>,
}

impl Figures {
    /// Those of a program; each of its calls took so much longer for being looked at ([`tracing`]).
    #[must_use]
    pub fn new(measured: &Measured, tracing: u64) -> Self {
        let mut kinds = measured.kinds.clone();
        for kind in &mut kinds {
            kind.nanoseconds = kind.nanoseconds.saturating_sub(kind.calls * tracing);
        }
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.nanoseconds));
        let runs = &measured.nanoseconds;
        let instructions = median(runs);
        let most = runs.iter().max().copied().unwrap_or(0);
        let least = runs.iter().min().copied().unwrap_or(0);
        Self {
            instructions,
            spread: (most - least) * 1000 / instructions.max(1),
            faults: median(&measured.faults),
            calls: measured.calls,
            kinds,
            memory: measured.memory,
            wrong: measured.wrong.clone(),
        }
    }
}

/// What looking at a system call takes: as much as the cheapest of all did, which has next to nothing to do.
#[must_use]
pub fn tracing(measured: &[Measured]) -> u64 {
    let kinds = measured.iter().flat_map(|one| &one.kinds);
    let each = kinds
        .filter(|kind| kind.nanoseconds > 0)
        .map(|kind| kind.nanoseconds / kind.calls.max(1));
    each.min().unwrap_or(0)
}

/// The middle one of numbers, the lower of two in the middle; 0 where there are none.
#[must_use]
pub fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0)
}

/// The agent beside what people use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was compared.
    pub pair: Pair,
    /// The agent.
    pub agent: Figures,
    /// What is beside it.
    pub peer: Figures,
}

impl Row {
    /// The agent's instructions for each of the other's.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.agent.instructions as f64 / self.peer.instructions.max(1) as f64
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::plan;

    /// One with these instructions of agent and hook, and system calls of the agent.
    pub(in crate::bench) fn row(agent: u64, peer: u64, calls: u64) -> Row {
        let figures = |instructions, calls| Figures {
            instructions,
            spread: 3,
            faults: 5,
            calls,
            kinds: Vec::new(),
            memory: 1024,
            wrong: Vec::new(),
        };
        Row {
            pair: plan::short()[0].pairs[2].clone(),
            agent: figures(agent, calls),
            peer: figures(peer, 7),
        }
    }

    #[test]
    fn the_median_is_one_of_the_numbers() {
        for (numbers, expected) in [
            (&[][..], 0),
            (&[4], 4),
            (&[9, 1], 1),
            (&[9, 1, 5], 5),
            (&[100, 1, 2, 3, 2], 2),
        ] {
            assert_eq!(median(numbers), expected, "{numbers:?}");
        }
    }

    #[test]
    fn figures_tell_how_far_runs_are_apart() {
        let measured = Measured {
            nanoseconds: vec![100, 110, 90],
            faults: vec![3, 3, 4],
            ..Measured::default()
        };
        let figures = Figures::new(&measured, 0);
        assert_eq!(
            (figures.instructions, figures.spread, figures.faults),
            (100, 200, 3)
        );
        assert_eq!(Figures::new(&Measured::default(), 0).spread, 0);
    }

    #[test]
    fn what_looking_takes_is_not_a_programs() {
        let kind = |name: &str, calls, nanoseconds| Kind {
            name: name.to_owned(),
            calls,
            nanoseconds,
        };
        let one = |kinds| Measured {
            kinds,
            ..Measured::default()
        };
        let all = [
            one(vec![kind("exit_group", 1, 0), kind("read", 10, 700)]),
            one(vec![kind("getpid", 2, 120), kind("openat", 2, 9000)]),
            one(Vec::new()),
        ];
        assert_eq!((tracing(&all), tracing(&all[2..])), (60, 0));
        assert_eq!(
            Figures::new(&all[0], 60).kinds,
            [kind("read", 10, 100), kind("exit_group", 1, 0)]
        );
    }

    #[test]
    fn a_ratio_needs_another_program() {
        assert!((row(300, 200, 1).ratio() - 1.5).abs() < 1e-9);
        assert!((row(300, 0, 1).ratio() - 300.0).abs() < 1e-9);
    }
}

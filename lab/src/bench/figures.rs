//! What measured numbers come to.

use qemu_tests::bench::Measured;

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
    /// Memory, in KiB.
    pub memory: u64,
    /// What was not as it must be.
    pub wrong: Vec<String>,
}

impl Figures {
    /// Those of a program.
    #[must_use]
    pub fn new(measured: &Measured) -> Self {
        let runs = &measured.nanoseconds;
        let instructions = median(runs);
        let most = runs.iter().max().copied().unwrap_or(0);
        let least = runs.iter().min().copied().unwrap_or(0);
        Self {
            instructions,
            spread: (most - least) * 1000 / instructions.max(1),
            faults: median(&measured.faults),
            calls: measured.calls,
            memory: measured.memory,
            wrong: measured.wrong.clone(),
        }
    }
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

/// The agent beside what people write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was compared.
    pub pair: Pair,
    /// The agent.
    pub agent: Figures,
    /// The hook.
    pub shell: Figures,
}

impl Row {
    /// The agent's instructions for each of the hook's.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.agent.instructions as f64 / self.shell.instructions.max(1) as f64
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::plan;

    /// One with these instructions of agent and hook, and system calls of the agent.
    pub(in crate::bench) fn row(agent: u64, shell: u64, calls: u64) -> Row {
        let figures = |instructions, calls| Figures {
            instructions,
            spread: 3,
            faults: 5,
            calls,
            memory: 1024,
            wrong: Vec::new(),
        };
        Row {
            pair: plan::short()[0].pairs[2].clone(),
            agent: figures(agent, calls),
            shell: figures(shell, 7),
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
        let figures = Figures::new(&measured);
        assert_eq!(
            (figures.instructions, figures.spread, figures.faults),
            (100, 200, 3)
        );
        assert_eq!(Figures::new(&Measured::default()).spread, 0);
    }

    #[test]
    fn a_ratio_needs_a_hook() {
        assert!((row(300, 200, 1).ratio() - 1.5).abs() < 1e-9);
        assert!((row(300, 0, 1).ratio() - 300.0).abs() < 1e-9);
    }
}

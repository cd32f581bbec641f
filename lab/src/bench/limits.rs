//! Numbers that a change must not make much worse.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::figures::Row;

/// The part by which a number may get worse.
const TOLERANCE: f64 = 0.2;
/// The agent's instructions for each of the other's.
const RATIO: &str = "ratio";
/// The agent's system calls.
const CALLS: &str = "system calls";

/// Numbers by row and kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits(BTreeMap<String, BTreeMap<String, f64>>);

impl Limits {
    /// Those that these rows keep.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let numbers = |row: &Row| {
            let ratio = (row.ratio() * 1000.0).round() / 1000.0;
            let calls = row.agent.calls as f64;
            BTreeMap::from([(CALLS.to_owned(), calls), (RATIO.to_owned(), ratio)])
        };
        let all = rows.iter().map(|row| (row.pair.name(), numbers(row)));
        Self(all.collect())
    }

    /// Reads them from a file.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what [`Limits::text`] writes.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read({})", file.display()))?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map(Self).context("no limits")
    }

    /// As a file has them.
    ///
    /// # Errors
    /// Where a number is none.
    pub fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(&self.0).context("limits as JSON")?;
        Ok(format!("{text}\n"))
    }

    /// What is worse than it may be in `rows`, and rows that the limits do not know or that did not do
    /// their work.
    #[must_use]
    pub fn exceeded(&self, rows: &[Row]) -> Vec<String> {
        let now = Self::of(rows);
        let mut all = wrong(rows);
        for (name, numbers) in &now.0 {
            for (kind, number) in numbers {
                let limit = self.0.get(name).and_then(|numbers| numbers.get(kind));
                match limit {
                    None => all.push(format!("{name}: no limit of its {kind} is kept")),
                    Some(limit) if *number > limit * (1.0 + TOLERANCE) => all.push(format!(
                        "{name}: its {kind} is {number}, and was {limit}: more than a fifth worse"
                    )),
                    Some(_) => {}
                }
            }
        }
        all
    }
}

/// What programs did not do that they were to do.
#[must_use]
pub fn wrong(rows: &[Row]) -> Vec<String> {
    let mut all = Vec::new();
    for row in rows {
        for (who, figures) in [("the agent", &row.agent), (row.pair.peer(), &row.peer)] {
            let told = figures
                .wrong
                .iter()
                .map(|what| format!("{}: {who}: {what}", row.pair.name()));
            all.extend(told);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::row;

    #[test]
    fn what_gets_worse_by_a_fifth_is_named() {
        // Instructions of agent and hook, and the agent's system calls; before and now.
        let before = row(100, 50, 40);
        let limits = Limits::of(std::slice::from_ref(&before));
        for (now, words) in [
            (before.clone(), &[][..]),
            (row(119, 50, 47), &[]),
            (row(10, 50, 4), &[]),
            // Both got slower: the ratio is what counts.
            (row(1000, 500, 40), &[]),
            (row(121, 50, 40), &["ratio is 2.42, and was 2"]),
            (row(100, 50, 49), &["system calls is 49, and was 40"]),
            (row(130, 50, 49), &["ratio", "system calls"]),
        ] {
            let told = limits.exceeded(std::slice::from_ref(&now));
            assert_eq!(told.len(), words.len(), "{now:?}: {told:?}");
            assert!(
                told.iter()
                    .zip(words)
                    .all(|(told, word)| told.contains(word)),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_row_that_is_unknown_or_did_nothing_is_no_pass() {
        let mut one = row(100, 50, 40);
        assert_eq!(
            Limits::default().exceeded(std::slice::from_ref(&one)).len(),
            2
        );
        let limits = Limits::of(std::slice::from_ref(&one));
        one.agent.wrong.push("its end is Exited(1)".to_owned());
        let told = limits.exceeded(std::slice::from_ref(&one));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].ends_with("the agent: its end is Exited(1)"),
            "{told:?}"
        );
    }

    #[test]
    fn a_file_holds_them() {
        let limits = Limits::of(&[row(100, 30, 40)]);
        let text = limits.text().unwrap();
        assert!(text.contains("\"ratio\": 3.333"), "{text}");
        assert_eq!(Limits::parse(&text).unwrap(), limits);
        Limits::parse("[]").unwrap_err();
    }
}

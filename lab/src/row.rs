//! What was learned, a row for each thing that was tried; and what a run comes to.

use std::fmt;
use std::ops::AddAssign;
use std::path::Path;
use std::time::Duration;

use qemu_tests::judge::Judgement;

use crate::lack::{Trouble, Unavailable};
use crate::table;

/// One check, one boot, one image.
#[derive(Clone, Debug)]
pub struct Row {
    /// Names it in tables.
    pub name: String,
    /// In a word.
    pub verdict: Verdict,
    /// Whether a machine was to boot for it.
    pub is_boot: bool,
    /// How long it took.
    pub time: Duration,
    /// A few words on what was seen.
    pub note: String,
    /// The kernel that booted, as it calls itself; empty where none did.
    pub release: String,
    /// Failures, or why it did not run; and where to read more.
    pub details: Vec<String>,
}

/// What came of a row, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// The machine itself, or what it is made of, went wrong: that says nothing about the agent.
    Broken,
    /// Something that it needs cannot be had, or it does not suit the options: never a pass.
    NotRun,
}

/// How a run is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// A row that did not run is a failure.
    pub strict: bool,
    /// The agent is one that does nothing: a scenario that it passes proves nothing, and that is the
    /// failure then.
    pub must_fail: bool,
}

/// How many passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// As they should.
    pub passed: usize,
    /// Not as they should.
    pub failed: usize,
    /// Neither: they did not run.
    pub skipped: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Row {
    /// One that passed in no time; for those who know more.
    #[must_use]
    pub fn passed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            verdict: Verdict::Passed,
            is_boot: false,
            time: Duration::ZERO,
            note: String::new(),
            release: String::new(),
            details: Vec::new(),
        }
    }

    /// Takes in what was judged of a boot that lasted `time`: where a demand was not met the row is
    /// `otherwise`. `boot` names it in a row of several.
    pub fn add_boot(
        &mut self,
        boot: Option<&str>,
        time: Duration,
        judgement: Judgement,
        otherwise: Verdict,
        log: &Path,
    ) {
        self.time += time;
        if !judgement.failures.is_empty() {
            self.verdict = otherwise;
            let told = judgement.failures.iter().map(|failure| match boot {
                Some(boot) => format!("{boot}: {failure}"),
                None => failure.to_string(),
            });
            self.details.extend(told);
            self.details.push(format!("log: {}", log.display()));
        }
        if !judgement.release.is_empty() {
            self.release = judgement.release;
        }
    }

    /// Notes how long a boot of several took.
    pub fn note_time(&mut self, boot: &str, time: Duration) {
        let comma = if self.note.is_empty() { "" } else { ", " };
        self.note += &format!("{comma}{boot} {:.0} s", time.as_secs_f64());
    }

    /// One that did not run.
    #[must_use]
    pub fn not_run(name: &str, reason: &str) -> Self {
        Self {
            verdict: Verdict::NotRun,
            details: vec![reason.to_owned()],
            ..Self::passed(name)
        }
    }

    /// One that came to nothing: not run for want of something, or else `otherwise`.
    #[must_use]
    pub fn without(name: &str, trouble: Trouble, otherwise: Verdict) -> Self {
        match trouble {
            Trouble::Unavailable(Unavailable { reason, log }) => {
                let mut row = Self::not_run(name, &reason);
                let log = log.map(|path| format!("log: {}", path.display()));
                row.details.extend(log);
                row
            }
            Trouble::Failed(text) => Self {
                verdict: otherwise,
                details: vec![text],
                ..Self::passed(name)
            },
        }
    }

    /// The same row as one of a boot.
    #[must_use]
    pub fn boot(self) -> Self {
        Self {
            is_boot: true,
            ..self
        }
    }

    /// Whether it is as it should be.
    #[must_use]
    pub fn is_good(&self, rules: Rules) -> bool {
        match self.verdict {
            Verdict::Passed => !rules.must_fail,
            Verdict::Failed => rules.must_fail,
            Verdict::Broken | Verdict::NotRun => false,
        }
    }

    /// Its verdict under these rules; `NOT RUN` with the reason.
    #[must_use]
    pub fn words(&self, rules: Rules) -> String {
        let word = match (self.verdict, rules.must_fail) {
            (Verdict::Passed, false) => "passed",
            (Verdict::Failed, false) => "FAILED",
            (Verdict::Broken, _) => "BROKEN",
            (Verdict::Failed, true) => "failed, as it must",
            (Verdict::Passed, true) => "PASSED WITHOUT AN AGENT",
            (Verdict::NotRun, _) => {
                let reason = self.details.first().map_or("", String::as_str);
                return format!("NOT RUN: {reason}");
            }
        };
        word.to_owned()
    }

    /// How many of each it is.
    fn count(&self, rules: Rules) -> Count {
        let good = self.is_good(rules);
        let skipped = self.verdict == Verdict::NotRun && !rules.strict;
        Count {
            passed: usize::from(good),
            failed: usize::from(!good && !skipped),
            skipped: usize::from(skipped),
        }
    }
}

/// How many passed and failed. A run of boots in which nothing could be booted has one failure more:
/// it proves nothing.
#[must_use]
pub fn count(rows: &[Row], rules: Rules) -> Count {
    let mut count = Count::default();
    for row in rows {
        count += row.count(rules);
    }
    count.failed += usize::from(booted_nothing(rows) && count.failed == 0);
    count
}

/// Whether there were boots to run and not one ran.
fn booted_nothing(rows: &[Row]) -> bool {
    let mut boots = rows.iter().filter(|row| row.is_boot).peekable();
    boots.peek().is_some() && boots.all(|row| row.verdict == Verdict::NotRun)
}

/// The table, everything about what went wrong, and what did not run.
#[must_use]
pub fn report(rows: &[Row], rules: Rules) -> String {
    let line = |row: &Row| {
        let first = row.details.first().filter(|_| rules.must_fail);
        vec![
            row.name.clone(),
            match row.verdict {
                Verdict::NotRun => "NOT RUN".to_owned(),
                _ => row.words(rules),
            },
            format!("{:.1} s", row.time.as_secs_f64()),
            first.unwrap_or(&row.note).clone(),
        ]
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let table = table::render(&["Row", "Verdict", "Time", "Note"], &lines);
    format!("\n{table}{}", shortcomings(rows, rules))
}

/// Everything about what went wrong, and what did not run: what several rows have in common once.
#[must_use]
pub fn shortcomings(rows: &[Row], rules: Rules) -> String {
    let mut text = String::new();
    let (missing, bad): (Vec<_>, Vec<_>) = rows
        .iter()
        .filter(|row| !row.is_good(rules))
        .partition(|row| row.verdict == Verdict::NotRun);
    for row in bad {
        text += &format!("\n{}: {}\n", row.name, row.words(rules));
        text += &indented(&row.details);
    }
    if booted_nothing(rows) {
        text += "\nnothing could be booted: FAILED\n";
    }
    if !missing.is_empty() {
        text += "\nDid not run:\n";
    }
    let mut told: Vec<&[String]> = Vec::new();
    for row in &missing {
        if told.contains(&&row.details[..]) {
            continue;
        }
        told.push(&row.details);
        let same = missing.iter().filter(|other| other.details == row.details);
        let names: Vec<_> = same.map(|row| row.name.as_str()).collect();
        text += &format!("  {}\n{}", names.join(", "), indented(&row.details));
    }
    text
}

fn indented(details: &[String]) -> String {
    let lines = details
        .iter()
        .map(|detail| format!("    {}\n", detail.replace('\n', "\n    ")));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        strict: false,
        must_fail: false,
    };

    fn row(name: &str, verdict: Verdict) -> Row {
        Row {
            verdict,
            time: Duration::from_millis(9500),
            details: vec!["it: expected a, got b".to_owned(), "log: x".to_owned()],
            ..Row::passed(name).boot()
        }
    }

    #[test]
    fn a_failure_is_told_in_full_below_the_table() {
        let text = report(
            &[row("good", Verdict::Passed), row("bad", Verdict::Failed)],
            RULES,
        );
        let table = text.contains("good") && text.contains("passed") && text.contains("9.5 s");
        assert!(table, "{text}");
        let (_, below) = text.split_once("bad: FAILED").unwrap();
        assert_eq!(below, "\n    it: expected a, got b\n    log: x\n");
    }

    #[test]
    fn what_did_not_run_is_listed_once_for_each_reason() {
        let not = |name, reason| Row::not_run(name, reason).boot();
        let rows = [
            not("a", "404"),
            row("b", Verdict::Passed),
            not("c", "404"),
            not("d", "no qemu"),
        ];
        let (_, below) = report(&rows, RULES)
            .split_once("Did not run:\n")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!(below, "  a, c\n    404\n  d\n    no qemu\n");
        assert_eq!(rows[0].words(RULES), "NOT RUN: 404");
        assert_eq!(
            count(&rows, RULES).to_string(),
            "1 passed, 0 failed, 3 skipped"
        );
    }

    #[test]
    fn strict_makes_what_did_not_run_a_failure() {
        let rows = [Row::not_run("a", "404"), Row::passed("b")];
        let strict = Rules {
            strict: true,
            ..RULES
        };
        assert_eq!(
            count(&rows, strict).to_string(),
            "1 passed, 1 failed, 0 skipped"
        );
        assert_eq!(
            count(&rows, RULES).to_string(),
            "1 passed, 0 failed, 1 skipped"
        );
    }

    #[test]
    fn a_run_in_which_nothing_booted_has_failed() {
        let none = [Row::passed("format"), Row::not_run("a", "404").boot()];
        assert_eq!(count(&none, RULES).failed, 1);
        assert!(report(&none, RULES).contains("nothing could be booted: FAILED"));
        // Without boots there is nothing to miss.
        assert_eq!(count(&none[..1], RULES).failed, 0);
    }

    #[test]
    fn without_an_agent_only_a_failure_of_the_agent_is_good() {
        let rules = Rules {
            must_fail: true,
            ..RULES
        };
        for (verdict, good) in [
            (Verdict::Failed, true),
            (Verdict::Passed, false),
            (Verdict::Broken, false),
            (Verdict::NotRun, false),
        ] {
            assert_eq!(row("x", verdict).is_good(rules), good, "{verdict:?}");
        }
    }
}

//! Many scenarios, some at a time.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use anyhow::{Result, bail};
use qemu_tests::scenario::Scenario;
use qemu_tests::{matrix, scenarios};

use crate::bench::{Bench, Options, Outcome};
use crate::progress::say;
use crate::table;

/// What was learned about one scenario.
#[derive(Debug)]
pub struct Line {
    /// The scenario.
    pub name: String,
    verdict: Verdict,
    /// The kernel that booted, as it calls itself; empty where none did.
    pub release: String,
    /// Seconds.
    time: f64,
    /// Failures, and where to read more.
    details: Vec<String>,
}

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    /// The machine itself went wrong: that says nothing about the agent.
    Broken,
    /// It cannot be run here.
    Skipped,
}

/// How many passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// As they should.
    pub passed: usize,
    /// Not as they should.
    pub failed: usize,
    /// Neither: they could not be run here.
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
        write!(f, "{passed} passed, {failed} failed")?;
        match skipped {
            0 => Ok(()),
            _ => write!(f, ", {skipped} SKIPPED"),
        }
    }
}

/// Runs `scenarios`, `jobs` at a time. With `must_fail` the agent is one that
/// does nothing, and a scenario that it passes proves nothing: that is the failure then.
///
/// # Errors
/// Where a thread is lost; whatever happens to a machine is a verdict.
pub fn run(
    bench: &Bench,
    options: &Options,
    scenarios: &[Scenario],
    jobs: usize,
    must_fail: bool,
) -> Result<Vec<Line>> {
    let queue = Mutex::new(scenarios.iter());
    let (sender, receiver) = mpsc::channel();
    let mut lines: Vec<Line> = thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, scenarios.len().max(1)) {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || {
                let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                while let Some(scenario) = next() {
                    let line = match options.obstacle(scenario).or(bench.obstacle(scenario)) {
                        Some(reason) => Line::skipped(scenario, reason),
                        None => Line::new(scenario, bench.run(scenario, |_| {})),
                    };
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let all = receiver.iter().enumerate();
        let show = |(number, line): (usize, Line)| {
            let (done, total) = (number + 1, scenarios.len());
            let word = line.word(must_fail);
            say(format_args!(
                "{done:>3}/{total}  {:<28} {word:<24} {:>5.1} s",
                line.name, line.time
            ));
            line
        };
        all.map(show).collect()
    });
    if lines.len() != scenarios.len() {
        bail!(
            "{} of {} scenarios came to an end",
            lines.len(),
            scenarios.len()
        );
    }
    let place = |line: &Line| {
        scenarios
            .iter()
            .position(|scenario| scenario.name == line.name)
    };
    lines.sort_by_key(place);
    Ok(lines)
}

/// How many passed and failed.
#[must_use]
pub fn count(lines: &[Line], must_fail: bool) -> Count {
    let skipped = lines.iter().filter(|line| line.is_skipped()).count();
    let passed = lines.iter().filter(|line| line.is_good(must_fail)).count();
    Count {
        passed,
        failed: lines.len() - passed - skipped,
        skipped,
    }
}

impl Line {
    fn new(scenario: &Scenario, outcome: Result<Outcome>) -> Self {
        let (verdict, time, release, details) = match outcome {
            Err(error) => {
                let details = vec![format!("no machine: {error:#}")];
                (Verdict::Broken, 0.0, String::new(), details)
            }
            Ok(outcome) => {
                let judgement = &outcome.judgement;
                let verdict = match (judgement.failures.is_empty(), judgement.ended_well) {
                    (true, _) => Verdict::Passed,
                    (false, true) => Verdict::Failed,
                    (false, false) => Verdict::Broken,
                };
                let mut details: Vec<_> =
                    judgement.failures.iter().map(ToString::to_string).collect();
                details.push(format!("log: {}", outcome.log.display()));
                let release = outcome.judgement.release;
                (verdict, outcome.elapsed.as_secs_f64(), release, details)
            }
        };
        Self {
            name: scenario.name.clone().into_owned(),
            verdict,
            release,
            time,
            details,
        }
    }

    fn skipped(scenario: &Scenario, reason: &str) -> Self {
        Self {
            name: scenario.name.clone().into_owned(),
            verdict: Verdict::Skipped,
            release: String::new(),
            time: 0.0,
            details: vec![reason.to_owned()],
        }
    }

    /// One for tests.
    #[cfg(test)]
    pub fn made_up(name: &str, passed: bool, release: &str) -> Self {
        Self {
            name: name.to_owned(),
            verdict: if passed {
                Verdict::Passed
            } else {
                Verdict::Failed
            },
            release: release.to_owned(),
            time: 0.0,
            details: Vec::new(),
        }
    }

    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    fn is_skipped(&self) -> bool {
        self.verdict == Verdict::Skipped
    }

    fn is_good(&self, must_fail: bool) -> bool {
        self.verdict
            == if must_fail {
                Verdict::Failed
            } else {
                Verdict::Passed
            }
    }

    fn word(&self, must_fail: bool) -> &'static str {
        match (self.verdict, must_fail) {
            (Verdict::Passed, false) => "passed",
            (Verdict::Failed, false) => "FAILED",
            (Verdict::Broken, _) => "BROKEN",
            (Verdict::Skipped, _) => "SKIPPED",
            (Verdict::Failed, true) => "failed, as it must",
            (Verdict::Passed, true) => "PASSED WITHOUT AN AGENT",
        }
    }
}

/// The table, and everything about what went wrong.
#[must_use]
pub fn report(lines: &[Line], must_fail: bool) -> String {
    let row = |line: &Line| {
        let first = line
            .details
            .first()
            .map(String::as_str)
            .filter(|_| must_fail)
            .unwrap_or_default();
        let mut row = vec![
            line.name.to_owned(),
            line.word(must_fail).to_owned(),
            format!("{:.1} s", line.time),
        ];
        row.extend(must_fail.then(|| first.to_owned()));
        row
    };
    let mut heading = vec!["Scenario", "Verdict", "Time"];
    heading.extend(must_fail.then_some("First failure"));
    let rows: Vec<_> = lines.iter().map(row).collect();
    let table = table::render(&heading, &rows);
    format!("\n{table}{}", report_failures(lines, must_fail))
}

/// Everything about what went wrong.
#[must_use]
pub fn report_failures(lines: &[Line], must_fail: bool) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| !line.is_good(must_fail)) {
        text += &format!("\n{}: {}\n", line.name, line.word(must_fail));
        for detail in &line.details {
            text += &format!("    {}\n", detail.replace('\n', "\n    "));
        }
    }
    text
}

/// Every scenario there is, those of a test run first.
#[must_use]
pub fn everything(seed: u64) -> Vec<Scenario> {
    let mut all = scenarios::all(seed);
    let more = matrix::all().into_iter();
    let more: Vec<_> = more
        .filter(|scenario| all.iter().all(|other| other.name != scenario.name))
        .collect();
    all.extend(more);
    all
}

/// The scenarios called `names`, or those of a test run where there are no names.
///
/// # Errors
/// Where a name is unknown; the message has names that are like it.
pub fn choose(seed: u64, names: &[String]) -> Result<Vec<Scenario>> {
    if names.is_empty() {
        return Ok(scenarios::all(seed));
    }
    let all = everything(seed);
    for name in names {
        if !all.iter().any(|scenario| scenario.name == *name) {
            let mut near: Vec<_> = all.iter().map(|scenario| &*scenario.name).collect();
            let likeness = |other: &str| strsim::jaro_winkler(name, other);
            near.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
            near.truncate(3);
            bail!(
                "no scenario `{name}`; near it are {}; --list shows all",
                near.join(", ")
            );
        }
    }
    let wanted = |scenario: &Scenario| names.iter().any(|name| *name == scenario.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Every scenario and what it proves, as a table.
#[must_use]
pub fn list(scenarios: &[Scenario]) -> String {
    let row = |scenario: &Scenario| {
        [&scenario.name, &scenario.proves]
            .map(ToString::to_string)
            .to_vec()
    };
    table::render(
        &["Scenario", "Proves that"],
        &scenarios.iter().map(row).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, verdict: Verdict) -> Line {
        Line {
            name: name.to_owned(),
            verdict,
            release: "6.1.0".to_owned(),
            time: 9.5,
            details: vec!["it: expected a, got b".to_owned(), "log: x".to_owned()],
        }
    }

    #[test]
    fn a_failure_is_told_in_full_below_the_table() {
        let text = report(
            &[line("good", Verdict::Passed), line("bad", Verdict::Failed)],
            false,
        );
        assert!(
            text.contains("good") && text.contains("passed") && text.contains("9.5 s"),
            "{text}"
        );
        let (_, below) = text.split_once("bad: FAILED").unwrap();
        assert_eq!(below, "\n    it: expected a, got b\n    log: x\n");
    }

    #[test]
    fn without_an_agent_only_a_failure_of_the_agent_is_good() {
        for (verdict, good) in [
            (Verdict::Failed, true),
            (Verdict::Passed, false),
            (Verdict::Broken, false),
            (Verdict::Skipped, false),
        ] {
            assert_eq!(line("x", verdict).is_good(true), good, "{verdict:?}");
        }
    }

    #[test]
    fn names_choose_and_unknown_ones_are_told_their_neighbours() {
        let names = ["twins".to_owned(), "off".to_owned()];
        assert_eq!(choose(1, &names).unwrap().len(), 2);
        assert!(choose(1, &[]).unwrap().len() > 20);
        let error = choose(1, &["twin".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("`twin`") && error.contains("twins"),
            "{error}"
        );
    }
}

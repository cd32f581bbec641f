//! Demands that were not met, as they are collected.

use std::fmt;

/// A demand that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was looked at.
    pub what: String,
    /// What the scenario demands.
    pub expected: String,
    /// What was there.
    pub actual: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.what, self.expected, self.actual
        )
    }
}

/// Collects failures.
#[derive(Default)]
pub(super) struct Failures(pub(super) Vec<Failure>);

impl Failures {
    /// Adds one.
    pub(super) fn add(
        &mut self,
        what: impl fmt::Display,
        expected: impl fmt::Display,
        actual: impl fmt::Display,
    ) {
        self.0.push(Failure {
            what: what.to_string(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        });
    }

    /// Demands that two things are equal.
    pub(super) fn equal<T: PartialEq + fmt::Display>(
        &mut self,
        what: impl fmt::Display,
        expected: T,
        actual: T,
    ) {
        if expected != actual {
            self.add(what, expected, actual);
        }
    }
}

/// The failures of one run.
pub(super) struct RunFailures<'a> {
    pub(super) label: &'a str,
    pub(super) all: &'a mut Failures,
}

impl RunFailures<'_> {
    pub(super) fn add(
        &mut self,
        what: impl fmt::Display,
        expected: impl fmt::Display,
        actual: impl fmt::Display,
    ) {
        self.all
            .add(format_args!("{}: {what}", self.label), expected, actual);
    }

    pub(super) fn equal<T: PartialEq + fmt::Display>(
        &mut self,
        what: impl fmt::Display,
        expected: T,
        actual: T,
    ) {
        self.all
            .equal(format_args!("{}: {what}", self.label), expected, actual);
    }
}

/// A list in a sentence.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ")
}

//! What a check says.

use std::fmt;

use serde::Serialize;

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// It is as it should be, or told for information.
    #[serde(rename = "PASS")]
    Pass,
    /// It works, and something about it may not be meant.
    #[serde(rename = "WARN")]
    Warn,
    /// What is asked for does not work like this.
    #[serde(rename = "FAIL")]
    Fail,
    /// There is nothing to check here; the fact says why.
    #[serde(rename = "NOT APPLICABLE")]
    NotApplicable,
    /// It could not be read.
    #[serde(rename = "UNKNOWN")]
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::NotApplicable => "NOT APPLICABLE",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// What a check says, before it is known which one it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    verdict: Verdict,
    fact: String,
    read: Vec<String>,
    mend: Option<String>,
}

impl Said {
    fn new(verdict: Verdict, fact: impl Into<String>) -> Self {
        Self {
            verdict,
            fact: fact.into(),
            read: Vec::new(),
            mend: None,
        }
    }

    /// All is well, or this is for information.
    #[must_use]
    pub fn pass(fact: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, fact)
    }

    /// It works, but; and what mends it.
    #[must_use]
    pub fn warn(fact: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            mend: Some(mend.into()),
            ..Self::new(Verdict::Warn, fact)
        }
    }

    /// It does not work; and what mends it.
    #[must_use]
    pub fn fail(fact: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            mend: Some(mend.into()),
            ..Self::new(Verdict::Fail, fact)
        }
    }

    /// There is nothing to check, for this reason.
    #[must_use]
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self::new(Verdict::NotApplicable, why)
    }

    /// It could not be known, for this reason.
    #[must_use]
    pub fn unknown(why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            mend: Some(mend.into()),
            ..Self::new(Verdict::Unknown, why)
        }
    }

    /// The same, read there: a path below the root, or several.
    #[must_use]
    pub fn from(mut self, place: impl AsRef<str>) -> Self {
        let place = place.as_ref().trim_start_matches('/');
        self.read.push(format!("/{place}"));
        self
    }

    /// The finding of a check, about a function where it is one of those.
    #[must_use]
    pub fn of(self, check: &'static str, function: Option<String>) -> Finding {
        Finding {
            check,
            function,
            verdict: self.verdict,
            fact: self.fact,
            read: self.read,
            mend: self.mend,
        }
    }
}

/// Something that is there and could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its place below the root.
    pub path: String,
    /// What the system answered.
    pub answer: String,
    /// Whether root may read it.
    pub denied: bool,
}

impl Unread {
    /// What a check says that needs it.
    #[must_use]
    pub fn said(self) -> Said {
        let path = self.path.trim_start_matches('/').to_owned();
        let said = match self.denied {
            true => Said::unknown(format!("/{path} could not be read"), "run as root"),
            false => Said::unknown(
                format!("/{path} could not be read: {}", self.answer),
                "look at it by hand",
            ),
        };
        said.from(path)
    }
}

/// What a check answers.
pub type Answer = Result<Said, Unread>;

/// A line of a doctor's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check, which stays the same from version to version.
    pub check: &'static str,
    /// The function that it is about; none where it is the machine.
    pub function: Option<String>,
    /// What it comes to.
    pub verdict: Verdict,
    /// What was found, in a sentence without a full stop.
    pub fact: String,
    /// Where it was read.
    pub read: Vec<String>,
    /// The command or the setting that mends it.
    pub mend: Option<String>,
}

/// The exit status of findings: 1 with a FAIL among them, else 2 with something that could not be known, else 0.
#[must_use]
pub fn exit(findings: &[Finding]) -> u8 {
    let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    match (has(Verdict::Fail), has(Verdict::Unknown)) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fail_weighs_more_than_what_is_not_known_and_a_warning_nothing() {
        let finding = |said: Said| said.of("x", None);
        let pass = finding(Said::pass("a"));
        let warn = finding(Said::warn("a", "b"));
        let fail = finding(Said::fail("a", "b"));
        let unknown = finding(Said::unknown("a", "b"));
        assert_eq!(exit(&[pass.clone(), warn]), 0);
        assert_eq!(exit(&[pass, unknown.clone()]), 2);
        assert_eq!(exit(&[unknown, fail]), 1);
    }
}

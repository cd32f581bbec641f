//! The policy file, looked at line by line: a message that names a file and a line is mended at once.

use serde::Serialize;
use vfio_bind_agent::policy::Policy;
use vfio_bind_agent::policy::problem::Severity;
use vfio_bind_agent::policy::sources::Sources;

/// Something that its owner should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The line, from 1 on.
    pub line: usize,
    /// Whether a part of the policy has no effect.
    pub error: bool,
    /// What it is.
    pub text: String,
}

impl Finding {
    /// It as a line, behind the name of the file.
    #[must_use]
    pub fn told(&self, file: &str) -> String {
        format!("{file}:{}: {}", self.line, self.text)
    }
}

/// What is to be said of a policy file by itself, without the machine that it is for.
#[must_use]
pub fn findings(text: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut end, mut known) = (0, 0);
    for (line, piece) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        end += piece.len();
        // A line may go on with what the one before it began: what it adds to all before it is its own.
        let policy = Policy::read(&Sources {
            file: &text[..end],
            ..Sources::default()
        });
        for problem in policy.problems.iter().skip(known) {
            findings.push(Finding {
                line,
                error: problem.severity() == Severity::Error,
                text: problem.to_string(),
            });
        }
        if policy.more_problems > 0 {
            findings.push(Finding {
                line,
                error: true,
                text: "there are more problems from here on; nothing is bound".to_owned(),
            });
            break;
        }
        known = policy.problems.len();
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let text = b"# cards\nvfio.bind=42:00.0\n\nvfio.bnid=43:00.0\nvfio.group=some # all\n\
                     vfio_pci.ids=10de:1b80,\n10de:10f0\nvfio.bind=9:9\n";
        let found = findings(text);
        let lines: Vec<_> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 5, 7, 8], "{found:?}");
        assert!(found[0].text.starts_with("vfio.bnid is no parameter"));
        assert!(found.iter().any(|finding| finding.error));
        assert_eq!(
            findings(b"\nvfio.bind=9:9")[0].told("policy.conf"),
            "policy.conf:2: vfio.bind: `9:9`: expected a bus of two digits at `9`"
        );
        for clean in [
            &b""[..],
            b"vfio.bind=42:00.0\n",
            b"vfio.bind=\"label:a #1\" # x",
        ] {
            assert_eq!(findings(clean), []);
        }
    }
}

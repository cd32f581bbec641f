//! What the page of a release says: its part of CHANGELOG.md.

use anyhow::{Context, Result};

/// What `changes` has below the heading of a version (`## VERSION - DATE`).
///
/// # Errors
/// Where there is no such heading, or nothing below it.
pub fn of(changes: &str, version: &str) -> Result<String> {
    let is_heading = |line: &str| line.starts_with("## ");
    let is_own = |line: &str| {
        let rest = line.strip_prefix("## ");
        rest.and_then(|rest| rest.split(' ').next()) == Some(version)
    };
    let lines = changes.lines().skip_while(|line| !is_own(line)).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !is_heading(line)).collect();
    let text = lines.join("\n");
    let text = text.trim();
    (!text.is_empty())
        .then(|| format!("{text}\n"))
        .with_context(|| format!("CHANGELOG.md has nothing below `## {version} - DATE`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_its_own_part() {
        let changes =
            "# Changes\n\n## 0.2.0 - 2026-11-27\n\n### Added\n- b\n\n## 0.1.0 - 2026-01-01\n- a\n";
        assert_eq!(of(changes, "0.2.0").unwrap(), "### Added\n- b\n");
        assert_eq!(of(changes, "0.1.0").unwrap(), "- a\n");
        for version in ["0.2", "0.3.0", ""] {
            assert!(of(changes, version).is_err(), "{version}");
        }
    }
}

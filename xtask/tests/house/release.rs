//! One version: that of the workspace, of the newest release in CHANGELOG.md, at the foot of every manual page and in
//! the name of the package that README.md installs.

use std::fs;

use crate::workspace;

/// The version and the date of the newest release: `## 0.2.0 - 2026-11-27`, behind what is not released yet.
fn newest(changes: &str) -> Option<(&str, &str)> {
    let mut headings = changes.lines().filter_map(|line| line.strip_prefix("## "));
    headings
        .find(|heading| *heading != "Unreleased")?
        .split_once(" - ")
}

/// What is at the foot of a page: its date and its source.
fn foot(page: &str) -> Option<(&str, &str)> {
    let first = page.lines().next()?.strip_prefix(".TH ")?;
    let (before, source) = first.strip_suffix('"')?.rsplit_once(" \"")?;
    Some((before.rsplit_once(' ')?.1, source))
}

#[test]
fn the_newest_release_has_the_version_of_the_workspace() {
    let changes = fs::read_to_string(workspace().join("CHANGELOG.md")).unwrap();
    let (version, date) = newest(&changes).expect("CHANGELOG.md: no heading `## VERSION - DATE`");
    assert_eq!(
        version,
        env!("CARGO_PKG_VERSION"),
        "CHANGELOG.md and Cargo.toml"
    );
    let is_date = |text: &str| {
        let has_digits = text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_digit());
        has_digits && text.split('-').map(str::len).eq([4, 2, 2])
    };
    assert!(is_date(date), "CHANGELOG.md: {date:?} is no date");
}

#[test]
fn manual_pages_have_the_version_and_the_date_of_the_newest_release() {
    let changes = fs::read_to_string(workspace().join("CHANGELOG.md")).unwrap();
    let (version, date) = newest(&changes).unwrap();
    let source = format!("vfio-bind {version}");
    let mut pages = 0;
    for entry in fs::read_dir(workspace().join("man")).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        assert_eq!(foot(&page), Some((date, &source[..])), "{}", path.display());
        pages += 1;
    }
    assert!(pages > 1, "only {pages} pages");
}

#[test]
fn the_first_page_installs_the_package_of_that_version() {
    let page = fs::read_to_string(workspace().join("README.md")).unwrap();
    let package = concat!("vfio-bind_", env!("CARGO_PKG_VERSION"), "-1_amd64.deb");
    assert!(page.contains(package), "README.md does not name {package}");
}

#[test]
fn a_release_and_a_foot_are_found_where_they_stand() {
    let changes = "# Changes\n\n## Unreleased\n\n## 1.2.3 - 2026-01-02\n\n## 1.2.2 - 2025-01-02\n";
    assert_eq!(newest(changes), Some(("1.2.3", "2026-01-02")));
    assert_eq!(newest("## Unreleased\n"), None);
    let page = ".TH X 8 2026-01-02 \"vfio-bind 1.2.3\"\n.SH NAME\n";
    assert_eq!(foot(page), Some(("2026-01-02", "vfio-bind 1.2.3")));
    assert_eq!(foot(".SH NAME\n"), None);
}

//! What people read leads somewhere: every link between files of the repository, down to the heading.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace;

/// The Markdown files below a folder, but neither what was built nor hidden ones.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The targets of `[text](target)` that are no addresses of another site.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1);
    let targets = links.filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

/// What a heading is called in an address.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|char| match char {
        ' ' => Some('-'),
        '-' | '_' => Some(char),
        _ => char.is_alphanumeric().then_some(char),
    });
    kept.collect::<String>().to_lowercase()
}

/// Whether a page has the heading.
fn has_heading(text: &str, wanted: &str) -> bool {
    let mut headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.any(|heading| anchor(heading.trim_start_matches('#')) == wanted)
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut all = Vec::new();
    pages(workspace(), &mut all);
    let mut links = 0;
    let mut broken = Vec::new();
    for page in &all {
        let text = fs::read_to_string(page).unwrap();
        for target in targets(&text) {
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let leads_to = match file {
                "" => page.clone(),
                _ => page.parent().unwrap().join(file),
            };
            let is_there = leads_to.exists()
                && (heading.is_empty()
                    || has_heading(&fs::read_to_string(&leads_to).unwrap(), heading));
            if !is_there {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(links > 40, "only {links} links in {} pages", all.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn links_and_headings_are_read_as_they_are_written() {
    let text = "# One, two\n[a](b.md#c) and [d](https://e/f), [g](#one-two)\n";
    assert_eq!(targets(text).collect::<Vec<_>>(), ["b.md#c", "#one-two"]);
    assert!(has_heading(text, "one-two"));
    assert!(!has_heading(text, "one"));
    assert_eq!(anchor(" managed='no' or 'yes'"), "managedno-or-yes");
}

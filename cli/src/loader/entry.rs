//! Boot entries in files of their own, by the Boot Loader Specification (uapi-group.org/specifications).

use std::cmp::Ordering;
use std::ops::Range;

use anyhow::Result;

use super::change::BootLine;
use super::line;
use super::view::View;

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub path: String,
    /// `title`.
    pub title: String,
    /// `version`.
    pub version: String,
    /// `linux`, the kernel.
    pub linux: String,
    /// Where the values of `options` are in the file; more than one are added up.
    pub options: Vec<Range<usize>>,
    /// They, as one line.
    pub line: String,
}

/// The name of an entry without its count of tries: `+LEFT`, or `+LEFT-DONE`, at its end (Boot Loader
/// Specification, "Boot counting"). A version may have a `+` of its own: `6.12.118+deb13-amd64`.
#[must_use]
pub fn without_tries(stem: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_count = |text: &str| text.split('-').count() <= 2 && text.split('-').all(is_number);
    match stem.rsplit_once('+') {
        Some((stem, count)) if is_count(count) => stem,
        _ => stem,
    }
}

impl Entry {
    /// The name of the file, without a count of tries.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let stem = name.strip_suffix(".conf").unwrap_or(name);
        format!("{}.conf", without_tries(stem))
    }

    /// Whether its name has a count of tries.
    #[must_use]
    pub fn counted(&self) -> bool {
        !self.path.ends_with(&format!("/{}", self.id()))
    }

    /// Whether it is there for when nothing else boots.
    #[must_use]
    pub fn rescue(&self) -> bool {
        let id = self.id();
        ["rescue", "fallback", "recovery"]
            .iter()
            .any(|word| id.contains(word) || self.version.contains(word))
    }

    /// It as it boots.
    #[must_use]
    pub fn boot_line(&self) -> BootLine {
        BootLine {
            entry: self.path.rsplit('/').next().unwrap_or_default().to_owned(),
            line: self.line.clone(),
        }
    }
}

/// An entry file; what is no UTF-8 in it is no part of what is looked for.
#[must_use]
pub fn parse(path: &str, bytes: &[u8]) -> Entry {
    let mut entry = Entry {
        path: path.to_owned(),
        ..Entry::default()
    };
    let mut at = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = at;
        at += piece.len();
        let Ok(text) = std::str::from_utf8(piece) else {
            continue;
        };
        let key = text.split_whitespace().next().unwrap_or_default();
        let from = text.find(key).unwrap_or_default() + key.len();
        let value = text.get(from..).unwrap_or_default();
        let lead = value.len() - value.trim_start().len();
        let value = value.trim();
        match key {
            "title" => value.clone_into(&mut entry.title),
            "version" => value.clone_into(&mut entry.version),
            "linux" => value.clone_into(&mut entry.linux),
            "options" => {
                let from = start + from + lead;
                entry.options.push(from..from + value.len());
                let parts = [entry.line.as_str(), value];
                entry.line = parts.join(" ").trim().to_owned();
            }
            _ => {}
        }
    }
    entry
}

/// The entries of a directory, the one that boots by itself first: the newest, and those for rescue last.
///
/// # Errors
/// Where they cannot be read.
pub fn entries(view: &View<'_>, directory: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for path in view.files(directory, ".conf")? {
        if let Some(bytes) = view.read(&path)? {
            entries.push(parse(&path, &bytes));
        }
    }
    let name = |entry: &Entry| (entry.version.clone(), entry.id());
    entries.sort_by(|one, two| {
        let newer =
            newer(&name(two).0, &name(one).0).then_with(|| newer(&name(two).1, &name(one).1));
        one.rescue().cmp(&two.rescue()).then(newer)
    });
    Ok(entries)
}

/// Which of two versions is higher: numbers as numbers, all else by its bytes.
#[must_use]
pub fn newer(one: &str, two: &str) -> Ordering {
    let (one, two) = (parts(one), parts(two));
    for (one, two) in one.iter().zip(&two) {
        let order = match (one.parse::<u64>(), two.parse::<u64>()) {
            (Ok(one), Ok(two)) => one.cmp(&two),
            _ => one.cmp(two),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    one.len().cmp(&two.len())
}

fn parts(version: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit());
        let (part, next) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(part);
        rest = next;
    }
    parts
}

/// What is in all of a directory's entries, as it boots.
///
/// # Errors
/// Where they cannot be read.
pub fn lines(view: &View<'_>, directories: &[&str]) -> Result<Vec<BootLine>> {
    let mut lines = Vec::new();
    for directory in directories {
        let entries = entries(view, &format!("{directory}/loader/entries"))?;
        lines.extend(entries.iter().map(Entry::boot_line));
    }
    Ok(lines)
}

/// Whether a line says where the root file system is.
#[must_use]
pub fn rooted(text: &str) -> bool {
    line::words(text).iter().any(|word| {
        ["root=", "mount.usr=", "usrhash=", "roothash="]
            .iter()
            .any(|key| word.starts_with(key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_line_by_line() {
        let text =
            b"title  A b\nversion 6.1\nlinux /v\noptions root=1 \noptions\tquiet\n# options no\n";
        let entry = parse("boot/loader/entries/x-6.1+3-1.conf", text);
        assert_eq!(entry.line, "root=1 quiet");
        assert_eq!(&text[entry.options[0].clone()], b"root=1");
        assert_eq!(&text[entry.options[1].clone()], b"quiet");
        assert_eq!(
            (entry.id().as_str(), entry.title.as_str()),
            ("x-6.1.conf", "A b")
        );
    }

    #[test]
    fn only_a_count_of_tries_is_taken_off() {
        for (name, expected) in [
            ("m-6.1+3", "m-6.1"),
            ("m-6.1+3-1", "m-6.1"),
            ("m-6.12.118+deb13-amd64", "m-6.12.118+deb13-amd64"),
            ("m-6.12.118+deb13-amd64+3-1", "m-6.12.118+deb13-amd64"),
            ("m-6.1+", "m-6.1+"),
            ("m-6.1+3-", "m-6.1+3-"),
            ("m-6.1+3-1-2", "m-6.1+3-1-2"),
            ("m-6.1", "m-6.1"),
        ] {
            assert_eq!(without_tries(name), expected);
        }
    }

    #[test]
    fn versions_are_sorted_by_their_numbers() {
        for (low, high) in [
            ("6.9.1", "6.10.0"),
            ("6.1.0-18-amd64", "6.1.0-20-amd64"),
            ("6.1", "6.1.1"),
            ("", "1"),
        ] {
            assert_eq!(newer(low, high), Ordering::Less, "{low} {high}");
        }
    }
}

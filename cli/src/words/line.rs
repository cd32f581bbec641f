//! Words on a kernel command line.

use std::path::Path;

use anyhow::Result;
use vfio_bind_agent::policy::grammar;

use super::device;
use crate::preview::known;

/// A line with more words at its end: in front of what is for init (`--`).
#[must_use]
pub fn with(line: &str, words: &[String]) -> String {
    let line = line.trim();
    let (line, init) = match line.strip_suffix(" --") {
        Some(line) => (line, " --".to_owned()),
        None => match line.split_once(" -- ") {
            Some((line, init)) => (line, format!(" -- {init}")),
            None if line == "--" => ("", " --".to_owned()),
            None => (line, String::new()),
        },
    };
    let all: Vec<_> = [line]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    format!("{}{init}", all.join(" ").trim())
}

/// The words for arguments that are words, selectors or names of devices: what `vfio.bind=` takes is left as it
/// was written.
///
/// # Errors
/// Where a name is nothing that the system at `root` has.
pub fn of_arguments(root: &Path, arguments: &[String]) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for argument in arguments {
        let text = argument.trim();
        if is_word(text) {
            words.push(text.to_owned());
            continue;
        }
        let selector = match grammar::parse(text.as_bytes()) {
            Ok(_) => text.to_owned(),
            // An address with a mistake in it is the plan's to tell.
            Err(_) if text.contains(':') && !text.starts_with('/') => text.to_owned(),
            Err(_) => {
                let tree = known::open(root)?;
                let functions = device::find(root, &tree, text)?.functions;
                let all: Vec<_> = functions.iter().map(ToString::to_string).collect();
                all.join(",")
            }
        };
        let quote = if selector.contains(' ') { "\"" } else { "" };
        words.push(format!("vfio.bind={quote}{selector}{quote}"));
    }
    Ok(words)
}

/// Whether an argument is a word of a kernel command line: one of ours, or any with a value.
fn is_word(text: &str) -> bool {
    let name = text.strip_prefix("rd.").unwrap_or(text);
    let ours = ["vfio.", "vfio_pci.", "vfio-pci."]
        .into_iter()
        .any(|start| name.starts_with(start));
    let with_value = text
        .split_once('=')
        .is_some_and(|(name, _)| !name.contains(['/', ':']));
    ours || with_value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_before_what_is_for_init() {
        let words = ["vfio.bind=42:00.0".to_owned(), "vfio.force".to_owned()];
        for (line, expected) in [
            ("quiet\n", "quiet vfio.bind=42:00.0 vfio.force"),
            ("", "vfio.bind=42:00.0 vfio.force"),
            (
                "quiet -- single x",
                "quiet vfio.bind=42:00.0 vfio.force -- single x",
            ),
            ("quiet --", "quiet vfio.bind=42:00.0 vfio.force --"),
            ("--", "vfio.bind=42:00.0 vfio.force --"),
            ("a--b", "a--b vfio.bind=42:00.0 vfio.force"),
        ] {
            assert_eq!(with(line, &words), expected, "{line:?}");
        }
        assert_eq!(with("quiet\n", &[]), "quiet");
    }

    #[test]
    fn selectors_stay_as_they_are_written_and_words_are_words() {
        let of = |text: &str| of_arguments(Path::new("/nowhere"), &[text.to_owned()]).unwrap();
        for (argument, expected) in [
            ("02:00.0", "vfio.bind=02:00.0"),
            ("10de:2204", "vfio.bind=10de:2204"),
            ("!02:00.0", "vfio.bind=!02:00.0"),
            ("label:Onboard LAN", "vfio.bind=\"label:Onboard LAN\""),
            ("vf:03:00.0#0-3", "vfio.bind=vf:03:00.0#0-3"),
            ("0000:4z:00.0", "vfio.bind=0000:4z:00.0"),
            ("vfio.group=strict", "vfio.group=strict"),
            ("rd.vfio.force", "rd.vfio.force"),
            ("intel_iommu=on", "intel_iommu=on"),
        ] {
            assert_eq!(of(argument), [expected], "{argument}");
        }
    }
}

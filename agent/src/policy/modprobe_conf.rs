//! What modprobe.d says of vfio-pci: the parameters that kmod hands to it, and what keeps them from it.
//!
//! Not a general reader of modprobe.d. It follows kmod 30 to 34 (libkmod-config.c, and
//! `freadline_wrapped` in shared/util.c): files by name over all directories, where the first directory
//! that has a name wins; a `\` joins lines, in the middle of a word too, and goes away before any other
//! letter; `#` begins a comment only as the first letter of a line; blanks and tabs end the first two
//! words, and the rest is handed to the kernel as it stands, quotes included. All `options` lines of a
//! module become one text, which the kernel splits.

use heapless::Vec;

use crate::machine::Root;
use crate::machine::sysfs::{Path, last_component, path};
use crate::policy::kernel_ids;
use crate::text::cmdline::same_name;
use crate::text::glob::matches;
use crate::text::misread::split;
use crate::text::{Plain, Text, clip, one_of};

static DIRECTORIES: [&str; 5] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];

/// The longest file that is read to its end.
pub const FILE_LEN: usize = 16 * 1024;

/// The longest parameters for vfio-pci, of all files together.
const OPTIONS_LEN: usize = 4096;

/// What modprobe.d says of vfio-pci.
#[derive(Default)]
pub struct ModprobeConf {
    /// The text of all `options vfio-pci` lines, as the kernel gets it.
    pub options: Vec<u8, OPTIONS_LEN>,
    /// Its `install` line; of several, kmod takes the first.
    pub install: Vec<Line, 1>,
    /// A line about vfio-pci, or of IDs, that kmod ignores: the first of them.
    pub ignored: Vec<Line, 1>,
    /// A file, or all options together, did not fit, so that the parameters are not known.
    pub cut: bool,
}

/// A line of modprobe.d.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its file, and the line as kmod reads it; what is too long for a message ends in `…`.
    pub text: Path,
    /// Whether it is there to keep a module from being loaded, as `install vfio-pci /bin/false` is.
    pub forbids: bool,
}

/// What the first word of a line has kmod do.
#[derive(Clone, Copy)]
enum Command {
    /// Hand parameters to a module.
    Options,
    /// Run something in place of loading it.
    Install,
    /// Something that does not matter here.
    Other,
}

impl Line {
    fn new(file: &Path, text: &[u8], program: &[u8]) -> Self {
        Self {
            text: path(format_args!("{file}: `{}`", Text(text))),
            forbids: [&b"false"[..], b"true", b":"].contains(&last_component(program)),
        }
    }
}

impl ModprobeConf {
    /// Nothing was read.
    pub const EMPTY: Self = Self {
        options: Vec::new(),
        install: Vec::new(),
        ignored: Vec::new(),
        cut: false,
    };

    /// Reads all files, one after another by way of `buffer`.
    pub fn read(&mut self, root: &dyn Root, buffer: &mut [u8; FILE_LEN]) {
        let mut last = Path::default();
        while let Some((directory, name)) = next_file(root, &last) {
            let file = path(format_args!("{}/{name}", Plain(directory)));
            // A file that cannot be read is none to kmod either.
            let length = root.read(&file, buffer).map_or(0, <[u8]>::len);
            self.cut |= length == FILE_LEN;
            self.take(&file, buffer.get_mut(..length).unwrap_or_default());
            last = name;
        }
    }

    /// Takes in the text of a file.
    fn take(&mut self, file: &Path, text: &mut [u8]) {
        for line in split(join(text), b'\n') {
            // To kmod a line is a C string.
            let line = split(line, 0).next().unwrap_or(line);
            if line.first() != Some(&b'#') {
                self.line(file, line);
            }
        }
    }

    fn line(&mut self, file: &Path, line: &[u8]) {
        let (command, rest) = word(line);
        let (module, rest) = word(rest);
        let ours = same_name(module, b"vfio_pci");
        const KNOWN: &[(&str, Command)] = &[
            ("options", Command::Options),
            ("install", Command::Install),
            ("alias", Command::Other),
            ("blacklist", Command::Other),
            ("remove", Command::Other),
            ("softdep", Command::Other),
            ("weakdep", Command::Other),
        ];
        let counts = match one_of(command, KNOWN) {
            Some(Command::Options) if ours && !rest.is_empty() => {
                let mut put = |text: &[u8]| self.options.extend_from_slice(text).is_err();
                self.cut |= put(rest) || put(b" ");
                true
            }
            Some(Command::Options) => !begins_like_ours(module),
            Some(Command::Install) if !rest.is_empty() && is_pattern_of_ours(module) => {
                // It holds the first one only.
                let _ = self.install.push(Line::new(file, line, word(rest).0));
                true
            }
            Some(_) => true,
            // To kmod it is none, but a person means a comment.
            None => command.starts_with(b"#"),
        };
        let about_us = begins_like_ours(command) || begins_like_ours(module) || is_id(command);
        if about_us && !counts {
            let _ = self.ignored.push(Line::new(file, line, b""));
        }
    }
}

/// The next word, which blanks and tabs end, and what stands behind the one letter that ends it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().take_while(|byte| blank(byte)).count();
    let text = text.get(start..).unwrap_or_default();
    let end = text.iter().position(blank).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.get(1..).unwrap_or_default())
}

/// Whether the module of an `install` line, which may have wildcards (`fnmatch`), is vfio-pci.
fn is_pattern_of_ours(module: &[u8]) -> bool {
    same_name(module, b"vfio_pci") || matches(module, b"vfio_pci") || matches(module, b"vfio-pci")
}

fn begins_like_ours(word: &[u8]) -> bool {
    let head = word.get(..8).unwrap_or_default();
    same_name(head, b"vfio_pci") && !matches!(word.get(8), Some(b'_' | b'-' | b'a'..=b'z'))
}

/// Whether a word is a list of IDs, or a part of one.
fn is_id(word: &[u8]) -> bool {
    let mut items = kernel_ids::items(word.strip_prefix(b"ids=").unwrap_or(word));
    items.next().is_some_and(|item| item.pattern.is_some())
}

/// Takes out each `\`, with the line end behind it.
fn join(text: &mut [u8]) -> &[u8] {
    let (mut from, mut to) = (0usize, 0usize);
    while let Some(mut byte) = text.get(from).copied() {
        from = from.saturating_add(1);
        if byte == b'\\' {
            let next = text.get(from).copied();
            from = from.saturating_add(1);
            match next {
                Some(b'\n') | None => continue,
                Some(next) => byte = next,
            }
        }
        // It never gets ahead of what is read.
        if let Some(place) = text.get_mut(to) {
            *place = byte;
        }
        to = to.saturating_add(1);
    }
    text.get(..to).unwrap_or_default()
}

/// The file after `last` in the order of names, and the directory that it is taken from.
///
/// The directories are listed again for each file: there are few, and no limit to their number.
fn next_file(root: &dyn Root, last: &Path) -> Option<(&'static str, Path)> {
    let mut next: Option<(&'static str, Path)> = None;
    for directory in &DIRECTORIES {
        // Most images have one or two of the directories.
        let _ = root.list(directory, &mut |name| {
            let name: Path = clip(format_args!("{}", Text(name)));
            let earlier = next.as_ref().is_none_or(|(_, best)| name < *best);
            let hidden = name.starts_with('.');
            if name.ends_with(".conf") && !hidden && name > *last && earlier {
                next = Some((directory, name));
            }
        });
    }
    next
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::machine::sysfs::path;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn conf(text: &str) -> ModprobeConf {
        let mut conf = ModprobeConf::default();
        let file = path(format_args!("etc/modprobe.d/a.conf"));
        conf.take(&file, &mut text.as_bytes().to_vec());
        conf
    }

    #[test]
    fn options_lines_are_read_as_kmod_does() {
        for (text, options) in [
            (
                "options vfio-pci ids=10de:1b80,10de:10f0\n",
                "ids=10de:1b80,10de:10f0 ",
            ),
            (
                "options vfio_pci disable_vga=1 ids=1:2",
                "disable_vga=1 ids=1:2 ",
            ),
            ("  options\tvfio-pci   ids=1:2  \n", "  ids=1:2   "),
            ("options vfio-pci \\\n  ids=1:2\n", "  ids=1:2 "),
            ("options vfio-pci ids=1:2,\\\n3:4\n", "ids=1:2,3:4 "),
            ("opti\\\nons vfio-pci i\\ds=1:2\\", "ids=1:2 "),
            ("options vfio-pci \"ids=1:2\" b=\\\\\n", "\"ids=1:2\" b=\\ "),
            (
                "options vfio-pci ids=1:2\noptions vfio-pci ids=3:4\n",
                "ids=1:2 ids=3:4 ",
            ),
            ("options vfio-pci ids=1:2\r\n", "ids=1:2\r "),
            ("options vfio-pci ids=1:2\0,3:4\n", "ids=1:2 "),
            ("options vfio-pci ids=\n", "ids= "),
            ("options vfio-pci a # ids=1:2\n", "a # ids=1:2 "),
            ("# options vfio-pci ids=1:2\n", ""),
            ("#options vfio-pci \\\noptions vfio-pci ids=1:2\n", ""),
            ("options snd_hda_intel ids=1:2\n", ""),
            ("options\rvfio-pci ids=1:2\n", ""),
            ("softdep amdgpu pre: vfio-pci\n", ""),
            ("", ""),
            ("options", ""),
            ("options vfio-pci", ""),
            ("options vfio-pci ", ""),
        ] {
            let found = conf(text);
            let found = String::from_utf8(found.options.to_vec()).unwrap();
            assert_eq!(found, options, "{text:?}");
        }
    }

    #[test]
    fn what_kmod_ignores_is_found() {
        for (text, ignored) in [
            ("options vfio-pci ids=1:2,\n10de:10f0\n", Some("10de:10f0")),
            ("10de:10f0,\n10de:10f1 # b\n", Some("10de:10f0,")),
            ("ids=10de:10f0\n", Some("ids=10de:10f0")),
            ("vfio-pci ids=1:2\n", Some("vfio-pci ids=1:2")),
            ("option vfio-pci ids=1:2\n", Some("option vfio-pci ids=1:2")),
            (
                "options vfio_pci.ids=1:2\n",
                Some("options vfio_pci.ids=1:2"),
            ),
            ("vfio-pci.ids=1:2\n", Some("vfio-pci.ids=1:2")),
            (" # vfio-pci\n # 10de:10f0\n", None),
            ("options vfio-pci\n", Some("options vfio-pci")),
            (
                "blacklist vfio-pci\nalias a vfio-pci\nsoftdep a pre: vfio-pci\n",
                None,
            ),
            (
                "options vfio_pci_core a=b\noptions vfio-iommu-type1 a=b\n",
                None,
            ),
            (
                "remove vfio-pci /bin/true\ninclude /etc/x\nbanana split\n",
                None,
            ),
            ("options snd_hda_intel\n", None),
            ("add 10de:10f0\n", None),
        ] {
            let found = conf(text).ignored;
            let found = found.first().map(|line| line.text.to_string());
            let expected = ignored.map(|text| std::format!("etc/modprobe.d/a.conf: `{text}`"));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn the_first_install_line_counts() {
        for (text, install) in [
            (
                "install vfio-pci /sbin/a b\ninstall vfio-pci c\n",
                Some(("install vfio-pci /sbin/a b", false)),
            ),
            ("install vfio* a\n", Some(("install vfio* a", false))),
            ("install vfio-* a\n", Some(("install vfio-* a", false))),
            (
                "install vfio_pci /usr/bin/false\n",
                Some(("install vfio_pci /usr/bin/false", true)),
            ),
            ("install vfio_pci :\n", Some(("install vfio_pci :", true))),
            ("install vfio-pci\n", None),
            ("install vfio /sbin/a\n", None),
        ] {
            let found = conf(text).install;
            let found = found
                .first()
                .map(|line| (line.text.to_string(), line.forbids));
            let expected = install
                .map(|(text, forbids)| (std::format!("etc/modprobe.d/a.conf: `{text}`"), forbids));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn a_limit_is_told() {
        let fits = std::format!("options vfio-pci {}", "a".repeat(OPTIONS_LEN - 1));
        assert!(!conf(&fits).cut);
        assert!(conf(&std::format!("{fits}a")).cut);
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes: Vec<u8>, near in "((options|install|vfio-pci|ids=1:2|[\\\\ \\n#*])){0,12}") {
            let file = Path::default();
            ModprobeConf::default().take(&file, &mut bytes.clone());
            ModprobeConf::default().take(&file, &mut near.into_bytes());
        }
    }
}

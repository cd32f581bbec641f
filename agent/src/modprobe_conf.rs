//! `options vfio-pci ids=` of modprobe.d, which kmod hands to vfio-pci as if it were
//! `vfio_pci.ids=`.
//!
//! Not a general reader of modprobe.d: it knows `options` lines, comments and continued lines, and
//! kmod's order of files (modprobe.d(5)): by name over all directories, where the first directory
//! that has a name wins.

use heapless::Vec;

use crate::cmdline::{is_space, same_name};
use crate::host::{Path, Root, path};
use crate::kernel_ids::VALUE_LIMIT;
use crate::text::{Text, clip};

const DIRECTORIES: [&str; 5] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];

/// The longest file that is read to its end.
const FILE_LEN: usize = 16 * 1024;

/// A value; one byte more than the kernel takes, so that one that is too long stays too long.
pub type Value = Vec<u8, { VALUE_LIMIT + 1 }>;

/// The last `ids=` for vfio-pci in modprobe.d.
pub fn kernel_ids(root: &dyn Root) -> Option<Value> {
    let mut ids = None;
    let mut last = Path::new();
    while let Some((directory, name)) = next_file(root, &last) {
        let file = path(format_args!("{directory}/{name}"));
        let mut buffer = [0; FILE_LEN];
        // A file that cannot be read is none to kmod either.
        if let Ok(text) = root.read(&file, &mut buffer) {
            if text.len() == FILE_LEN {
                warn!("{file}: only the first {FILE_LEN} bytes are read");
            }
            if let Some(found) = last_ids(text) {
                let found = found.get(..=VALUE_LIMIT).unwrap_or(found);
                // It was cut to what fits.
                ids = Vec::from_slice(found).ok();
            }
        }
        last = name;
    }
    ids
}

/// The file after `last` in the order of names, and the directory that it is taken from.
///
/// The directories are listed again for each file: there are few, and no limit to their number.
fn next_file(root: &dyn Root, last: &Path) -> Option<(&'static str, Path)> {
    let mut next: Option<(&'static str, Path)> = None;
    for directory in DIRECTORIES {
        // Most images have one or two of the directories.
        let _ = root.list(directory, &mut |name| {
            let name: Path = clip(format_args!("{}", Text(name)));
            let earlier = next.as_ref().is_none_or(|(_, best)| name < *best);
            if name.ends_with(".conf") && name > *last && earlier {
                next = Some((directory, name));
            }
        });
    }
    next
}

/// The value of the last `ids=` on an `options vfio-pci` line.
fn last_ids(text: &[u8]) -> Option<&[u8]> {
    let mut ids = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (line, behind) = rest.split_at_checked(line_len(rest)).unwrap_or((rest, &[]));
        rest = behind;
        let apart = |byte: &u8| is_space(*byte) || *byte == b'\\';
        let mut words = line.split(apart).filter(|word| !word.is_empty());
        let ours = words.next() == Some(b"options")
            && words
                .next()
                .is_some_and(|module| same_name(module, b"vfio_pci"));
        if ours {
            ids = words
                .rev()
                .find_map(|word| word.strip_prefix(b"ids="))
                .or(ids);
        }
    }
    ids
}

/// The length of the first line, with what a `\` at its end continues.
fn line_len(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'\n' && !escaped;
        escaped = *byte == b'\\';
        ends
    });
    end.map_or(text.len(), |end| end.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_lines_are_read_as_kmod_does() {
        for (text, ids) in [
            (
                "options vfio-pci ids=10de:1b80,10de:10f0\n",
                Some("10de:1b80,10de:10f0"),
            ),
            ("options vfio_pci disable_vga=1 ids=1:2", Some("1:2")),
            ("  options\tvfio-pci   ids=1:2  \n", Some("1:2")),
            ("options vfio-pci \\\n  ids=1:2\n", Some("1:2")),
            (
                "options vfio-pci ids=1:2\noptions vfio-pci ids=3:4\n",
                Some("3:4"),
            ),
            (
                "options vfio-pci ids=1:2\noptions vfio-pci disable_vga=1\n",
                Some("1:2"),
            ),
            ("options vfio-pci ids=\n", Some("")),
            ("# options vfio-pci ids=1:2\n", None),
            ("#options vfio-pci ids=1:2\n", None),
            ("options snd_hda_intel ids=1:2\n", None),
            ("options vfio-pci xids=1:2\n", None),
            ("softdep amdgpu pre: vfio-pci\n", None),
            ("", None),
            ("options", None),
            ("options vfio-pci", None),
        ] {
            assert_eq!(
                last_ids(text.as_bytes()),
                ids.map(str::as_bytes),
                "{text:?}"
            );
        }
    }
}

//! The `ids=` that somebody hands to vfio-pci, whatever the policy makes of them.
//!
//! A module has its parameters from whoever loads it first. kmod puts together modprobe.d, the kernel
//! command line (of which it reads 4095 bytes, and does not stop at `--`) and its own arguments; the last
//! `ids=` counts. initramfs-tools gives it such arguments from its list of modules.

use crate::pci::id::{DeviceId, IdPattern};
use crate::policy::kernel_ids;
use crate::text::cmdline::{is_space, parameters, same_name};
use crate::text::misread::split;

/// The list of modules in an image of initramfs-tools, and the file that it is made of: `load_modules` of
/// its scripts/functions hands each line to modprobe, once init-top is done.
pub const MODULES: [&str; 2] = ["conf/modules", "etc/initramfs-tools/modules"];

/// What kmod reads of the kernel command line (`KCMD_LINE_SIZE` with its NUL).
const KMOD_LINE: usize = 4095;

/// The lists that vfio-pci may be given.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// By whoever calls modprobe without arguments.
    by_modprobe: Option<&'a [u8]>,
    /// By initramfs-tools.
    by_modules: Option<&'a [u8]>,
    /// Nobody knows, because a limit was reached.
    unknown: bool,
}

impl<'a> Handed<'a> {
    /// None.
    pub(crate) const EMPTY: Self = Self {
        by_modprobe: None,
        by_modules: None,
        unknown: false,
    };

    /// What comes of modprobe.d's options for vfio-pci, a line of modules and the kernel command line.
    #[must_use]
    pub fn read(options: &'a [u8], modules: &'a [u8], line: &'a [u8], unknown: bool) -> Self {
        let line = line.get(..KMOD_LINE).unwrap_or(line);
        let (by_options, ends) = last(options, "ids", true);
        let (by_modules, _) = last(modules, "ids", true);
        let (by_line, _) = last(line, "vfio_pci.ids", false);
        Self {
            by_modprobe: by_line.filter(|_| !ends).or(by_options),
            by_modules,
            unknown,
        }
    }

    /// Whether anybody may give vfio-pci anything.
    #[must_use]
    pub fn any(&self) -> bool {
        self.has(&|_| true)
    }

    /// Whether vfio-pci may take a function by such a list.
    pub(crate) fn takes(&self, id: &DeviceId) -> bool {
        self.has(&|pattern| pattern.matches(id))
    }

    /// Whether there may be such IDs in the lists. With a list that is too long vfio-pci is not loaded at
    /// all.
    fn has(&self, wanted: &dyn Fn(&IdPattern) -> bool) -> bool {
        let mut lists = [self.by_modprobe, self.by_modules].into_iter().flatten();
        self.unknown
            || lists.any(|list| {
                list.len() < kernel_ids::VALUE_LIMIT
                    && kernel_ids::items(list).any(|item| item.pattern.as_ref().is_some_and(wanted))
            })
    }
}

/// The last list of a name, and whether there is a bare `--`: of what a module is given the kernel reads
/// nothing behind that.
#[inline(never)] // Inlined, it makes the executable larger.
fn last<'a>(text: &'a [u8], name: &str, stops: bool) -> (Option<&'a [u8]>, bool) {
    let mut list = None;
    for word in parameters(text) {
        if word.name == b"--" && word.value.is_none() && stops {
            return (list, true);
        }
        if word.is(name) {
            list = word.value;
        }
    }
    (list, false)
}

/// What the first line for vfio-pci gives it, in a list of modules: a module is loaded once.
#[must_use]
pub fn line_of_modules(text: &[u8]) -> &[u8] {
    let mut lines = split(text, b'\n').filter_map(|line| {
        let line = line.trim_ascii_start();
        let end = line
            .iter()
            .position(|byte| is_space(*byte))
            .unwrap_or(line.len());
        let (module, options) = line.split_at_checked(end)?;
        same_name(module, b"vfio_pci").then_some(options)
    });
    lines.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn the_last_list_counts_as_kmod_puts_them_together() {
        let begin = |length| std::format!("vfio_pci.ids=1:1 {}", "a".repeat(length - 17));
        let fits = std::format!("{} vfio_pci.ids=3:3", begin(KMOD_LINE - 17));
        let cut = std::format!("{} vfio_pci.ids=3:3", begin(KMOD_LINE));
        let full = std::format!("ids={}", "1:1,".repeat(256));
        let too_long = std::format!("ids={}2:2", "1:1,".repeat(256));
        for (options, modules, line, ids) in [
            ("ids=1:1 ids=2:2", "", "quiet", &[2][..]),
            ("ids=1:1", "", "vfio-pci.ids=2:2", &[2]),
            ("ids=1:1", "", "vfio_pci.ids=2:2 -- vfio_pci.ids=3:3", &[3]),
            ("ids=1:1 -- ids=2:2", "", "vfio_pci.ids=3:3", &[1]),
            ("ids=1:1 --", "", "vfio_pci.ids=3:3", &[1]),
            ("ids=1:1", " ids=2:2", "vfio_pci.ids=3:3,4:4", &[2, 3, 4]),
            ("\"ids=1:1\" xids=2:2", "", "vfio.ids=2:2 ids=2:2", &[1]),
            ("ids=,", " ids", "vfio_pci.ids=1234", &[]),
            (&too_long, "", "quiet", &[]),
            (&full, "", "quiet", &[]),
            (&full[..full.len() - 1], "", "quiet", &[1]),
            ("", "", &fits, &[3]),
            ("", "", &cut, &[1]),
        ] {
            let texts = [options, modules, line].map(str::as_bytes);
            let handed = Handed::read(texts[0], texts[1], texts[2], false);
            let has = |vendor: &u32| handed.has(&|pattern| pattern.vendor == *vendor);
            let found: Vec<_> = (1..=4).filter(has).collect();
            assert_eq!(found, ids, "{options:?} {modules:?} {line:?}");
            assert_eq!(handed.any(), !ids.is_empty(), "{line:?}");
        }
        assert!(Handed::read(b"", b"", b"", true).any());
    }

    #[test]
    fn of_a_list_of_modules_the_first_line_counts() {
        for (text, options) in [
            ("vfio\nvfio_pci ids=1:2\nvfio_pci ids=3:4\n", " ids=1:2"),
            ("  vfio-pci\tids=1:2 a=b", "\tids=1:2 a=b"),
            ("vfio_pci\nvfio_pci ids=3:4\n", ""),
            ("#vfio_pci ids=1:2\n# vfio_pci ids=1:2\n", ""),
            ("vfio_pci_core ids=1:2\nvfio ids=1:2", ""),
            ("", ""),
        ] {
            let found = line_of_modules(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(found), options, "{text:?}");
        }
    }
}

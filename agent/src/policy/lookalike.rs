//! Words that look like ours and have no effect: what was probably meant.
//!
//! Words of other software are left in peace: a name counts only if it is one of ours but for dots,
//! dashes and capitals, and a lone word only behind a list that it may be a part of.

use crate::policy::{grammar, kernel_ids, vocabulary};
use crate::text::cmdline::Parameter;

/// What protects.
pub const PROTECT: &str = "vfio.protect";

/// The kernel's own.
const KERNEL_IDS: &str = "vfio_pci.ids";

/// The name that was probably meant by one that is none of ours.
#[must_use]
pub fn meant(name: &[u8]) -> Option<&'static str> {
    let name = name.strip_prefix(b"rd.").unwrap_or(name);
    if same_letters(name, b"vfioids") {
        return Some(KERNEL_IDS);
    }
    let mut names = vocabulary::names().chain([KERNEL_IDS]);
    names.find(|known| same_letters(name, known.as_bytes()))
}

/// Whether names are equal but for what stands between their words.
#[inline(never)] // Inlined, it makes the executable larger.
fn same_letters(name: &[u8], known: &[u8]) -> bool {
    let is_letter = |byte: &&u8| !matches!(**byte, b'-' | b'_' | b'.');
    let mut known = known.iter().filter(is_letter);
    let mut name = name.iter().filter(is_letter);
    name.all(|byte| {
        known
            .next()
            .is_some_and(|other| byte.eq_ignore_ascii_case(other))
    }) && known.next().is_none()
}

/// The items of a list that has no effect, perhaps with a name in front.
fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b',' | b'='))
}

/// Whether a list that has no effect may have excluded something.
#[must_use]
pub fn excludes(list: &[u8]) -> bool {
    let mut items = items(list);
    items.any(|item| item.starts_with(b"!"))
}

/// The text of a word that may be a part of a list, torn off by a space or a line end.
#[must_use]
pub fn torn_off<'a>(parameter: &Parameter<'a>) -> Option<&'a [u8]> {
    let text = parameter.name;
    let mut items = items(text);
    let item = items.find(|item| !item.is_empty())?;
    let whole = |item: kernel_ids::Item<'_>| item.pattern.is_some() && item.quirk.is_none();
    let is_item = item.starts_with(b"!")
        || grammar::parse(item).is_ok()
        || kernel_ids::items(item).any(whole);
    (is_item && parameter.value.is_none()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::cmdline::parameters;

    #[test]
    fn what_was_meant_is_found_and_other_software_left_in_peace() {
        for (name, expected) in [
            ("vfio-pci-ids", Some("vfio_pci.ids")),
            ("vfio_pci_ids", Some("vfio_pci.ids")),
            ("rd.vfio-pci.ids", Some("vfio_pci.ids")),
            ("VFIO_PCI.IDS", Some("vfio_pci.ids")),
            ("vfio.ids", Some("vfio_pci.ids")),
            ("vfio_bind", Some("vfio.bind")),
            ("vfio-bind", Some("vfio.bind")),
            ("VFIO.bind", Some("vfio.bind")),
            ("vfio_protect", Some("vfio.protect")),
            ("vfio-dry-run", Some("vfio.dry_run")),
            ("vfio.enable_unsafe_noiommu_mode", None),
            ("vfio_iommu_type1.allow_unsafe_interrupts", None),
            ("vfio-pci.disable_vga", None),
            ("vfio_pci.nointxmask", None),
            ("vfio_pci.disable_idle_d3", None),
            ("vfio_pci.enable_sriov", None),
            ("vfio_pcie.ids", None),
            ("vfiox.bind", None),
            ("xvfio.bind", None),
            ("pci-stub.ids", None),
            ("xen-pciback.hide", None),
            ("bind", None),
            ("ids", None),
            ("", None),
        ] {
            assert_eq!(meant(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_part_of_a_list_is_known() {
        for (text, is_part) in [
            ("10de:10f0", true),
            (",10de:10f0,", true),
            ("=42:00.0", true),
            ("!banana", true),
            ("42:00.0,banana", true),
            ("class:0c03", true),
            ("1:2", true),
            ("quiet", false),
            ("banana,42:00.0", false),
            ("dead:end", false),
            ("a.b:c", false),
            ("root=10de:10f0", false),
            (",", false),
        ] {
            let word = parameters(text.as_bytes()).next().unwrap();
            assert_eq!(torn_off(&word).is_some(), is_part, "{text}");
        }
    }
}

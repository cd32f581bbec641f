//! What a person may write behind `vfio.bind=` and `vfio.protect=`.
//!
//! ```text
//! SEL     := ['!'] TARGET ['@' VENDOR ':' DEVICE ...]
//!          | ['!'] 'vf:' TARGET ['@' VENDOR ':' DEVICE ...] ['#' INDEX ['-' INDEX] (',' INDEX ...)*]
//! TARGET  := ADDRESS | PATH | ID | KEY ':' VALUE
//! ADDRESS := [DOMAIN ':'] BUS ':' DEV ['.' (FUNC | '*')]
//! PATH    := [DOMAIN ':'] BUS ':' DEV '.' FUNC ('/' DEV '.' FUNC)+
//! ID      := VENDOR ':' DEVICE [':' SUBVENDOR ':' SUBDEVICE [':' CLASS [':' MASK]]]
//! KEY     := class | dsn | slot | label | acpi
//! ```
//! The widths tell address and ID apart: a bus and a device have exactly two digits, an ID exactly
//! four (or `*`). Stricter than the kernel on purpose: a typing error must not name another device.

use crate::machine::sysfs::NAME_MAX;
use crate::pci::address::Slot;
use crate::pci::id::{ANY, IdPattern};
use crate::pci::path::PciPath;
use crate::policy::selector::{Selector, Source, StableName, Target};
use crate::policy::virtual_functions::VirtualFunctions;
use crate::text::digits::{hex, hex_byte};
use crate::text::misread::{Fault, Misread, field, split, split_last, split_once};
use crate::text::one_of;

/// Reads one selector of `vfio.bind=`.
///
/// # Errors
/// Says where reading stopped and what should have stood there.
pub fn parse(text: &[u8]) -> Result<Selector<'_>, Misread<'_>> {
    let (excludes, body) = match text.strip_prefix(b"!") {
        Some(body) => (true, body),
        None => (false, text),
    };
    let (body, virtual_functions) = match body.strip_prefix(VIRTUAL) {
        Some(body) => {
            // A label may have one of its own.
            let (body, indexes) = match split_last(body, b'#') {
                Some((body, indexes)) => (body, Some(indexes)),
                None => (body, None),
            };
            (body, Some(VirtualFunctions::parse(indexes)?))
        }
        None => (body, None),
    };
    let (body, expected) = match split_once(body, b'@') {
        Some((body, id)) => (body, Some(id_pattern(id)?)),
        None => (body, None),
    };
    let target = target(body)?;
    Ok(Selector {
        text,
        source: Source::Bind,
        excludes,
        target,
        virtual_functions,
        expected,
        everywhere: false,
        confirmed: false,
    })
}

/// What virtual functions begin with.
const VIRTUAL: &[u8] = b"vf:";

/// The first item of a list, and what follows. What has no colon behind the indexes of virtual functions goes on
/// with them: nothing else that can be read is without one. An exclusion stands for itself, and so does `off`.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn item(list: &[u8]) -> (&[u8], &[u8]) {
    let (mut item, mut rest) = split_once(list, b',').unwrap_or((list, b""));
    let body = item.strip_prefix(b"!").unwrap_or(item);
    if !body.starts_with(VIRTUAL) || !body.contains(&b'#') {
        return (item, rest);
    }
    loop {
        let (next, behind) = split_once(rest, b',').unwrap_or((rest, b""));
        if next.is_empty() || next == b"off" || next.starts_with(b"!") || next.contains(&b':') {
            return (item, rest);
        }
        let length = list
            .len()
            .saturating_sub(rest.len())
            .saturating_add(next.len());
        (item, rest) = (list.get(..length).unwrap_or(list), behind);
    }
}

/// What a name that stands before a colon means.
#[derive(Clone, Copy)]
enum Key {
    Class,
    Serial,
    Slot,
    Label,
    Acpi,
}

fn target(body: &[u8]) -> Result<Target<'_>, Misread<'_>> {
    let named = |name| Ok(Target::Named(name, None));
    let fault = |fault| Err(Misread { at: body, fault });
    const KNOWN: &[(&str, Key)] = &[
        ("class", Key::Class),
        ("dsn", Key::Serial),
        ("slot", Key::Slot),
        ("label", Key::Label),
        ("acpi", Key::Acpi),
    ];
    let split = split_once(body, b':');
    match split.and_then(|(key, value)| Some((one_of(key, KNOWN)?, value))) {
        Some((Key::Class, class)) => return class_pattern(class).map(Target::Id),
        Some((Key::Serial, number)) => return named(StableName::Serial(serial(number)?)),
        Some((key, name)) => {
            let printable = |byte: &u8| matches!(byte, b' '..=b'~');
            if name.is_empty() || name.len() > NAME_MAX || !name.iter().all(printable) {
                return fault(Fault::Expected("a name of at most 96 printable letters"));
            }
            return match key {
                Key::Label => named(StableName::Label(name)),
                Key::Acpi => named(StableName::Acpi(name)),
                // It becomes a component of a path.
                _ if name.contains(&b'/') || name.starts_with(b".") => {
                    fault(Fault::Expected("the name of a slot"))
                }
                _ => named(StableName::Slot(name)),
            };
        }
        None => {}
    }
    if body.contains(&b'/') {
        return named(StableName::Path(PciPath::parse(body)?));
    }
    match shape(body) {
        Shape::Address => Slot::parse(body).map(Target::Address),
        Shape::Id => id_pattern(body).map(Target::Id),
        Shape::Other => fault(Fault::NotATarget),
    }
}

/// `03`, `0302` or `030200`: base class, subclass and programming interface.
fn class_pattern(text: &[u8]) -> Result<IdPattern, Misread<'_>> {
    let missing = match text.len() {
        2 => 16,
        4 => 8,
        _ => 0,
    };
    let digits = if missing > 0 { text.len() } else { 6 };
    let class = hex(text, digits, digits);
    let class = field(text, "a class of two, four or six digits", class)?;
    Ok(IdPattern {
        class: class << missing,
        class_mask: (0xff_ffff >> missing) << missing,
        ..IdPattern::default()
    })
}

/// Eight bytes as lspci shows them: `00-11-22-ff-ff-33-44-55`.
fn serial(text: &[u8]) -> Result<u64, Misread<'_>> {
    const WHAT: &str = "eight bytes, `00-11-22-33-44-55-66-77`";
    let mut number = 0u64;
    let mut count = 0usize;
    for byte in split(text, b'-') {
        number = (number << 8) | u64::from(field(byte, WHAT, hex_byte(byte))?);
        count = count.saturating_add(1);
    }
    if count == 8 {
        Ok(number)
    } else {
        Err(Misread {
            at: text,
            fault: Fault::Expected(WHAT),
        })
    }
}

enum Shape {
    Address,
    Id,
    Other,
}

/// Two digits before the first colon, a dot, or three fields of which the second has two digits
/// make an address; everything else with a colon is an ID.
fn shape(body: &[u8]) -> Shape {
    let mut fields = split(body, b':');
    let lengths = [fields.next(), fields.next(), fields.next()].map(|f| f.map(<[u8]>::len));
    match lengths {
        [_, None, _] => Shape::Other,
        [Some(0..=2), ..] if body.first() != Some(&b'*') => Shape::Address,
        [_, Some(0..=2), Some(_)] if !body.contains(&b'*') => Shape::Address,
        _ if body.contains(&b'.') => Shape::Address,
        _ => Shape::Id,
    }
}

fn id_pattern(body: &[u8]) -> Result<IdPattern, Misread<'_>> {
    const FIELDS: [&str; 6] = [
        "a vendor of four digits or `*`",
        "a device of four digits or `*`",
        "a subsystem vendor of four digits or `*`",
        "a subsystem device of four digits or `*`",
        "a class of six digits",
        "a class mask of six digits",
    ];
    // Unlike vfio_pci.ids, a class without a mask counts in full: whoever writes it means it.
    let mut values = [ANY, ANY, ANY, ANY, 0, 0xff_ffff];
    let mut texts = split(body, b':');
    let mut count = 0usize;
    for ((value, what), text) in values.iter_mut().zip(FIELDS).zip(texts.by_ref()) {
        let number = match count {
            0..4 => id_field(text),
            _ => hex(text, 6, 8),
        };
        *value = field(text, what, number)?;
        count = count.saturating_add(1);
    }
    let [vendor, device, subvendor, subdevice, class, class_mask] = values;
    let class_mask = if count > 4 { class_mask } else { 0 };
    match (count, texts.next()) {
        (_, Some(more)) => Err(Misread {
            at: more,
            fault: Fault::Expected("nothing more"),
        }),
        (1, None) => Err(Misread {
            at: b"",
            fault: Fault::Expected(FIELDS[1]),
        }),
        // A subsystem vendor alone is as likely a mistake as not.
        (3, None) => Err(Misread {
            at: b"",
            fault: Fault::Expected("a subsystem device"),
        }),
        _ => Ok(IdPattern {
            vendor,
            device,
            subvendor,
            subdevice,
            class,
            class_mask,
        }),
    }
}

/// Four digits, or a wildcard: `*`, or the kernel's `ffffffff`.
fn id_field(text: &[u8]) -> Option<u32> {
    match text {
        b"*" => Some(ANY),
        [_, _, _, _] => hex(text, 4, 4),
        _ => hex(text, 8, 8).filter(|number| *number == ANY),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn a_name_has_a_greatest_length() {
        for (length, fits) in [(NAME_MAX, true), (NAME_MAX + 1, false)] {
            let text = format!("label:{}", "a".repeat(length));
            assert_eq!(parse(text.as_bytes()).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn what_is_understood_and_what_it_means() {
        for (text, meaning) in [
            ("0000:42:00.0", "0000:42:00.0"),
            ("42:00.0", "0000:42:00.0"),
            ("10000:e1:00.0", "10000:e1:00.0"),
            ("0000:42:00", "0000:42:00.*"),
            ("42:00", "0000:42:00.*"),
            ("42:00.*", "0000:42:00.*"),
            ("FFFFFFFF:FF:1F.7", "ffffffff:ff:1f.7"),
            ("10de:1b80", "10de:1b80"),
            ("10DE:*", "10de:*"),
            ("*:*:1458:*", "*:*:1458:*"),
            ("10de:ffffffff", "10de:*"),
            ("10de:1b80:1458:3702", "10de:1b80:1458:3702"),
            ("10de:*:*:*:030000", "10de:*:*:*:030000:ffffff"),
            ("10de:*:*:*:030000:ff0000", "10de:*:*:*:030000:ff0000"),
            ("!42:00.0", "0000:42:00.0"),
            ("00:1c.0/00.0", "0000:00:1c.0/00.0"),
            ("10000:E0:06.0/1F.7/00.1", "10000:e0:06.0/1f.7/00.1"),
            ("class:03", "*:*:*:*:030000:ff0000"),
            ("class:0c03", "*:*:*:*:0c0300:ffff00"),
            ("class:0C0330", "*:*:*:*:0c0330:ffffff"),
            ("dsn:00-11-22-FF-ff-33-44-55", "dsn:00-11-22-ff-ff-33-44-55"),
            ("slot:4-1", "slot:4-1"),
            ("label:Onboard LAN", "label:Onboard LAN"),
            ("acpi:\\_SB_.PCI0.GPP0", "acpi:\\_SB_.PCI0.GPP0"),
            ("42:00.0@10de:1b80", "0000:42:00.0"),
            ("vf:03:00.0", "0000:03:00.0"),
            ("!vf:03:00#0-3,7", "0000:03:00.*"),
            ("vf:8086:1572", "8086:1572"),
            ("!vf:8086:*@8086:1572#0", "8086:*"),
            ("vf:class:0200#0-3,7", "*:*:*:*:020000:ffff00"),
            ("vf:label:Port #1#0", "label:Port #1"),
            ("vf:03:00.0@8086:10c9#65535", "0000:03:00.0"),
            ("!00:1c.0/00.0@10de:*:1458:*", "0000:00:1c.0/00.0"),
        ] {
            let selector = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.target.to_string(), meaning, "{text}");
            assert_eq!(selector.excludes, text.starts_with('!'), "{text}");
        }
    }

    #[test]
    fn indexes_go_on_behind_a_comma_and_nothing_else_does() {
        for (list, expected) in [
            (
                "vf:03:00.0#0-3,7,42:00.0",
                &["vf:03:00.0#0-3,7", "42:00.0"][..],
            ),
            ("42:00.0,7", &["42:00.0", "7"]),
            ("vf:03:00.0,7", &["vf:03:00.0", "7"]),
            (
                "!vf:03:00.0#1,2,!10de:1b80",
                &["!vf:03:00.0#1,2", "!10de:1b80"],
            ),
            // A mistake is part of the list, lest an exclusion lose its end.
            ("!vf:03:00.0#1,x,2", &["!vf:03:00.0#1,x,2"]),
            ("vf:03:00.0#1,!2", &["vf:03:00.0#1", "!2"]),
            ("vf:03:00.0#1,off", &["vf:03:00.0#1", "off"]),
            ("vf:03:00.0#1,,2", &["vf:03:00.0#1", "", "2"]),
            ("vf:03:00.0#1,", &["vf:03:00.0#1"]),
            (
                "vf:03:00.0#1,vf:04:00.0#2,3",
                &["vf:03:00.0#1", "vf:04:00.0#2,3"],
            ),
            (
                "vf:8086:1572#0-3,7,8086:1572,vf:class:02#1,2",
                &["vf:8086:1572#0-3,7", "8086:1572", "vf:class:02#1,2"],
            ),
            ("", &[]),
        ] {
            let mut items = Vec::new();
            let mut rest = list.as_bytes();
            while !rest.is_empty() {
                let found;
                (found, rest) = item(rest);
                items.push(std::str::from_utf8(found).unwrap());
            }
            assert_eq!(items, expected, "{list}");
        }
    }

    #[test]
    fn what_is_not_understood_says_where_and_why() {
        let not_a_target = "neither an address (0000:42:00.0) nor an ID (10de:1b80, four digits each) nor a path, \
             class:, dsn:, slot:, label:, acpi: or vf:";
        for (text, why) in [
            ("", not_a_target),
            ("!", not_a_target),
            ("vga", not_a_target),
            ("0000", not_a_target),
            (
                "42:0.0",
                "expected a device of two digits, at most 1f at `0`",
            ),
            ("4z:00.0", "expected a bus of two digits at `4z`"),
            (
                "0000:42:20.0",
                "expected a device of two digits, at most 1f at `20`",
            ),
            ("0000:42:00.8", "expected a function, 0 to 7 or `*` at `8`"),
            (
                "0000:42:00.",
                "expected a function, 0 to 7 or `*` at the end",
            ),
            (
                "0000:42:00.0x",
                "expected a function, 0 to 7 or `*` at `0x`",
            ),
            (
                "0000:42:00.00",
                "expected a function, 0 to 7 or `*` at `00`",
            ),
            (
                "000:42:00.0",
                "expected a domain of four to eight digits at `000`",
            ),
            (
                "123456789:42:00.0",
                "expected a domain of four to eight digits at `123456789`",
            ),
            (
                "0:0000:42:00.0",
                "expected a domain of four to eight digits at `0`",
            ),
            (
                "10de:1b8",
                "expected a device of four digits or `*` at `1b8`",
            ),
            (
                "10de:1b801",
                "expected a device of four digits or `*` at `1b801`",
            ),
            (
                "10de:",
                "expected a device of four digits or `*` at the end",
            ),
            (
                "0x10de:1b80",
                "expected a vendor of four digits or `*` at `0x10de`",
            ),
            ("10de:1b80:1458", "expected a subsystem device at the end"),
            (
                "10de:1b80:1458:3702:03",
                "expected a class of six digits at `03`",
            ),
            (
                "10de:1b80:1458:3702:030000:1",
                "expected a class mask of six digits at `1`",
            ),
            (
                "10de:1b80:1458:3702:030000:ffffff:1",
                "expected nothing more at `1`",
            ),
            ("!!42:00.0", "expected a bus of two digits at `!42`"),
            (
                "0000:42:00:1",
                "expected a device of two digits, at most 1f at `00:1`",
            ),
            (
                "class:",
                "expected a class of two, four or six digits at the end",
            ),
            (
                "class:030",
                "expected a class of two, four or six digits at `030`",
            ),
            (
                "class:0302000",
                "expected a class of two, four or six digits at `0302000`",
            ),
            (
                "dsn:00-11",
                "expected eight bytes, `00-11-22-33-44-55-66-77` at `00-11`",
            ),
            (
                "dsn:00-11-22-33-44-55-66-7g",
                "expected eight bytes, `00-11-22-33-44-55-66-77` at `7g`",
            ),
            (
                "dsn:00-11-22-33-44-55-66-77-88",
                "expected eight bytes, `00-11-22-33-44-55-66-77` at `00-11-22-33-44-55-66-77-88`",
            ),
            (
                "slot:",
                "expected a name of at most 96 printable letters at `slot:`",
            ),
            (
                "label:a\tb",
                "expected a name of at most 96 printable letters at `label:a\\x09b`",
            ),
            ("slot:../4", "expected the name of a slot at `slot:../4`"),
            ("slot:4/x", "expected the name of a slot at `slot:4/x`"),
            (
                "label:",
                "expected a name of at most 96 printable letters at `label:`",
            ),
            ("vf:", not_a_target),
            (
                "vf:03:00.0#",
                "expected numbers of virtual functions, as 0-3,7 at the end",
            ),
            (
                "vf:03:00.0#3-1",
                "expected numbers of virtual functions, as 0-3,7 at `3-1`",
            ),
            (
                "vf:vf:03:00.0",
                "expected a domain of four to eight digits at `vf`",
            ),
            ("vf:10de", not_a_target),
            (
                "vf:10de:1b80:1458",
                "expected a subsystem device at the end",
            ),
            (
                "42:00.0@",
                "expected a vendor of four digits or `*` at the end",
            ),
            (
                "42:00.0@10de",
                "expected a device of four digits or `*` at the end",
            ),
            ("@10de:1b80", not_a_target),
            (
                "00:1c/00.0",
                "expected a function at each step of a path at `00:1c`",
            ),
            (
                "00:1c.0/",
                "expected a device of two digits, at most 1f at the end",
            ),
            (
                "00:1c.0/20.0",
                "expected a device of two digits, at most 1f at `20`",
            ),
            ("00:1c.0/00", "expected a function, 0 to 7 at the end"),
            ("00:1c.0/00.*", "expected a function, 0 to 7 at `*`"),
            (
                "00:1c.0//00.0",
                "expected a device of two digits, at most 1f at the end",
            ),
        ] {
            let misread = parse(text.as_bytes()).expect_err(text);
            assert_eq!(misread.to_string(), why, "{text}");
        }
    }

    fn named() -> impl Strategy<Value = std::string::String> {
        let step = || (0u8..32, 0u8..8).prop_map(|(d, f)| format!("{d:02x}.{f}"));
        let path = (any::<u8>(), prop::collection::vec(step(), 2..6))
            .prop_map(|(bus, steps)| format!("0000:{bus:02x}:{}", steps.join("/")));
        let serial = any::<[u8; 8]>()
            .prop_map(|bytes| format!("dsn:{}", bytes.map(|b| format!("{b:02x}")).join("-")));
        let name = "(slot|label|acpi):[0-9A-Za-z_-]{1,20}";
        prop_oneof![path, serial, name]
    }

    fn target() -> impl Strategy<Value = Target<'static>> {
        let field = || prop_oneof![Just(ANY), 0u32..0x1_0000];
        let slot = (any::<u32>(), any::<u8>(), 0u8..32, prop::option::of(0u8..8)).prop_map(
            |(domain, bus, device, function)| {
                Target::Address(Slot {
                    domain,
                    bus,
                    device,
                    function,
                })
            },
        );
        let id = (
            field(),
            field(),
            field(),
            field(),
            0u32..0x100_0000,
            0u32..0x100_0000,
        )
            .prop_map(
                |(vendor, device, subvendor, subdevice, class, class_mask)| {
                    // A mask of zero makes any class the same as none.
                    let class = if class_mask == 0 { 0 } else { class };
                    Target::Id(IdPattern {
                        vendor,
                        device,
                        subvendor,
                        subdevice,
                        class,
                        class_mask,
                    })
                },
            );
        prop_oneof![slot, id]
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(target in target()) {
            let text = target.to_string();
            let selector = parse(text.as_bytes()).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            prop_assert_eq!(selector.target, target);
        }

        #[test]
        fn what_is_named_is_shown_as_it_was_written(text in named()) {
            let selector = parse(text.as_bytes()).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            prop_assert_eq!(selector.target.to_string(), text);
        }

        #[test]
        fn no_input_panics(bytes: Vec<u8>, near in "(class:|dsn:|slot:|label:|vf:|)[0-9a-f:.*!@/#,-]{0,24}") {
            let _ = parse(&bytes).map_err(|e| e.to_string());
            let _ = parse(near.as_bytes()).map_err(|e| e.to_string());
            let mut rest = near.as_bytes();
            while !rest.is_empty() {
                rest = item(rest).1;
            }
        }

        #[test]
        fn a_typing_error_never_names_another_device(
            at in 0usize..12, to in prop::sample::select(&b" xg:.-*"[..]),
        ) {
            let mut text = *b"0000:42:00.0";
            let was = text[at];
            text[at] = to;
            let shown = parse(&text).map(|s| s.target.to_string()).unwrap_or_default();
            let same_slot = ["0000:42:00.0", "0000:42:00.*", ""].contains(&shown.as_str());
            prop_assert!(same_slot || was == to, "{} means {shown}", String::from_utf8_lossy(&text));
        }
    }
}

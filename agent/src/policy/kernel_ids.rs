//! `vfio_pci.ids=` as vfio-pci itself reads it.
//!
//! The rules are `vfio_pci_fill_ids` (drivers/vfio/pci/vfio_pci.c) and the kernel's `sscanf`
//! (lib/vsprintf.c), 5.10 to 7.2. Where they let a mistake pass in silence, the item carries a
//! [`Quirk`], so that the owner hears of it.

use core::fmt;

use crate::pci::address::Slot;
use crate::pci::id::{ANY, IdPattern};
use crate::text::cmdline::is_space;
use crate::text::misread::split;

/// A value of this many bytes or more is rejected whole (`static char ids[1024]`).
pub const VALUE_LIMIT: usize = 1024;

/// One item of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item<'a> {
    /// The item as written.
    pub text: &'a [u8],
    /// What the kernel makes of it; `None` where it says `invalid id string`.
    pub pattern: Option<IdPattern>,
    /// What a person probably did not mean.
    pub quirk: Option<Quirk>,
}

/// Something the kernel accepts, with an effect that few people expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quirk {
    /// Text behind the last number that was understood.
    TrailingText,
    /// A number of more than eight digits: only the low 32 bits count.
    Overflow,
    /// An ID of more than four digits that is not the wildcard.
    NeverMatches,
    /// A class without a mask: it filters nothing.
    ClassWithoutMask,
    /// Vendor and device are wildcards and no class narrows them.
    MatchesEverything,
    /// An address, of which the kernel makes IDs that nothing has.
    Address,
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrailingText => "the kernel ignores the text behind the last number",
            Self::Overflow => {
                "a number has more than eight digits; the kernel keeps the last eight"
            }
            Self::NeverMatches => "an ID has more than four digits and can never match",
            Self::ClassWithoutMask => {
                "a class without a mask filters nothing; add `:ffffff` to compare all of it"
            }
            Self::MatchesEverything => "this matches every function of the machine",
            Self::Address => "the kernel reads an address as an ID; write it behind vfio.bind=",
        })
    }
}

/// The items of a value, in order, without the empty ones that the kernel skips.
pub fn items(value: &[u8]) -> impl Iterator<Item = Item<'_>> {
    split(value, b',').filter(|item| !item.is_empty()).map(item)
}

fn item(text: &[u8]) -> Item<'_> {
    let scanned = scan(text);
    let Some(pattern) = scanned.pattern() else {
        return Item {
            text,
            pattern: None,
            quirk: None,
        };
    };
    let too_wide = |value: u32| value != ANY && value > 0xffff;
    let ids = [
        pattern.vendor,
        pattern.device,
        pattern.subvendor,
        pattern.subdevice,
    ];
    let quirk = if Slot::parse(text).is_ok() {
        Some(Quirk::Address)
    } else if scanned.overflow {
        Some(Quirk::Overflow)
    } else if ids.into_iter().any(too_wide) {
        Some(Quirk::NeverMatches)
    } else if scanned.trailing {
        Some(Quirk::TrailingText)
    } else if pattern.class != 0 && pattern.class_mask == 0 {
        Some(Quirk::ClassWithoutMask)
    } else if pattern.vendor == ANY && pattern.device == ANY && pattern.class_mask == 0 {
        Some(Quirk::MatchesEverything)
    } else {
        None
    };
    Item {
        text,
        pattern: Some(pattern),
        quirk,
    }
}

/// What `sscanf(id, "%x:%x:%x:%x:%x:%x", ...)` found.
struct Scanned {
    fields: [Option<u32>; 6],
    overflow: bool,
    trailing: bool,
}

impl Scanned {
    fn pattern(&self) -> Option<IdPattern> {
        let [vendor, device, subvendor, subdevice, class, class_mask] = self.fields;
        Some(IdPattern {
            vendor: vendor?,
            device: device?,
            subvendor: subvendor.unwrap_or(ANY),
            subdevice: subdevice.unwrap_or(ANY),
            class: class.unwrap_or(0),
            class_mask: class_mask.unwrap_or(0),
        })
    }
}

fn scan(text: &[u8]) -> Scanned {
    let mut scanned = Scanned {
        fields: [None; 6],
        overflow: false,
        trailing: false,
    };
    let mut rest = text;
    for (index, field) in scanned.fields.iter_mut().enumerate() {
        let start = match (index, rest.split_first()) {
            (0, _) => rest,
            (_, Some((b':', after))) => after,
            _ => break,
        };
        let Some(number) = number(start) else { break };
        *field = Some(number.value);
        scanned.overflow |= number.overflow;
        rest = number.rest;
    }
    scanned.trailing = !rest.is_empty();
    scanned
}

struct Number<'a> {
    value: u32,
    overflow: bool,
    rest: &'a [u8],
}

/// `%x`: leading space, an optional `0x` (which may stand without digits and is 0 then), digits.
fn number(input: &[u8]) -> Option<Number<'_>> {
    let space = input.iter().take_while(|byte| is_space(**byte)).count();
    let input = input.get(space..)?;
    if !input.first()?.is_ascii_hexdigit() {
        return None;
    }
    let digits = match input {
        [b'0', b'x' | b'X', digits @ ..] => digits,
        digits => digits,
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, rest) = digits.split_at_checked(count)?;
    let mut value: u32 = 0;
    let mut overflow = false;
    for digit in digits
        .iter()
        .filter_map(|digit| char::from(*digit).to_digit(16))
    {
        overflow |= value >> 28 != 0;
        value = (value << 4) | digit;
    }
    Some(Number {
        value,
        overflow,
        rest,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn pattern(fields: &[u32]) -> Option<IdPattern> {
        let [vendor, device, subvendor, subdevice, class, class_mask] = fields else {
            return None;
        };
        Some(IdPattern {
            vendor: *vendor,
            device: *device,
            subvendor: *subvendor,
            subdevice: *subdevice,
            class: *class,
            class_mask: *class_mask,
        })
    }

    #[test]
    fn every_item_reads_as_in_the_kernel() {
        use Quirk::{
            Address, ClassWithoutMask, MatchesEverything, NeverMatches, Overflow, TrailingText,
        };
        let table: &[(&str, &[u32], Option<Quirk>)] = &[
            ("10de:1b80", &[0x10de, 0x1b80, ANY, ANY, 0, 0], None),
            ("10DE:1B80", &[0x10de, 0x1b80, ANY, ANY, 0, 0], None),
            ("0x10de:0X1b80", &[0x10de, 0x1b80, ANY, ANY, 0, 0], None),
            (" 10de: 1b80", &[0x10de, 0x1b80, ANY, ANY, 0, 0], None),
            ("1:2:3:4:5:6", &[1, 2, 3, 4, 5, 6], None),
            (
                "1002:ffffffff:ffffffff:ffffffff:00030000:ffff00ff",
                &[0x1002, ANY, ANY, ANY, 0x3_0000, 0xffff_00ff],
                None,
            ),
            ("1:2:3", &[1, 2, 3, ANY, 0, 0], None),
            (
                "1:2:3:4:30000",
                &[1, 2, 3, 4, 0x3_0000, 0],
                Some(ClassWithoutMask),
            ),
            ("1:2:3:4:5:6:7", &[1, 2, 3, 4, 5, 6], Some(TrailingText)),
            (
                "10de:1b80:",
                &[0x10de, 0x1b80, ANY, ANY, 0, 0],
                Some(TrailingText),
            ),
            (
                "10de:1b80::4",
                &[0x10de, 0x1b80, ANY, ANY, 0, 0],
                Some(TrailingText),
            ),
            (
                "10de:1b80 ",
                &[0x10de, 0x1b80, ANY, ANY, 0, 0],
                Some(TrailingText),
            ),
            (
                "10de:1b80.0",
                &[0x10de, 0x1b80, ANY, ANY, 0, 0],
                Some(TrailingText),
            ),
            ("0x:0x", &[0, 0, ANY, ANY, 0, 0], None),
            ("01:00.0", &[1, 0, ANY, ANY, 0, 0], Some(Address)),
            ("01:00", &[1, 0, ANY, ANY, 0, 0], Some(Address)),
            ("0000:01:00.0", &[0, 1, 0, ANY, 0, 0], Some(Address)),
            (
                "110de:1b80",
                &[0x1_10de, 0x1b80, ANY, ANY, 0, 0],
                Some(NeverMatches),
            ),
            (
                "100000010de:1b80",
                &[0x10de, 0x1b80, ANY, ANY, 0, 0],
                Some(Overflow),
            ),
            (
                "ffffffff:ffffffff",
                &[ANY, ANY, ANY, ANY, 0, 0],
                Some(MatchesEverything),
            ),
            ("10de:ffffffff", &[0x10de, ANY, ANY, ANY, 0, 0], None),
            ("ffffffff:1b80", &[ANY, 0x1b80, ANY, ANY, 0, 0], None),
            ("10de:ffff", &[0x10de, 0xffff, ANY, ANY, 0, 0], None),
            (
                "10de:10000",
                &[0x10de, 0x1_0000, ANY, ANY, 0, 0],
                Some(NeverMatches),
            ),
            ("10de", &[], None),
            ("10de:", &[], None),
            (":1b80", &[], None),
            ("10de-1b80", &[], None),
            ("x:1", &[], None),
            ("-1:2", &[], None),
            ("10de :1b80", &[], None),
        ];
        for (text, fields, quirk) in table {
            let item = item(text.as_bytes());
            assert_eq!(item.pattern, pattern(fields), "{text}");
            assert_eq!(item.quirk, *quirk, "{text}");
        }
    }

    #[test]
    fn empty_items_are_skipped() {
        let texts: Vec<_> = items(b",1:2,,3:4,").map(|item| item.text).collect();
        assert_eq!(texts, [&b"1:2"[..], b"3:4"]);
        assert_eq!(items(b"").count(), 0);
    }

    proptest! {
        #[test]
        fn no_input_panics(value: Vec<u8>) {
            let _ = items(&value).count();
        }
    }
}

//! What a person may write behind `vfio.bind=`.
//!
//! ```text
//! SEL     := ['!'] TARGET
//! TARGET  := ADDRESS | ID
//! ADDRESS := [DOMAIN ':'] BUS ':' DEV ['.' (FUNC | '*')]
//! ID      := VENDOR ':' DEVICE [':' SUBVENDOR ':' SUBDEVICE [':' CLASS [':' MASK]]]
//! ```
//! The widths tell the two apart: a bus and a device have exactly two digits, an ID exactly four
//! (or `*`). Stricter than the kernel on purpose: a typing error must not name another device.

use core::fmt;

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, tag_no_case},
    combinator::value,
};

use crate::address::{self, Address, Slot};
use crate::device_id::{ANY, DeviceId, IdPattern};
use crate::misread::{Fault, Misread, field};
use crate::text::Text;

/// A selector: which functions, and whether to take or to leave them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selector<'a> {
    /// As written, for messages and the record.
    pub text: &'a [u8],
    /// Where it was written.
    pub source: Source,
    /// Written with `!`: leave these alone.
    pub excludes: bool,
    /// The functions meant.
    pub target: Target,
}

/// The parameter a selector came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// `vfio.bind=` or `rd.vfio.bind=`.
    Bind,
    /// `vfio_pci.ids=`.
    KernelIds,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bind => "vfio.bind",
            Self::KernelIds => "vfio_pci.ids",
        })
    }
}

impl fmt::Display for Selector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.source, Text(self.text))
    }
}

impl Selector<'_> {
    /// Whether the function at `address` with `id` is meant.
    #[must_use]
    pub fn matches(&self, address: Address, id: &DeviceId) -> bool {
        match &self.target {
            Target::Address(slot) => slot.matches(address),
            Target::Id(pattern) => pattern.matches(id),
        }
    }

    /// Whether it names single functions or one model, as opposed to sweeping up whatever fits.
    #[must_use]
    pub fn is_specific(&self) -> bool {
        match &self.target {
            Target::Address(_) => true,
            Target::Id(pattern) => pattern.names_a_model(),
        }
    }
}

/// What a selector points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A function or a whole slot by its address.
    Address(Slot),
    /// Functions by what they are.
    Id(IdPattern),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(slot) => write!(f, "{slot}"),
            Self::Id(pattern) => {
                let IdPattern {
                    vendor,
                    device,
                    subvendor,
                    subdevice,
                    class,
                    class_mask,
                } = pattern;
                write!(f, "{}:{}", Field(*vendor), Field(*device))?;
                if (*subvendor, *subdevice) != (ANY, ANY) || *class_mask != 0 {
                    write!(f, ":{}:{}", Field(*subvendor), Field(*subdevice))?;
                }
                if *class_mask != 0 {
                    write!(f, ":{class:06x}:{class_mask:06x}")?;
                }
                Ok(())
            }
        }
    }
}

struct Field(u32);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == ANY {
            f.write_str("*")
        } else {
            write!(f, "{:04x}", self.0)
        }
    }
}

/// Reads one selector of `vfio.bind=`.
///
/// # Errors
/// Says where reading stopped and what should have stood there.
pub fn parse(text: &[u8]) -> Result<Selector<'_>, Misread<'_>> {
    let (excludes, body) = match text.strip_prefix(b"!") {
        Some(body) => (true, body),
        None => (false, text),
    };
    unsupported(body)?;
    let target = match shape(body) {
        Shape::Address => Target::Address(Slot::parse(body)?),
        Shape::Id => Target::Id(id_pattern(body)?),
        Shape::Other => {
            return Err(Misread {
                at: body,
                fault: Fault::NotATarget,
            });
        }
    };
    Ok(Selector {
        text,
        source: Source::Bind,
        excludes,
        target,
    })
}

/// Forms that the grammar has room for: named, so that they are not taken for something else.
fn unsupported(body: &[u8]) -> Result<(), Misread<'_>> {
    let key = ["class:", "dsn:", "slot:", "vf:"]
        .into_iter()
        .find(|key| body.starts_with(key.as_bytes()));
    let form = match key {
        Some(key) => key,
        None if body.contains(&b'@') => "`@ID`",
        None if body.contains(&b'/') => "a path (`/`)",
        None => return Ok(()),
    };
    Err(Misread {
        at: body,
        fault: Fault::Unsupported(form),
    })
}

enum Shape {
    Address,
    Id,
    Other,
}

/// Two digits before the first colon, a dot, or three fields of which the second has two digits
/// make an address; everything else with a colon is an ID.
fn shape(body: &[u8]) -> Shape {
    let mut fields = body.split(|byte| *byte == b':');
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
    let mut texts = body.split(|byte| *byte == b':');
    let mut count = 0usize;
    for ((value, what), text) in values.iter_mut().zip(FIELDS).zip(texts.by_ref()) {
        let parser = if count < 4 { id_field } else { address::class };
        *value = field(text, what, parser)?;
        count = count.saturating_add(1);
    }
    let [vendor, device, subvendor, subdevice, class, class_mask] = values;
    let class_mask = if count > 4 { class_mask } else { 0 };
    match (count, texts.next()) {
        (_, Some(more)) => Err(Misread {
            at: more,
            fault: Fault::Expected("nothing more"),
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
fn id_field(input: &[u8]) -> IResult<&[u8], u32> {
    let wildcard = value(ANY, alt((tag(&b"*"[..]), tag_no_case(&b"ffffffff"[..]))));
    alt((wildcard, address::hex(4, 4))).parse(input)
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
        ] {
            let selector = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.target.to_string(), meaning, "{text}");
            assert_eq!(selector.excludes, text.starts_with('!'), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_says_where_and_why() {
        let not_a_target =
            "neither an address (0000:42:00.0) nor an ID (10de:1b80, four digits each)";
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
            ("class:0302", "class: is not supported by this version"),
            ("dsn:00-11", "dsn: is not supported by this version"),
            ("slot:4", "slot: is not supported by this version"),
            ("vf:0000:03:00.0", "vf: is not supported by this version"),
            (
                "!0000:42:00.0@10de:1b80",
                "`@ID` is not supported by this version",
            ),
            (
                "00:1c.0/00.0",
                "a path (`/`) is not supported by this version",
            ),
        ] {
            let misread = parse(text.as_bytes()).expect_err(text);
            assert_eq!(misread.to_string(), why, "{text}");
        }
    }

    fn target() -> impl Strategy<Value = Target> {
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
        fn no_input_panics(bytes: Vec<u8>, near in "[0-9a-f:.*!@/]{0,24}") {
            let _ = parse(&bytes).map_err(|e| e.to_string());
            let _ = parse(near.as_bytes()).map_err(|e| e.to_string());
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

//! Text of unknown origin, text with a fixed capacity, and what messages are made of.
//!
//! [`Dec`], [`Hex`], [`Plain`] and [`Bounded`] stand in messages where `{}` would take a number or a
//! `str`: the `Display` of those, in core, knows widths, signs and fills, which nobody asks for here and
//! which are 3 KiB of the executable. One message with a bare number or `str` brings them all back.

pub mod cmdline;
pub mod digits;
pub mod errno;
pub mod glob;
pub mod json;
#[macro_use]
pub mod message;
pub mod misread;
pub mod output;

use core::fmt::{self, Write};
use core::ops::Deref;

use heapless::String;
use heapless::string::StringView;

/// Bytes that came from outside (a command line, a link's target), made safe to show.
///
/// Invalid UTF-8 is shown as U+FFFD and control characters as `\xNN`, so that no message can
/// forge a second line or drive a terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() {
                    write!(f, "\\x{}", Hex(c.into(), 2))?;
                } else {
                    f.write_char(c)?;
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// A number as people write it.
#[derive(Clone, Copy)]
pub struct Dec(pub u64);

impl fmt::Display for Dec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (front, digit) = (self.0.div_euclid(10), self.0.rem_euclid(10));
        if front > 0 {
            Self(front).fmt(f)?;
        }
        f.write_char(char::from_digit(digit as u32, 10).unwrap_or_default())
    }
}

/// A number in hexadecimal, with zeros in front up to so many digits.
#[derive(Clone, Copy)]
pub struct Hex(pub u32, pub u8);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, digits) = *self;
        if digits > 1 || number > 0xf {
            Self(number >> 4, digits.saturating_sub(1)).fmt(f)?;
        }
        f.write_char(char::from_digit(number & 0xf, 16).unwrap_or_default())
    }
}

/// A text of this program or of another type that displays as it stands.
#[derive(Clone, Copy)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A text of at most `N` bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Default)]
pub struct Bounded<const N: usize>(String<N>);

impl<const N: usize> Bounded<N> {
    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> Deref for Bounded<N> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> PartialEq<str> for Bounded<N> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl<const N: usize> PartialEq<&str> for Bounded<N> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl<const N: usize> fmt::Display for Bounded<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<const N: usize> fmt::Debug for Bounded<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A number of things, whose name takes an s where they are several.
pub struct Counted(pub usize, pub &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, name) = *self;
        let plural = Plain(if number == 1 { "" } else { "s" });
        write!(f, "{} {}{plural}", Dec(number as u64), Plain(name))
    }
}

/// What `known` has for a word. A `match` on words becomes a comparison for each letter of each of
/// them, several times as large as a table that is a constant.
pub fn one_of<T: Copy>(word: &[u8], known: &[(&str, T)]) -> Option<T> {
    let mut known = known.iter();
    let found = known.find(|(other, _)| word == other.as_bytes());
    found.map(|(_, meaning)| *meaning)
}

/// Whether a text has a word in it.
#[must_use]
#[inline(never)] // Inlined, it makes the executable larger.
pub fn contains(text: &[u8], word: &[u8]) -> bool {
    let mut rest = text;
    while !rest.starts_with(word) {
        match rest {
            [_, behind @ ..] => rest = behind,
            [] => return false,
        }
    }
    true
}

/// The longest driver name kept, in bytes; a longer one ends in `…`. The kernel's own have 25.
pub const NAME_LEN: usize = 32;

/// The name of a driver, as its directory in `/sys/bus/pci/drivers` spells it.
pub type DriverName = Bounded<NAME_LEN>;

/// Copies outside bytes into a [`DriverName`]; what does not fit is replaced by `…`.
#[must_use]
pub fn name(bytes: &[u8]) -> DriverName {
    clip(format_args!("{}", Text(bytes)))
}

/// Formats into a text of at most `N` bytes, with `…` at its end if anything was left out.
#[must_use]
pub fn clip<const N: usize>(parts: fmt::Arguments<'_>) -> Bounded<N> {
    let mut text = Bounded::default();
    fill(&mut text.0, parts);
    text
}

#[inline(never)]
fn fill(text: &mut StringView, parts: fmt::Arguments<'_>) {
    if Filling(text).write_fmt(parts).is_err() {
        while text.push('…').is_err() && text.pop().is_some() {}
    }
}

/// A text that takes what fits. It knows no capacity, so that there is one of it in the executable.
struct Filling<'a>(&'a mut StringView);

impl Write for Filling<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.push_str(text).is_ok() {
            return Ok(());
        }
        let mut letters = text.chars();
        letters.try_for_each(|letter| self.0.push(letter).map_err(|_| fmt::Error))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn text_cannot_forge_lines_or_escapes() {
        for (bytes, shown) in [
            (&b"plain"[..], "plain"),
            (b"a\nb\x1b[2J", "a\\x0ab\\x1b[2J"),
            (b"caf\xc3\xa9", "café"),
            (b"a\xffb", "a\u{fffd}b"),
            (b"", ""),
        ] {
            assert_eq!(Text(bytes).to_string(), shown, "{bytes:?}");
        }
    }

    #[test]
    fn a_clipped_text_says_so_and_keeps_its_size() {
        let text: Bounded<4> = clip(format_args!("ab{}", "cd"));
        assert_eq!(text, "abcd");
        let text: Bounded<6> = clip(format_args!("a{}{}", "bcdefg", "h"));
        assert_eq!(text, "abc…");
        let text: Bounded<6> = clip(format_args!("{}{}", "abcdef", "g"));
        assert_eq!(text, "abc…");
        let text: Bounded<2> = clip(format_args!("abc"));
        assert_eq!(text, "", "the mark has three bytes");
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_core_does(number: u64, short in 0u32..0x200) {
            for number in [number, short.into(), 0, u64::MAX] {
                prop_assert_eq!(Dec(number).to_string(), number.to_string());
                let low = number as u32;
                prop_assert_eq!(Hex(low, 0).to_string(), std::format!("{low:x}"));
                prop_assert_eq!(Hex(low, 2).to_string(), std::format!("{low:02x}"));
                prop_assert_eq!(Hex(low, 8).to_string(), std::format!("{low:08x}"));
            }
        }
    }
}

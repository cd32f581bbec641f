//! Text of unknown origin, and text with a fixed capacity.

use core::fmt::{self, Write};

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
                    write!(f, "\\x{:02x}", u32::from(c))?;
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

/// A number of things, whose name takes an s where they are several.
pub struct Counted(pub usize, pub &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, name) = self;
        let plural = if *number == 1 { "" } else { "s" };
        write!(f, "{number} {name}{plural}")
    }
}

/// What `known` has for a word. A `match` on words becomes a comparison for each letter of each of
/// them, several times as large as a table that is a constant.
pub fn one_of<T: Copy>(word: &[u8], known: &[(&str, T)]) -> Option<T> {
    let mut known = known.iter();
    let found = known.find(|(other, _)| word == other.as_bytes());
    found.map(|(_, meaning)| *meaning)
}

/// The longest driver name kept, in bytes; a longer one ends in `…`. The kernel's own have 25.
pub const NAME_LEN: usize = 32;

/// The name of a driver, as its directory in `/sys/bus/pci/drivers` spells it.
pub type Name = String<NAME_LEN>;

/// Copies outside bytes into a [`Name`]; what does not fit is replaced by `…`.
#[must_use]
pub fn name(bytes: &[u8]) -> Name {
    clip(format_args!("{}", Text(bytes)))
}

/// Formats into a text of at most `N` bytes, with `…` at its end if anything was left out.
#[must_use]
#[inline(never)]
pub fn clip<const N: usize>(parts: fmt::Arguments<'_>) -> String<N> {
    let mut text = String::new();
    let whole = Filling(&mut text).write_fmt(parts).is_ok();
    if !whole {
        mark(&mut text);
    }
    text
}

/// A text that takes what fits. It knows no capacity, so that there is one of it in the executable.
struct Filling<'a>(&'a mut StringView);

impl Write for Filling<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut letters = text.chars();
        letters.try_for_each(|letter| self.0.push(letter).map_err(|_| fmt::Error))
    }
}

fn mark(text: &mut StringView) {
    while text.push('…').is_err() && text.pop().is_some() {}
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
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
        let text: String<4> = clip(format_args!("ab{}", "cd"));
        assert_eq!(text, "abcd");
        let text: String<6> = clip(format_args!("a{}{}", "bcdefg", "h"));
        assert_eq!(text, "abc…");
        let text: String<6> = clip(format_args!("{}{}", "abcdef", "g"));
        assert_eq!(text, "abc…");
        let text: String<2> = clip(format_args!("abc"));
        assert_eq!(text, "", "the mark has three bytes");
    }
}

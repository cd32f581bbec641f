//! Text of unknown origin, and text with a fixed capacity.

use core::fmt::{self, Write};

use heapless::{LenType, String};
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

/// The longest driver name kept, in bytes; a longer one ends in `…`. The kernel's own have 25.
pub const NAME_LEN: usize = 31;

/// The name of a driver, as its directory in `/sys/bus/pci/drivers` spells it.
pub type Name = String<NAME_LEN, u8>;

/// Copies outside bytes into a [`Name`]; what does not fit is replaced by `…`.
#[must_use]
pub fn name(bytes: &[u8]) -> Name {
    let mut clipped = Clipped::<NAME_LEN, u8>::default();
    // Clipped never fails: what does not fit is marked instead.
    let _ = write!(clipped, "{}", Text(bytes));
    clipped.finish()
}

/// A writer that keeps what fits and marks the rest with a final `…`.
#[derive(Default)]
pub struct Clipped<const N: usize, Len: LenType = usize> {
    kept: String<N, Len>,
    clipped: bool,
}

const MARK: char = '…';

impl<const N: usize, Len: LenType> Clipped<N, Len> {
    /// The text, at most `N` bytes of it, with `…` at its end if anything was left out.
    #[must_use]
    pub fn finish(mut self) -> String<N, Len> {
        if self.clipped {
            while self.kept.push(MARK).is_err() && self.kept.pop().is_some() {}
        }
        self.kept
    }
}

impl<const N: usize, Len: LenType> Write for Clipped<N, Len> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            if self.clipped || self.kept.push(c).is_err() {
                self.clipped = true;
                break;
            }
        }
        Ok(())
    }
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
        let mut exact = Clipped::<4>::default();
        write!(exact, "abcd").unwrap();
        assert_eq!(exact.finish(), "abcd");

        let mut over = Clipped::<6>::default();
        write!(over, "abcdefg").unwrap();
        write!(over, "h").unwrap();
        assert_eq!(over.finish(), "abc…");
    }
}

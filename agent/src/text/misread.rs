//! What a person wrote and nobody could read: where it stopped, and what should have stood there.

use core::fmt;

use crate::text::{Plain, Text};

/// Why a selector was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Misread<'a> {
    /// The text from the place where reading stopped.
    pub at: &'a [u8],
    /// What should have stood there.
    pub fault: Fault,
}

/// What was wrong with a selector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Neither an address nor an ID begins like this.
    NotATarget,
    /// Something else should have stood here.
    Expected(&'static str),
}

impl fmt::Display for Misread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::NotATarget => f.write_str(
                "neither an address (0000:42:00.0) nor an ID (10de:1b80, four digits each) nor a \
                 path, class:, dsn:, slot:, label:, acpi: or vf:",
            ),
            Fault::Expected(what) if self.at.is_empty() => {
                write!(f, "expected {} at the end", Plain(what))
            }
            Fault::Expected(what) => {
                write!(f, "expected {} at `{}`", Plain(what), Text(self.at))
            }
        }
    }
}

/// What was read from `text`, or what should have stood there.
pub(crate) fn field<'a, T>(
    text: &'a [u8],
    what: &'static str,
    read: Option<T>,
) -> Result<T, Misread<'a>> {
    read.ok_or(Misread {
        at: text,
        fault: Fault::Expected(what),
    })
}

/// The parts of a text between one `byte` and the next. It is one function for all bytes, where each
/// closure given to `slice::split` makes another one.
pub(crate) fn split(text: &[u8], byte: u8) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    text.split(move |other| *other == byte)
}

/// The text before and behind the last `byte`.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn split_last(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|other| *other == byte)?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

/// The text before and behind the first `byte`.
pub(crate) fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|other| *other == byte)?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

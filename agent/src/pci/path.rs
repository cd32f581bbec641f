//! The way to a function through the bridges above it.

use core::fmt;

use crate::pci::address::{self, Address, Slot};
use crate::text::Hex;
use crate::text::misread::{Fault, Misread, field, split, split_once};

/// The most steps of a path that a person may write; the deepest real ones have seven.
const MAX_STEPS: usize = 32;

/// A path as the kernel's `<pci_dev>` parameters spell it: `0000:00:1c.0/00.0`, the whole address of
/// what sits on the root bus and then device and function at each step (`pci_dev_str_match_path` in
/// drivers/pci/pci.c).
///
/// Unlike an address it does not change when a card elsewhere brings bus numbers of its own.
#[derive(Clone, Copy, Debug)]
pub struct PciPath<'a> {
    start: Address,
    /// Well-formed: `/00.0/01.0`.
    rest: &'a [u8],
}

impl<'a> PciPath<'a> {
    /// Reads `[DOMAIN:]BUS:DEV.FUNC(/DEV.FUNC)+`.
    ///
    /// # Errors
    /// The first step that is not what it should be.
    pub fn parse(text: &'a [u8]) -> Result<Self, Misread<'a>> {
        let end = text.iter().position(|byte| *byte == b'/');
        let (first, rest) = text
            .split_at_checked(end.unwrap_or(text.len()))
            .unwrap_or_default();
        let Some(start) = Slot::parse(first)?.address() else {
            return Err(Misread {
                at: first,
                fault: Fault::Expected("a function at each step of a path"),
            });
        };
        for step in steps(rest) {
            read_step(step)?;
        }
        if steps(rest).count() > MAX_STEPS {
            return Err(Misread {
                at: rest,
                fault: Fault::Expected("at most 32 steps"),
            });
        }
        Ok(Self { start, rest })
    }

    /// The domain that it starts in.
    #[must_use]
    pub fn domain(&self) -> u32 {
        self.start.domain
    }

    /// The function that it starts at.
    pub(crate) fn start(&self) -> Address {
        self.start
    }

    /// Device and function at each step below the first.
    pub(crate) fn below(&self) -> impl Iterator<Item = (u8, u8)> + 'a {
        steps(self.rest).filter_map(|step| read_step(step).ok())
    }

    /// Whether it is a `way` from the root bus: it may start at any bridge of it, as the kernel has it;
    /// from the root bus on it is sturdy.
    pub(crate) fn is_way(&self, mut way: impl Iterator<Item = Address>) -> bool {
        way.any(|step| step == self.start)
            && way
                .map(|step| (step.device, step.function))
                .eq(self.below())
    }
}

impl PartialEq for PciPath<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start && self.below().eq(other.below())
    }
}

impl Eq for PciPath<'_> {}

impl fmt::Display for PciPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.start, self.below(), f)
    }
}

/// What stands between the slashes; nothing before the first.
fn steps(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(rest, b'/').skip(1)
}

fn read_step(step: &[u8]) -> Result<(u8, u8), Misread<'_>> {
    let (device, function) = split_once(step, b'.').unwrap_or((step, b""));
    Ok((
        field(
            device,
            "a device of two digits, at most 1f",
            address::device(device),
        )?,
        field(function, "a function, 0 to 7", address::function(function))?,
    ))
}

/// The way to one function, from its root bus on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    start: Address,
    /// Device and function at each step, as `devfn` of the kernel has them.
    below: heapless::Vec<u8, MAX_STEPS>,
}

impl Way {
    /// The way by these functions; `None` without one, or where no path can be written, as it has more
    /// steps than [`PciPath::parse`] takes.
    pub(crate) fn new(mut way: impl Iterator<Item = Address>) -> Option<Self> {
        let start = way.next()?;
        let mut below = heapless::Vec::new();
        for step in way {
            below.push(step.device << 3 | step.function).ok()?;
        }
        Some(Self { start, below })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = self.below.iter();
        show(self.start, below.map(|step| (step >> 3, step & 7)), f)
    }
}

/// Shows a path by its first function, and device and function of each below.
fn show(
    start: Address,
    below: impl Iterator<Item = (u8, u8)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{start}")?;
    for (device, function) in below {
        write!(f, "/{}.{}", Hex(device.into(), 2), Hex(function.into(), 1))?;
    }
    Ok(())
}

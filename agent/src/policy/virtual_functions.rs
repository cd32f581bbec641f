//! `vf:TARGET` and `vf:TARGET#0-3,7`: virtual functions by what makes them, and by their index.

use crate::text::digits::decimal;
use crate::text::misread::{Misread, field, split, split_once};

/// Which virtual functions (VFs) of a physical one (PF) are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VirtualFunctions<'a> {
    /// Well-formed: `0-3,7`; all of them where absent.
    pub indexes: Option<&'a [u8]>,
}

impl<'a> VirtualFunctions<'a> {
    /// Reads the list of indexes, where there is one.
    ///
    /// # Errors
    /// The first item that is neither a number nor a range.
    pub fn parse(indexes: Option<&'a [u8]>) -> Result<Self, Misread<'a>> {
        for item in split(indexes.unwrap_or(b"0"), b',') {
            field(item, "numbers of virtual functions, as 0-3,7", range(item))?;
        }
        Ok(Self { indexes })
    }

    /// Whether the VF with this index is meant, whichever function makes it.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub(crate) fn means(&self, index: u16) -> bool {
        self.indexes.is_none_or(|indexes| {
            let mut items = split(indexes, b',').filter_map(range);
            items.any(|(first, last)| (first..=last).contains(&index))
        })
    }
}

/// `7` or `0-3`.
#[inline(never)] // Inlined, it makes the executable larger.
fn range(item: &[u8]) -> Option<(u16, u16)> {
    let number = |text| decimal(text)?.try_into().ok();
    match split_once(item, b'-') {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((first, last))
        }
        None => Some((number(item)?, number(item)?)),
    }
}

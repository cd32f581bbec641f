//! `vf:TARGET` and `vf:TARGET#0-3,7`: virtual functions by what makes them, and by their index.

use crate::machine::Root;
use crate::machine::sriov::Sriov;
use crate::pci::address::{Address, Slot};
use crate::text::digits::decimal;
use crate::text::misread::{Misread, field, split, split_once};

/// The functions of a device.
const FUNCTIONS: usize = 8;

/// Which virtual functions (VFs) of a device are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VirtualFunctions<'a> {
    /// Well-formed: `0-3,7`; all of them where absent.
    pub indexes: Option<&'a [u8]>,
    /// What each function of the device shows; [`crate::policy::resolve`] finds that out.
    functions: [Sriov; FUNCTIONS],
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
        Ok(Self {
            indexes,
            functions: [Sriov::NONE; FUNCTIONS],
        })
    }

    /// Reads what the functions of `device`, or the one that is named, show now.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub(crate) fn look(&mut self, root: &dyn Root, device: Slot) {
        for (function, sriov) in (0..).zip(&mut self.functions) {
            let pf = function_of(device, function);
            if device.matches(pf) {
                *sriov = Sriov::read(root, pf);
            }
        }
    }

    /// Calls `each` with what makes them and what that shows.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub(crate) fn each_maker(&self, device: Slot, each: &mut dyn FnMut(Address, &Sriov)) {
        for (function, sriov) in (0..).zip(&self.functions) {
            if sriov.total > 0 {
                each(function_of(device, function), sriov);
            }
        }
    }

    /// Calls `each` with those that are meant and there.
    pub(crate) fn each(&self, device: Slot, each: &mut dyn FnMut(Address)) {
        self.each_maker(device, &mut |pf, sriov| {
            for index in (0..sriov.count).filter(|index| self.means(*index)) {
                sriov.address(pf, index).into_iter().for_each(&mut *each);
            }
        });
    }

    /// Whether the function at `address` is one of those that are meant.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub(crate) fn has(&self, device: Slot, address: Address) -> bool {
        let mut has = false;
        self.each_maker(device, &mut |pf, sriov| {
            let index = sriov.index(pf, address);
            has |= index.is_some_and(|index| self.means(index));
        });
        has
    }

    /// Whether any that is meant can be made.
    pub(crate) fn can_be(&self) -> bool {
        let total = self.functions.iter().map(|sriov| sriov.total).max();
        (0..total.unwrap_or(0)).any(|index| self.means(index))
    }

    /// Whether the VF with this index is meant, whichever function makes it.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn means(&self, index: u16) -> bool {
        self.indexes.is_none_or(|indexes| {
            let mut items = split(indexes, b',').filter_map(range);
            items.any(|(first, last)| (first..=last).contains(&index))
        })
    }
}

/// A function of a device.
fn function_of(device: Slot, function: u8) -> Address {
    let Slot {
        domain,
        bus,
        device,
        ..
    } = device;
    Address {
        domain,
        bus,
        device,
        function,
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

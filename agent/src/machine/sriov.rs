//! What a function shows of the virtual functions (VFs) that can be made of it, and where they are.
//!
//! Nothing here takes the device lock, as showing `sriov_numvfs` does (`sriov_numvfs_show` in
//! drivers/pci/iov.c, since Linux 5.6): a driver that hangs in its probe would keep the reader for ever.

use crate::machine::Root;
use crate::machine::sysfs::{attribute, directory};
use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::text::digits::decimal;

/// What a function has to do with VFs, as far as anybody asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Nothing, or nobody asked.
    #[default]
    Plain,
    /// It makes so many at most.
    Physical(u16),
    /// It is one.
    Virtual(Maker),
}

/// What a VF is made by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Maker {
    /// Where the PF is.
    pub address: Address,
    /// What the PF is.
    pub id: DeviceId,
    /// Which of its VFs this is.
    pub index: u16,
}

/// The SR-IOV capability of a physical function (PF); of any other function, zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sriov {
    /// Where the first VF is, counted from the PF. The device may change it, and the stride, with the number
    /// of VFs (`pci_iov_set_numvfs`).
    pub offset: u16,
    /// How far one VF is from the next.
    pub stride: u16,
    /// How many VFs there are.
    pub count: u16,
    /// How many there can be.
    pub total: u16,
}

impl Sriov {
    /// Of a function that makes none.
    pub const NONE: Self = Self {
        offset: 0,
        stride: 0,
        count: 0,
        total: 0,
    };

    /// Reads what the function at `pf` shows; what cannot be read is 0.
    #[inline(never)] // Inlined, it makes the executable larger.
    #[must_use]
    pub fn read(root: &dyn Root, pf: Address) -> Self {
        let number = |name| {
            let mut buffer = [0; 8];
            let text = root.read(&attribute(pf, name), &mut buffer).ok()?;
            decimal(text.trim_ascii_end())?.try_into().ok()
        };
        let Some(total) = number("sriov_totalvfs") else {
            return Self::NONE;
        };
        let mut count = 0u16;
        // The links are `virtfn0` and so on, one for each VF (`pci_iov_sysfs_link`).
        let _ = root.list(&directory(pf), &mut |entry| {
            count = count.saturating_add(entry.starts_with(b"virtfn").into());
        });
        Self {
            offset: number("sriov_offset").unwrap_or(0),
            stride: number("sriov_stride").unwrap_or(0),
            count,
            total,
        }
    }

    /// Where a VF of the function at `pf` is; `None` where there is no such VF now (`pci_iov_virtfn_bus` and
    /// `pci_iov_virtfn_devfn`).
    #[inline(never)] // Inlined, it makes the executable larger.
    #[must_use]
    pub fn address(&self, pf: Address, index: u16) -> Option<Address> {
        if index >= self.count || self.offset == 0 {
            return None;
        }
        let [way, stride, index] = [self.offset, self.stride, index].map(u32::from);
        let way = way.saturating_add(stride.saturating_mul(index));
        let id = way.saturating_add(pf.routing_id().into());
        Some(Address::from_routing_id(pf.domain, id.try_into().ok()?))
    }

    /// Which VF of the function at `pf` is at `address`.
    #[must_use]
    pub fn index(&self, pf: Address, address: Address) -> Option<u16> {
        let way = address.routing_id().checked_sub(pf.routing_id())?;
        let way = way.checked_sub(self.offset)?;
        let stride = self.stride.max(1);
        let index = way.checked_div(stride)?;
        let is_there = pf.domain == address.domain && self.offset > 0 && index < self.count;
        (is_there && way.is_multiple_of(stride)).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Address {
        Address::parse(text.as_bytes()).unwrap()
    }

    /// Of an 82576, of Intel graphics, of an NVMe disk of QEMU's; beyond its bus; of one that has none yet.
    #[test]
    fn where_virtual_functions_are() {
        for (pf, [offset, stride, count], index, vf) in [
            ("0000:03:00.0", [0x180, 2, 7], 0, Some("0000:04:10.0")),
            ("0000:03:00.0", [0x180, 2, 7], 6, Some("0000:04:11.4")),
            ("0000:03:00.1", [0x180, 2, 7], 1, Some("0000:04:10.3")),
            ("0000:00:02.0", [1, 1, 7], 6, Some("0000:00:02.7")),
            ("0000:00:02.0", [1, 1, 7], 7, None),
            ("0001:00:02.0", [1, 0, 1], 0, Some("0001:00:02.1")),
            ("0000:ff:1f.0", [8, 1, 2], 0, None),
            ("0000:03:00.0", [0, 0, 2], 0, None),
            ("0000:03:00.0", [0x180, 2, 0], 0, None),
        ] {
            let sriov = Sriov {
                offset,
                stride,
                count,
                total: 8,
            };
            assert_eq!(sriov.address(at(pf), index), vf.map(at), "{pf} {index}");
            if let Some(vf) = vf {
                assert_eq!(sriov.index(at(pf), at(vf)), Some(index), "{pf} {vf}");
            }
        }
        let sriov = Sriov {
            offset: 0x180,
            stride: 2,
            count: 7,
            total: 8,
        };
        for other in [
            "0000:03:00.0",
            "0000:04:10.1",
            "0000:04:11.6",
            "0001:04:10.0",
        ] {
            assert_eq!(sriov.index(at("0000:03:00.0"), at(other)), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn an_index_leads_there_and_back(
            pf: u16, offset: u16, stride: u16, count: u16, index: u16, other: u16,
        ) {
            let sriov = Sriov { offset, stride, count, total: count };
            let pf = Address::from_routing_id(7, pf);
            if let Some(vf) = sriov.address(pf, index) {
                prop_assert!(vf != pf);
                let back = sriov.index(pf, vf);
                // Without a stride all of them would be in the same place.
                prop_assert!(back == Some(index) || stride == 0);
            }
            let other = Address::from_routing_id(7, other);
            if let Some(index) = sriov.index(pf, other) {
                prop_assert_eq!(sriov.address(pf, index), Some(other));
            }
        }
    }
}

//! The PCI functions of a machine.

use heapless::Vec;

use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::text::DriverName;

/// The most functions that are looked at. A large two-socket server has 300 of its own, which
/// leaves room for 1700 virtual ones; what is beyond is counted in [`Inventory::beyond_limit`].
pub const MAX_FUNCTIONS: usize = 2048;

/// One PCI function as the kernel showed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Where it sits.
    pub address: Address,
    /// What it is.
    pub id: DeviceId,
    /// Its IOMMU group; `None` if the kernel gave it none.
    pub group: Option<u32>,
    /// Whether its header type is not 0. vfio-pci refuses those (`vfio_pci_probe`).
    pub bridge: bool,
    /// The first and the last bus behind a bridge; 0 and 0 where it leads nowhere.
    pub buses: (u8, u8),
    /// Whether the machine boots on this display, as [`crate::machine::boot_display`] finds out.
    pub boot_display: bool,
    /// The driver it is bound to.
    pub driver: Option<DriverName>,
}

impl Function {
    /// Whether it can be lent to a virtual machine at all.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        !self.bridge
    }

    /// Whether this is a bridge that the function at `address` is behind, at any depth.
    #[must_use]
    pub fn leads_to(&self, address: Address) -> bool {
        let (first, last) = self.buses;
        // Bus 0 is behind nothing: a bridge that nobody has set up says so of itself.
        first > 0 && self.address.domain == address.domain && (first..=last).contains(&address.bus)
    }
}

/// Where a function stands in [`Inventory::functions`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Index(u16);

impl Index {
    /// The place in a list that runs beside the inventory.
    pub(crate) fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// When the kernel makes IOMMU groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupTiming {
    /// It made them all when the IOMMU started, as far as it makes any.
    #[default]
    AtStart,
    /// It may: what has neither group nor driver may still get a group.
    AtFirstProbe,
    /// It may, and was made to: what has no group now gets none.
    Tried,
}

/// All functions, in the order of their addresses.
#[derive(Default)]
pub struct Inventory {
    functions: Vec<Function, MAX_FUNCTIONS>,
    /// How IOMMU groups come on this machine.
    pub timing: GroupTiming,
    /// Functions beyond [`MAX_FUNCTIONS`], which were not looked at.
    pub beyond_limit: usize,
    /// Entries that could not be read, and functions that could not be made to get their group.
    pub unreadable: usize,
    /// The first of the functions that could not be read.
    unread: Vec<Address, MAX_UNREAD>,
}

/// How many of the functions that could not be read are known by their addresses.
const MAX_UNREAD: usize = 32;

/// Why a function of the machine is not in the inventory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unseen {
    /// It could not be read.
    Unread,
    /// It lies beyond [`MAX_FUNCTIONS`].
    Beyond,
    /// It came later.
    Late,
}

impl Inventory {
    /// Forgets all functions.
    pub fn clear(&mut self) {
        self.functions.clear();
        self.unread.clear();
        (self.beyond_limit, self.unreadable) = (0, 0);
    }

    /// Adds a function in the order of addresses (sysfs lists in none), or counts it if there is no
    /// room.
    pub fn add(&mut self, function: Function) {
        if self.functions.push(function).is_err() {
            self.beyond_limit = self.beyond_limit.saturating_add(1);
            return;
        }
        // `Vec::insert` can panic, and says so in the executable.
        let mut sorted = self.functions.len();
        while let Some([.., earlier, last]) = self.functions.get_mut(..sorted)
            && earlier.address > last.address
        {
            core::mem::swap(earlier, last);
            sorted = sorted.saturating_sub(1);
        }
    }

    /// Counts an entry that could not be read.
    pub(crate) fn add_unread(&mut self, address: Option<Address>) {
        self.unreadable = self.unreadable.saturating_add(1);
        if let Some(address) = address {
            // Where there is no room, whatever is missing may be one of them.
            let _ = self.unread.push(address);
        }
    }

    /// Why the function at `address` is not here.
    #[must_use]
    pub fn unseen(&self, address: Address) -> Unseen {
        if self.unread.is_full() || self.unread.contains(&address) {
            Unseen::Unread
        } else if self.beyond_limit > 0 {
            Unseen::Beyond
        } else {
            Unseen::Late
        }
    }

    /// Every function with its index.
    pub fn iter(&self) -> impl Iterator<Item = (Index, &Function)> + Clone {
        // MAX_FUNCTIONS is below the range of u16.
        (0..).map(Index).zip(&self.functions)
    }

    /// The function at an index of this inventory.
    #[must_use]
    pub fn get(&self, index: Index) -> Option<&Function> {
        self.functions.get(index.position())
    }

    /// Every function, to add what was found out about it; its address must stay.
    /// All functions, where their places do not matter.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    pub(crate) fn functions_mut(&mut self) -> &mut [Function] {
        &mut self.functions
    }

    /// The members of an IOMMU group.
    pub fn members(&self, group: u32) -> impl Iterator<Item = &Function> {
        self.functions
            .iter()
            .filter(move |function| function.group == Some(group))
    }

    /// Whether the kernel put any function into an IOMMU group, or may do so late.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        let mut all = self.functions.iter();
        all.any(|function| function.group.is_some() || self.awaits_group(function))
    }

    /// Whether a function may get its IOMMU group when a driver is first probed for it.
    #[must_use]
    pub fn awaits_group(&self, function: &Function) -> bool {
        let Function {
            group,
            bridge,
            driver,
            ..
        } = function;
        self.timing == GroupTiming::AtFirstProbe && !bridge && group.is_none() && driver.is_none()
    }

    /// How many functions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether the machine has no PCI function.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }
}

//! The PCI functions of a machine.

use heapless::Vec;

use crate::machine::sriov::Role;
use crate::machine::{Root, way};
use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::pci::path::Way;
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
    /// Whether what may share its IOMMU group could not be made to get its own, so that nobody knows all
    /// members.
    pub in_doubt: bool,
    /// Whether it makes virtual functions or is one, as [`crate::policy::virtual_functions`] finds out.
    pub role: Role,
    /// The driver it is bound to.
    pub driver: Option<DriverName>,
    /// The way to it, where [`Inventory::find_way`] was asked for it and sysfs tells it.
    pub way: Option<Way>,
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

/// The functions that were looked at, in the order of their addresses.
#[derive(Default)]
pub struct Inventory {
    functions: Vec<Function, MAX_FUNCTIONS>,
    /// So many of them stand in order.
    sorted: usize,
    /// Whether these are all functions of the machine, and not only those that a policy is about.
    pub whole: bool,
    /// How many functions the bus has, where they were listed.
    pub listed: Option<usize>,
    /// When IOMMU groups come on this machine.
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
    /// One without functions.
    pub const EMPTY: Self = Self {
        functions: Vec::new(),
        sorted: 0,
        whole: false,
        listed: None,
        timing: GroupTiming::AtStart,
        beyond_limit: 0,
        unreadable: 0,
        unread: Vec::new(),
    };

    /// Forgets all functions.
    pub fn clear(&mut self) {
        self.functions.clear();
        self.unread.clear();
        (self.sorted, self.whole, self.listed) = (0, false, None);
        (self.beyond_limit, self.unreadable) = (0, 0);
    }

    /// Adds a function that is not here, or counts it if there is no room. Its place comes with
    /// [`Inventory::sort`].
    pub fn add(&mut self, function: Function) {
        if self.functions.push(function).is_err() {
            self.beyond_limit = self.beyond_limit.saturating_add(1);
        }
    }

    /// Puts the functions in the order of their addresses: sysfs lists them in none.
    pub fn sort(&mut self) {
        sort(&mut self.functions, |one, other| {
            one.address > other.address
        });
        self.sorted = self.functions.len();
    }

    /// Whether the function at `address` is here.
    #[must_use]
    pub fn has(&self, address: Address) -> bool {
        self.position(address).is_some()
    }

    /// The place of the function at `address` in [`Inventory::functions`].
    #[must_use]
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn position(&self, address: Address) -> Option<usize> {
        let (sorted, rest) = self
            .functions
            .split_at_checked(self.sorted)
            .unwrap_or((&self.functions, &[]));
        let found = sorted.binary_search_by_key(&address, |function| function.address);
        found.ok().or_else(|| {
            let at = rest.iter().position(|f| f.address == address)?;
            at.checked_add(sorted.len())
        })
    }

    /// Counts an entry that could not be read.
    pub(crate) fn add_unread(&mut self, address: Option<Address>) {
        self.unreadable = self.unreadable.saturating_add(1);
        if let Some(address) = address {
            // Where there is no room, whatever is missing may be one of them.
            let _ = self.unread.push(address);
        }
    }

    /// The first of the functions that could not be read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = Address> {
        self.unread.iter().copied()
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

    /// Finds out the way to a function.
    pub fn find_way(&mut self, root: &dyn Root, index: Index) {
        if let Some(function) = self.functions.get_mut(index.position()) {
            function.way = way::of(root, function.address);
        }
    }

    /// All functions, where their places do not matter.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The same, to add what was found out about them; their addresses must stay.
    pub(crate) fn functions_mut(&mut self) -> &mut [Function] {
        &mut self.functions
    }

    /// Says what the function at a [position](Inventory::position) has to do with virtual functions.
    pub(crate) fn set_role(&mut self, position: usize, role: Role) {
        if let Some(function) = self.functions.get_mut(position) {
            function.role = role;
        }
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
        all.any(|f| f.group.is_some() || f.in_doubt || (self.awaits_group(f) && f.is_endpoint()))
    }

    /// Whether a function may get its IOMMU group when a driver is first probed for it.
    #[must_use]
    pub fn awaits_group(&self, function: &Function) -> bool {
        let Function { group, driver, .. } = function;
        self.timing == GroupTiming::AtFirstProbe && group.is_none() && driver.is_none()
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

/// Puts a list in order, Shell's way: core's `sort_unstable` is 3 KiB of the executable.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn sort<T>(list: &mut [T], is_later: fn(&T, &T) -> bool) {
    let mut gap = list.len();
    while gap > 1 {
        gap = (gap >> 1) | 1;
        for start in gap..list.len() {
            // Swapped with the one that stands `gap` before it, as long as that one is later.
            let mut at = start;
            while let Some(before) = at.checked_sub(gap)
                && let Some((head, [last, ..])) = list.split_at_mut_checked(at)
                && let Some(first) = head.get_mut(before)
                && is_later(first, last)
            {
                core::mem::swap(first, last);
                at = before;
            }
        }
        gap = gap.saturating_sub(1);
    }
}

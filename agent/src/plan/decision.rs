//! What is to be done, and why.

use core::fmt;

use heapless::Vec;

use crate::machine::inventory::{Index, MAX_FUNCTIONS};
use crate::machine::sriov::Sriov;
use crate::pci::address::Address;
use crate::plan::refusal::{Leave, Refusal};
use crate::policy::Policy;
use crate::text::DriverName;

/// What is to be done with one function, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The function.
    pub function: Index,
    /// Why the plan speaks of it.
    pub why: Why,
    /// What is to be done.
    pub decision: Decision,
    /// The place in [`Plan::variants`] of a driver that suits it better than the policy's.
    pub variant: Option<u8>,
}

/// Why a plan speaks of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The selector at this place in [`Policy::selectors`] asks for it.
    Selected(u16),
    /// It shares its IOMMU group with this selected function.
    Sibling(Address),
}

/// What is to be done with a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Bind it.
    Bind,
    /// It was asked for and is not bound.
    Refuse(Refusal),
    /// It shares a group with a bound function and stays where it is.
    Leave(Leave),
}

/// Everything that is to be done, in the order of addresses.
pub struct Plan {
    /// A step for each function the plan speaks of.
    pub steps: Vec<Step, MAX_FUNCTIONS>,
    /// vfio-pci must be loaded with an empty list of IDs: the one that it is handed would take a
    /// function that this plan leaves alone.
    pub without_kernel_ids: bool,
    /// Vfio drivers for single models, as the index of modules has them.
    pub variants: Vec<DriverName, MAX_VARIANTS>,
    /// The one function that it is about, with its IOMMU group; `None` for all that is asked for.
    pub focus: Option<Address>,
    /// The virtual functions of that one, which it is about as well.
    pub own: Sriov,
    /// Whether nobody knows what is mounted or routed by now, as in an image once it runs.
    pub use_unknown: bool,
}

/// The most different vfio drivers of one plan.
pub const MAX_VARIANTS: usize = 8;

impl Plan {
    /// One that speaks of nothing.
    pub const EMPTY: Self = Self {
        steps: Vec::new(),
        without_kernel_ids: false,
        variants: Vec::new(),
        focus: None,
        own: Sriov::NONE,
        use_unknown: false,
    };

    /// Makes it [empty](Plan::EMPTY) again, but for what it is about.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.without_kernel_ids = false;
        self.variants.clear();
    }

    /// The driver that a step binds.
    #[must_use]
    pub fn driver<'a>(&'a self, step: &Step, policy: &'a Policy<'_>) -> &'a DriverName {
        let own = step
            .variant
            .and_then(|at| self.variants.get(usize::from(at)));
        own.unwrap_or(&policy.driver)
    }

    /// The place of the step for a function. The steps are in the order of the inventory.
    #[must_use]
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn place_of(&self, function: Index) -> Option<usize> {
        let found = self
            .steps
            .binary_search_by_key(&function, |step| step.function);
        found.ok()
    }

    /// Whether a function is to be bound.
    #[must_use]
    pub fn binds(&self, function: Index) -> bool {
        let step = self.place_of(function).and_then(|at| self.steps.get(at));
        step.is_some_and(|step| step.decision == Decision::Bind)
    }

    /// The functions that are to be bound.
    pub fn bound(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| step.decision == Decision::Bind)
    }
}

impl Step {
    /// Shows why the plan speaks of this function.
    #[must_use]
    pub fn reason<'a>(&'a self, policy: &'a Policy<'a>) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| match self.why {
            Why::Selected(at) => match policy.selectors.get(usize::from(at)) {
                Some(selector) => write!(f, "{selector}"),
                None => f.write_str("selected"),
            },
            Why::Sibling(of) => write!(f, "same group as {of}"),
        })
    }
}

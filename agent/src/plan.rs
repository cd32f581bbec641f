//! Policy + inventory -> plan. No I/O: the same input always gives the same plan.

use core::fmt;

use heapless::Vec;

use crate::address::{Address, Slot};
use crate::device_id::IdPattern;
use crate::function::{Function, Index, Inventory, MAX_FUNCTIONS};
use crate::handed;
use crate::policy::{GroupPolicy, Policy, VFIO_PCI};
use crate::selector::{Selector, Source, Target};
use crate::text::Name;

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

/// Why a function that was asked for is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The kernel has no IOMMU group at all.
    NoIommu,
    /// Others have a group, this one has none.
    NoGroup,
    /// It has none yet; a dry run does not make the kernel give it one.
    LateGroup,
    /// Its header type is not 0.
    Bridge,
    /// It belongs to the machine itself and was swept up, not named.
    System,
    /// This member of its group is excluded.
    ExcludedSibling(Address),
    /// This member of its group was not selected, under `vfio.group=strict`.
    UnselectedSibling(Address),
    /// This member of its group is a VMD controller, which holds the PCI domain of what is behind
    /// it: taken from its driver, it takes them all away.
    Vmd(Address),
    /// The machine boots from this member of its group, or its owner protects it.
    Protected(Address),
    /// This vendor and device sit there, and not what the selector names.
    OtherId(u32, u32),
    /// It is excluded or protected, but vfio-pci took it by `vfio_pci.ids=` before this run.
    KernelHasIt,
    /// The policy has an error that may hide an exclusion.
    UnclearPolicy,
}

/// Why a member of a bound group is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// It belongs to the machine itself.
    System,
    /// `vfio.group=listed`, and it is not listed.
    NotListed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIommu => f.write_str("the kernel uses no IOMMU"),
            Self::NoGroup => f.write_str(
                "the kernel gave it no IOMMU group, although other functions have one; vfio-pci \
                 would not take it",
            ),
            Self::LateGroup => f.write_str(
                "Linux before 6.15 gives it an IOMMU group only when a driver is first probed for \
                 it; the agent sees to that at boot, a plan does not",
            ),
            Self::Bridge => f.write_str("bridges are never bound; select what is behind it"),
            Self::System => f.write_str(
                "it belongs to the machine itself; name it by address or whole ID to take it",
            ),
            Self::ExcludedSibling(sibling) => write!(
                f,
                "{sibling} of the same IOMMU group is excluded or not what was named; \
                 vfio.group=listed takes the one without the other"
            ),
            Self::UnselectedSibling(sibling) => write!(
                f,
                "vfio.group=strict, and {sibling} of the same IOMMU group is not selected"
            ),
            Self::Vmd(controller) => write!(
                f,
                "it shares its IOMMU group with the VMD controller {controller}; turn VMD off in \
                 the firmware setup, or select the controller with all that is behind it"
            ),
            Self::Protected(member) => write!(
                f,
                "{member} of its IOMMU group is protected; vfio.force takes it all the same"
            ),
            Self::OtherId(vendor, device) => write!(
                f,
                "{vendor:04x}:{device:04x} sits there now, which is not what the selector names"
            ),
            Self::KernelHasIt => f.write_str(
                "the policy leaves it alone, but vfio-pci had it before, by vfio_pci.ids=; select \
                 the others by vfio.bind= alone",
            ),
            Self::UnclearPolicy => {
                f.write_str("the policy has an error that may hide what must be left alone")
            }
        }
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => {
                "it belongs to the machine itself and stays; if a host driver binds it, the group \
                 is not usable"
            }
            Self::NotListed => {
                "not listed, so it stays; if a host driver binds it, the group is not usable"
            }
        })
    }
}

/// Everything that is to be done, in the order of addresses.
#[derive(Default)]
pub struct Plan {
    /// A step for each function the plan speaks of.
    pub steps: Vec<Step, MAX_FUNCTIONS>,
    /// vfio-pci must be loaded with an empty list of IDs: the one that it is handed would take a
    /// function that this plan leaves alone.
    pub without_kernel_ids: bool,
    /// Vfio drivers for single models, as [`crate::variant`] found them.
    pub variants: Vec<Name, MAX_VARIANTS>,
}

/// The most different vfio drivers of one plan.
pub const MAX_VARIANTS: usize = 8;

impl Plan {
    /// The driver that a step binds.
    #[must_use]
    pub fn driver<'a>(&'a self, step: &Step, policy: &'a Policy<'_>) -> &'a Name {
        let own = step
            .variant
            .and_then(|at| self.variants.get(usize::from(at)));
        own.unwrap_or(&policy.driver)
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

/// What the selectors say of one function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Untouched,
    Selected {
        selector: u16,
        specific: bool,
    },
    Excluded,
    /// By `vfio.protect=`; whether a selector asks for it, too.
    Protected(Option<u16>),
    /// A selector names the function and another ID.
    OtherId(u16),
}

fn mark(policy: &Policy<'_>, function: &Function) -> Mark {
    let mut mark = Mark::Untouched;
    let mut protected = false;
    for (at, selector) in (0..=u16::MAX).zip(&policy.selectors) {
        if !selector.matches(function.address, &function.id) {
            let disappointed = selector.is_disappointed(function.address, &function.id);
            if disappointed && mark == Mark::Untouched {
                mark = Mark::OtherId(at);
            }
            continue;
        }
        if selector.source == Source::Protect {
            protected = !policy.force;
            continue;
        }
        if selector.excludes {
            return Mark::Excluded;
        }
        mark = match mark {
            Mark::Selected {
                selector: first,
                specific,
            } => Mark::Selected {
                selector: first,
                specific: specific || selector.is_specific(),
            },
            _ => Mark::Selected {
                selector: at,
                specific: selector.is_specific(),
            },
        };
    }
    match mark {
        Mark::Selected { selector, .. } if protected => Mark::Protected(Some(selector)),
        _ if protected => Mark::Protected(None),
        _ => mark,
    }
}

/// Joins what was asked for with what is there.
#[must_use]
pub fn plan(policy: &Policy<'_>, inventory: &Inventory) -> Plan {
    let mut plan = Plan::default();
    if policy.off {
        return plan;
    }
    let mut marks = Vec::new();
    for (_, function) in inventory.iter() {
        // There is a mark for each function, and both have the same limit.
        let _ = marks.push(mark(policy, function));
    }
    let planner = Planner {
        policy,
        inventory,
        marks,
        has_groups: inventory.has_groups(),
        forbidden: policy.forbids_binding(),
    };
    for (index, function) in inventory.iter() {
        if let Some((why, decision)) = planner.decide(index, function) {
            // There is a step for each function at most, and both have the same limit.
            let _ = plan.steps.push(Step {
                function: index,
                why,
                decision,
                variant: None,
            });
        }
    }
    plan.without_kernel_ids = handed::overreach(policy, inventory, &plan).is_some();
    plan
}

struct Planner<'a> {
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
    marks: Vec<Mark, MAX_FUNCTIONS>,
    has_groups: bool,
    forbidden: bool,
}

impl Planner<'_> {
    fn members(&self, group: u32) -> impl Iterator<Item = (&Function, Mark)> {
        self.inventory
            .iter()
            .zip(&self.marks)
            .filter(move |((_, function), _)| function.group == Some(group))
            .map(|((_, function), mark)| (function, *mark))
    }

    fn decide(&self, index: Index, function: &Function) -> Option<(Why, Decision)> {
        let mark = self.marks.get(index.position())?;
        if matches!(mark, Mark::Excluded | Mark::Protected(_))
            && function.driver.as_deref() == Some(VFIO_PCI)
            && let Some((at, _)) = self.kernel_ids(function).next()
        {
            let refused = Decision::Refuse(Refusal::KernelHasIt);
            return Some((Why::Selected(at), refused));
        }
        match mark {
            Mark::Selected { selector, specific } => {
                let decision = match self.refusal(function, *specific) {
                    Some(refusal) => Decision::Refuse(refusal),
                    None => Decision::Bind,
                };
                Some((Why::Selected(*selector), decision))
            }
            Mark::Protected(Some(selector)) => Some((
                Why::Selected(*selector),
                Decision::Refuse(Refusal::Protected(function.address)),
            )),
            Mark::OtherId(selector) => Some((
                Why::Selected(*selector),
                Decision::Refuse(Refusal::OtherId(function.id.vendor, function.id.device)),
            )),
            Mark::Untouched if function.is_endpoint() => self.decide_sibling(function),
            _ => None,
        }
    }

    /// Why a selected function may not be bound.
    fn refusal(&self, function: &Function, specific: bool) -> Option<Refusal> {
        if function.bridge {
            Some(Refusal::Bridge)
        } else if !self.has_groups {
            Some(Refusal::NoIommu)
        } else if self.forbidden {
            Some(Refusal::UnclearPolicy)
        } else if function.id.is_system() && !specific {
            Some(Refusal::System)
        } else {
            match function.group {
                None if self.inventory.awaits_group(function) => Some(Refusal::LateGroup),
                None => Some(Refusal::NoGroup),
                Some(group) => self.group_refusal(group),
            }
        }
    }

    /// Why no member of a group may be bound.
    fn group_refusal(&self, group: u32) -> Option<Refusal> {
        let find = |wanted: &dyn Fn(&Function, Mark) -> bool| {
            let mut endpoints = self.members(group).filter(|(f, _)| f.is_endpoint());
            let found = endpoints.find(|(function, mark)| wanted(function, *mark));
            found.map(|(function, _)| function.address)
        };
        let unasked_vmd = |function: &Function, mark: Mark| {
            function.driver.as_deref() == Some("vmd") && !matches!(mark, Mark::Selected { .. })
        };
        let excluded = |_: &Function, mark| matches!(mark, Mark::Excluded | Mark::OtherId(_));
        let unselected =
            |function: &Function, mark| mark == Mark::Untouched && !function.id.is_system();
        let protected = |_: &Function, mark| matches!(mark, Mark::Protected(_));
        let policy = self.policy.group;
        if let Some(member) = find(&protected) {
            return Some(Refusal::Protected(member));
        }
        let vmd = find(&unasked_vmd).map(Refusal::Vmd);
        if vmd.is_some() || policy == GroupPolicy::Listed {
            return vmd;
        }
        let excluded = find(&excluded).map(Refusal::ExcludedSibling);
        if excluded.is_some() || policy == GroupPolicy::Endpoints {
            return excluded;
        }
        find(&unselected).map(Refusal::UnselectedSibling)
    }

    /// What becomes of an endpoint that nobody named, if its group is bound at all.
    fn decide_sibling(&self, function: &Function) -> Option<(Why, Decision)> {
        let group = function.group?;
        let (cause, _) = self.members(group).find(|(member, mark)| match mark {
            Mark::Selected { specific, .. } => self.refusal(member, *specific).is_none(),
            _ => false,
        })?;
        let decision = if function.id.is_system() {
            Decision::Leave(Leave::System)
        } else if self.policy.group == GroupPolicy::Listed {
            Decision::Leave(Leave::NotListed)
        } else {
            Decision::Bind
        };
        Some((Why::Sibling(cause.address), decision))
    }

    /// The items of `vfio_pci.ids=` that match a function, with their places in the policy.
    fn kernel_ids(&self, function: &Function) -> impl Iterator<Item = (u16, &Selector<'_>)> {
        let all = (0..=u16::MAX).zip(&self.policy.selectors);
        all.filter(|(_, selector)| {
            selector.source == Source::KernelIds && selector.matches(function.address, &function.id)
        })
    }
}

/// The selectors that match no function and do not exclude, with what comes nearest.
pub fn unmatched<'a>(
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
) -> impl Iterator<Item = Unmatched<'a>> {
    let means = |selector: &&Selector<'_>| {
        let mut all = inventory.iter();
        all.any(|(_, f)| selector.matches(f.address, &f.id))
    };
    let takes = |s: &&Selector<'_>| !s.excludes || s.source == Source::Protect;
    policy
        .selectors
        .iter()
        .filter(takes)
        .filter(move |selector| !means(selector))
        .map(|selector| Unmatched {
            selector,
            near: nearest(selector, inventory),
        })
}

/// A function that an owner may have meant: what the selector describes in another place, another
/// function of the device that it names, or, where the machine has no such domain, what has the number
/// of the bus as its domain (a UID of IBM Z), or the first of all.
pub(crate) fn nearest<'a>(
    selector: &Selector<'_>,
    inventory: &'a Inventory,
) -> Option<&'a Function> {
    let model = selector.expected.or(match selector.target {
        Target::Id(pattern) if pattern.names_a_model() => Some(pattern),
        _ => None,
    });
    let model = model.map(|pattern| IdPattern {
        vendor: pattern.vendor,
        device: pattern.device,
        ..IdPattern::default()
    });
    let device = selector.slot().map(Slot::whole);
    let find = |wanted: &dyn Fn(&Function) -> bool| {
        let mut all = inventory.iter().map(|(_, function)| function);
        all.find(|function| wanted(function))
    };
    let in_domain = |domain| find(&|function| function.address.domain == domain);
    find(&|function| model.is_some_and(|model| model.matches(&function.id)))
        .or_else(|| find(&|function| device.is_some_and(|device| device.matches(function.address))))
        .or_else(|| match (device?, in_domain(device?.domain)) {
            (_, Some(_)) => None,
            (device, None) => in_domain(device.bus.into()).or_else(|| find(&|_| true)),
        })
}

/// A selector that names nothing on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Unmatched<'a> {
    /// The selector. `vfio_pci.ids=` often lists what other machines have; `vfio.bind=` means this
    /// one.
    pub selector: &'a Selector<'a>,
    /// What may have been meant.
    pub near: Option<&'a Function>,
}

impl fmt::Display for Unmatched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} matches no function of this machine", self.selector)?;
        match self.near {
            Some(near) => write!(f, "; nearest is {} ({})", near.address, near.id),
            None => Ok(()),
        }
    }
}

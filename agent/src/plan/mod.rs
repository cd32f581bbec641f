//! Policy + inventory -> plan. No I/O: the same input always gives the same plan.

pub mod decision;
pub mod focus;
mod groups;
pub mod overreach;
pub mod refusal;

use heapless::Vec;

use crate::machine::inventory::{Function, Index, Inventory, MAX_FUNCTIONS};
use crate::machine::sysfs::is_harmless;
use crate::pci::address::Address;
use crate::plan::decision::{Decision, Plan, Step, Why};
use crate::plan::groups::{GroupView, Groups, Member};
use crate::plan::refusal::{Leave, Refusal};
use crate::policy::selector::{Selector, Source};
use crate::policy::{GroupPolicy, Policy, VFIO_PCI};
use crate::text::DriverName;

/// What the selectors say of one function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Untouched,
    Selected {
        selector: u16,
        specific: bool,
        /// Whether a selector names it one by one.
        alone: bool,
    },
    Excluded,
    /// By `vfio.protect=`, which outweighs an exclusion.
    Protected {
        /// The selector that asks for it all the same.
        asked: Option<u16>,
        /// Itself, or the protected bridge that it is behind.
        by: Address,
    },
    /// A selector names the function and another ID.
    OtherId(u16),
}

impl Mark {
    fn protected(self, by: Address) -> Self {
        let asked = match self {
            Self::Selected { selector, .. } | Self::OtherId(selector) => Some(selector),
            Self::Protected { .. } => return self,
            _ => None,
        };
        Self::Protected { asked, by }
    }
}

fn mark(policy: &Policy<'_>, function: &Function) -> Mark {
    let mut mark = Mark::Untouched;
    let (mut protected, mut excluded) = (false, false);
    for (at, here) in (0..=u16::MAX).zip(&policy.selectors) {
        if !here.matches(function) {
            let disappointed = here.is_disappointed(function);
            if disappointed && mark == Mark::Untouched {
                mark = Mark::OtherId(at);
            }
            continue;
        }
        if here.source.protects() {
            protected = !policy.force;
            continue;
        }
        if here.excludes {
            excluded = true;
            continue;
        }
        let (selector, specific, alone) = match mark {
            Mark::Selected {
                selector,
                specific,
                alone,
            } => (selector, specific, alone),
            _ => (at, false, false),
        };
        mark = Mark::Selected {
            selector,
            specific: specific || here.is_specific(),
            alone: alone || here.names_one(),
        };
    }
    if excluded {
        mark = Mark::Excluded;
    }
    if protected {
        mark = mark.protected(function.address);
    }
    mark
}

/// A plan, and the room for making one.
pub struct Planning {
    /// The plan.
    pub plan: Plan,
    /// For each function what the selectors say of it.
    marks: Vec<Mark, MAX_FUNCTIONS>,
    groups: Groups,
}

impl Planning {
    /// Nothing is planned.
    pub const EMPTY: Self = Self {
        plan: Plan::EMPTY,
        marks: Vec::new(),
        groups: Groups::EMPTY,
    };

    /// Joins what was asked for with what is there.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn make(&mut self, policy: &Policy<'_>, inventory: &Inventory) {
        let Self {
            plan,
            marks,
            groups,
        } = self;
        plan.clear();
        if policy.off {
            return;
        }
        marks.clear();
        for function in inventory.functions() {
            // There is a mark for each function, and both have the same limit.
            let _ = marks.push(mark(policy, function));
        }
        protect_behind(inventory, marks);
        let planner = Planner {
            policy,
            inventory,
            marks,
            has_groups: inventory.has_groups(),
            use_unknown: plan.use_unknown,
            forbidden: policy.forbids_binding(),
        };
        groups.find(inventory);
        for (index, function) in inventory.iter() {
            let group = groups.look(function, &|members| planner.look_at(members));
            if let Some((why, decision)) = planner.decide(index, function, group) {
                // There is a step for each function at most, and both have the same limit.
                let _ = plan.steps.push(Step {
                    function: index,
                    why,
                    decision,
                    variant: None,
                });
            }
        }
        plan.without_kernel_ids = overreach::overreach(policy, inventory, plan).is_some();
        focus::narrow(plan, inventory);
    }
}

/// What is behind a protected bridge is protected as it is.
fn protect_behind(inventory: &Inventory, marks: &mut [Mark]) {
    for (index, bridge) in inventory.iter().filter(|(_, f)| f.bridge) {
        if !matches!(marks.get(index.position()), Some(Mark::Protected { .. })) {
            continue;
        }
        let behind = inventory.functions().iter().zip(marks.iter_mut());
        for (_, mark) in behind.filter(|(f, _)| bridge.leads_to(f.address)) {
            *mark = mark.protected(bridge.address);
        }
    }
}

struct Planner<'a> {
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
    marks: &'a [Mark],
    has_groups: bool,
    use_unknown: bool,
    forbidden: bool,
}

impl Planner<'_> {
    fn decide(
        &self,
        index: Index,
        function: &Function,
        group: GroupView,
    ) -> Option<(Why, Decision)> {
        let mark = self.marks.get(index.position())?;
        if matches!(mark, Mark::Excluded | Mark::Protected { .. })
            && function.driver.as_deref() == Some(VFIO_PCI)
            && let Some((at, _)) = self.kernel_ids(function).next()
        {
            let refused = Decision::Refuse(Refusal::KernelHasIt);
            return Some((Why::Selected(at), refused));
        }
        match mark {
            Mark::Selected { selector, .. } => {
                let refusal = self.refusal(function, *mark).or(group.refusal);
                let decision = match refusal {
                    Some(refusal) => Decision::Refuse(refusal),
                    None => Decision::Bind,
                };
                Some((Why::Selected(*selector), decision))
            }
            Mark::Protected {
                asked: Some(selector),
                by,
            } => {
                let refusal = if *by == function.address {
                    Refusal::Protected(*by)
                } else {
                    Refusal::Behind(*by)
                };
                Some((Why::Selected(*selector), Decision::Refuse(refusal)))
            }
            Mark::OtherId(selector) => Some((
                Why::Selected(*selector),
                Decision::Refuse(Refusal::OtherId(function.id.vendor, function.id.device)),
            )),
            Mark::Untouched if function.is_endpoint() => self.decide_sibling(function, group),
            _ => None,
        }
    }

    /// Why a selected function may not be bound, apart from what shares its group.
    fn refusal(&self, function: &Function, mark: Mark) -> Option<Refusal> {
        let specific = matches!(mark, Mark::Selected { specific: true, .. });
        if function.bridge {
            Some(Refusal::Bridge)
        } else if !self.has_groups {
            Some(Refusal::NoIommu)
        } else if self.forbidden {
            Some(Refusal::UnclearPolicy)
        } else if function.id.is_system() && !specific {
            Some(Refusal::System)
        } else if self.may_be_needed(function, mark) {
            Some(Refusal::Unlisted(function.address))
        } else if function.in_doubt {
            Some(Refusal::InDoubt)
        } else if self.may_be_in_use(function) {
            Some(Refusal::MayBeInUse(function.address))
        } else {
            match function.group {
                None if self.inventory.awaits_group(function) => Some(Refusal::NoGroupYet),
                None if self.policy.igfx_off && function.id.is_display() => Some(Refusal::Igfx),
                None => Some(Refusal::NoGroup),
                Some(_) => None,
            }
        }
    }

    /// Whether the system may boot from a function for all that is known, and nobody named it alone.
    fn may_be_needed(&self, function: &Function, mark: Mark) -> bool {
        // What vfio-pci has already, nobody boots from.
        let known =
            self.policy.listed || self.policy.force || function.driver.as_deref() == Some(VFIO_PCI);
        !known && function.id.stores() && !matches!(mark, Mark::Selected { alone: true, .. })
    }

    /// Whether a native driver has had a function for long enough that a file system or a route may depend
    /// on it, where nobody knows of either.
    fn may_be_in_use(&self, function: &Function) -> bool {
        let native = |driver: &DriverName| !is_harmless(driver);
        self.use_unknown
            && (function.id.may_carry_root() || function.id.is_network())
            && function.driver.as_ref().is_some_and(native)
    }

    fn look_at(&self, members: &[Member]) -> GroupView {
        let refusal = self.group_refusal(members);
        let bound = |function: &Function, mark| {
            matches!(mark, Mark::Selected { .. }) && self.refusal(function, mark).is_none()
        };
        GroupView {
            refusal,
            cause: refusal.map_or_else(|| self.find(members, &bound), |_| None),
        }
    }

    /// The first member of a group that is as wanted.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn find(
        &self,
        members: &[Member],
        wanted: &dyn Fn(&Function, Mark) -> bool,
    ) -> Option<Address> {
        members.iter().find_map(|(_, index)| {
            let function = self.inventory.get(*index)?;
            let mark = self.marks.get(index.position())?;
            wanted(function, *mark).then_some(function.address)
        })
    }

    /// Why no member of a group may be bound.
    fn group_refusal(&self, members: &[Member]) -> Option<Refusal> {
        let find = |wanted: &dyn Fn(&Function, Mark) -> bool| self.find(members, wanted);
        let unasked_vmd = |function: &Function, mark: Mark| {
            // In an initramfs vmd has not taken it yet; the driver tells of models to come.
            (function.id.is_vmd() || function.driver.as_deref() == Some("vmd"))
                && !matches!(mark, Mark::Selected { .. })
        };
        // A bridge is never bound, but its owner may want it, and what it carries, left alone.
        let excluded = |_: &Function, mark| matches!(mark, Mark::Excluded | Mark::OtherId(_));
        let unselected = |function: &Function, mark| {
            mark == Mark::Untouched && function.is_endpoint() && !function.id.is_system()
        };
        let protected = |_: &Function, mark| matches!(mark, Mark::Protected { .. });
        let policy = self.policy.group;
        if let Some(member) = find(&protected) {
            return Some(Refusal::Protected(member));
        }
        let vmd = find(&unasked_vmd).map(Refusal::Vmd);
        if vmd.is_some() || policy == GroupPolicy::Listed {
            return vmd;
        }
        let display = |function: &Function, mark| function.boot_display && mark == Mark::Untouched;
        if !self.policy.force
            && let Some(display) = find(&display)
        {
            return Some(Refusal::BootDisplay(display));
        }
        let excluded = find(&excluded).map(Refusal::ExcludedSibling);
        let needed = || find(&|f, mark| self.may_be_needed(f, mark)).map(Refusal::Unlisted);
        let in_use =
            || find(&|f, _| f.is_endpoint() && self.may_be_in_use(f)).map(Refusal::MayBeInUse);
        let refusal = excluded.or_else(needed).or_else(in_use);
        if refusal.is_some() || policy == GroupPolicy::Endpoints {
            return refusal;
        }
        find(&unselected).map(Refusal::UnselectedSibling)
    }

    /// What becomes of an endpoint that nobody named, if its group is bound at all.
    fn decide_sibling(&self, function: &Function, group: GroupView) -> Option<(Why, Decision)> {
        let cause = group.cause?;
        let decision = if function.id.is_system() {
            Decision::Leave(Leave::System)
        } else if self.policy.group == GroupPolicy::Listed {
            Decision::Leave(Leave::NotListed)
        } else {
            Decision::Bind
        };
        Some((Why::Sibling(cause), decision))
    }

    /// The items of `vfio_pci.ids=` that match a function, with their places in the policy.
    fn kernel_ids(&self, function: &Function) -> impl Iterator<Item = (u16, &Selector<'_>)> {
        let all = (0..=u16::MAX).zip(&self.policy.selectors);
        all.filter(|(_, selector)| {
            selector.source == Source::KernelIds && selector.matches(function)
        })
    }
}

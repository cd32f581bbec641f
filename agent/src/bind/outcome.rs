//! What became of a plan, as the kernel shows it afterwards.

use core::fmt;

use heapless::Vec;
use rustix::io::Errno;

use crate::bind::failure::{Failure, Operation};
use crate::bind::job::Job;
use crate::bind::prepare::AllPrepared;
use crate::bind::sriov::AllMade;
use crate::machine::inventory::{Inventory, MAX_FUNCTIONS};
use crate::pci::address::Address;
use crate::plan::decision::{Decision, Plan};
use crate::text::DriverName;

/// The most IOMMU groups whose status is asked for; what is beyond is counted.
pub const MAX_GROUPS: usize = 1024;

/// What became of the function of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is on the driver that was asked for.
    Bound,
    /// It was there before.
    Already,
    /// By policy nothing was done.
    Refused,
    /// It shares a bound group and stays as it is.
    Left,
    /// It could not be bound, and its native driver may have it as before.
    Returned,
    /// It could not be bound and is kept without a driver, as `vfio.onfail=hold` asks.
    Held,
    /// It could not be bound, and could not be put into the state that `vfio.onfail=` asks for.
    Failed,
    /// Nothing was done: a plan only.
    Planned,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "bound",
            Self::Already => "already",
            Self::Refused => "refused",
            Self::Left => "left",
            Self::Returned => "returned",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Planned => "planned",
        })
    }
}

/// What became of one step.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In one word.
    pub fate: Fate,
    /// The driver it is bound to now; `None` as well where that [is not
    /// known](Outcome::is_unseen).
    pub driver: Option<DriverName>,
    /// Why it is not where it should be.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Whether the driver it has could not be found out.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        matches!(self.failure, Some(Failure::System(Operation::Look, _)))
    }

    /// Whether it was there already, which is not taken away, and cannot be made ready.
    #[must_use]
    pub fn is_unready(&self) -> bool {
        self.fate == Fate::Already && self.failure == Some(Failure::NotPrepared)
    }
}

/// What VFIO says of a group in which something was bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupStatus {
    /// The IOMMU group.
    pub group: u32,
    /// Whether VFIO calls it viable; `None` where there is no answer.
    pub viable: Option<bool>,
    /// A member that is not in the inventory, for the reason that [`Inventory::unseen`] gives: a native
    /// driver may take it, and nothing of this plan keeps it off.
    pub newcomer: Option<Address>,
    /// Why there is none although the kernel offers a way to ask.
    pub unanswered: Option<Errno>,
}

/// The most blockers that are kept; those beyond are counted.
pub const MAX_BLOCKERS: usize = 64;

/// What keeps a group from being viable: a member with a driver that VFIO does not accept.
#[derive(Clone, Debug)]
pub struct Blocker {
    /// The IOMMU group.
    pub group: u32,
    /// The function.
    pub address: Address,
    /// Whether it is a bridge, which nobody can select.
    pub bridge: bool,
    /// The driver that has it.
    pub driver: DriverName,
}

/// The most such functions that are kept; that there are more is told.
pub const MAX_UNASKED: usize = 64;

/// A function that a vfio driver took and the plan does not have.
#[derive(Clone, Debug)]
pub struct Unasked {
    /// The function.
    pub address: Address,
    /// The driver that took it.
    pub driver: DriverName,
    /// Returned, failed, or left: where it is not known, has an override that asks for this, or
    /// `vfio.onfail=hold` keeps native drivers off.
    pub fate: Fate,
    /// The driver that it has in the end.
    pub now: Option<DriverName>,
}

/// What became of a plan.
pub struct Outcomes {
    /// One for each step, in the same order.
    pub steps: Vec<Outcome, MAX_FUNCTIONS>,
    /// One for each group that has a bound function.
    pub groups: Vec<GroupStatus, MAX_GROUPS>,
    /// Groups beyond [`MAX_GROUPS`], which were not asked for.
    pub more_groups: usize,
    /// What blocks those that are not viable.
    pub blockers: Vec<Blocker, MAX_BLOCKERS>,
    /// Blockers beyond [`MAX_BLOCKERS`].
    pub more_blockers: usize,
    /// What a vfio driver took although the plan does not have it.
    pub unasked: Vec<Unasked, MAX_UNASKED>,
    /// Why nobody knows what else vfio drivers took; `E2BIG` where there were more than
    /// [`MAX_UNASKED`].
    pub vfio_unseen: Option<Errno>,
    /// What was set by `vfio.set=`, and not undone.
    pub prepared: AllPrepared,
    /// What became of the virtual functions that `vfio.sriov=` asks for.
    pub made: AllMade,
    /// What the work is done with.
    pub(crate) jobs: Vec<Job, MAX_FUNCTIONS>,
}

impl Outcomes {
    /// Nothing became of nothing.
    pub const EMPTY: Self = Self {
        steps: Vec::new(),
        groups: Vec::new(),
        more_groups: 0,
        blockers: Vec::new(),
        more_blockers: 0,
        unasked: Vec::new(),
        vfio_unseen: None,
        prepared: Vec::new(),
        made: Vec::new(),
        jobs: Vec::new(),
    };

    /// What a plan comes to when nothing is done.
    pub fn rehearse(&mut self, inventory: &Inventory, plan: &Plan) {
        self.steps.clear();
        for step in &plan.steps {
            let fate = match step.decision {
                Decision::Bind => Fate::Planned,
                Decision::Refuse(_) => Fate::Refused,
                Decision::Leave(_) => Fate::Left,
            };
            let driver = inventory.get(step.function).and_then(|f| f.driver.clone());
            // There is room for as many as the plan has.
            let _ = self.steps.push(Outcome {
                fate,
                driver,
                failure: None,
            });
        }
    }
}

//! Everything that is known when the work is done: the source of the report, the messages and the
//! exit status, so that they cannot disagree.

pub mod journal;
pub mod lines;
pub mod report;
pub mod rules;
pub mod table;
pub mod unmatched;

use core::fmt;

use crate::bind::outcome::{Fate, Outcome, Outcomes};
use crate::bind::sriov::{Made, Stage};
use crate::machine::LoadError;
use crate::machine::inventory::Inventory;
use crate::machine::iommu::{Advice, Kind};
use crate::plan::decision::{Decision, Plan, Step, Why};
use crate::policy::Policy;
use crate::policy::selector::Source;
use crate::record::unmatched::unmatched;
use crate::text::DriverName;

/// How a run ended, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The plan was carried out, as far as it could be.
    Applied,
    /// `vfio.bind=off`.
    Off,
    /// The kernel was started to save the memory of one that crashed.
    CrashKernel,
    /// Nothing was written, as asked.
    DryRun,
    /// The kernel uses no IOMMU: nothing was written.
    NoIommu,
    /// The machine has no PCI bus, or sysfs is not mounted.
    NoPci,
    /// No selector was given.
    NothingAsked,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Off => "off",
            Self::CrashKernel => "crash-kernel",
            Self::DryRun => "dry-run",
            Self::NoIommu => "no-iommu",
            Self::NoPci => "no-pci",
            Self::NothingAsked => "nothing-asked",
        })
    }
}

/// What was asked, what was found, what was done.
pub struct Record<'a> {
    /// How it ended.
    pub state: State,
    /// What was asked.
    pub policy: &'a Policy<'a>,
    /// What was found.
    pub inventory: &'a Inventory,
    /// What was to be done.
    pub plan: &'a Plan,
    /// What became of it.
    pub outcomes: &'a Outcomes,
    /// What came of loading vfio-pci with an empty list of IDs, where that was necessary.
    pub emptied: Option<Result<(), LoadError>>,
    /// The IOMMU the kernel uses.
    pub iommu: Kind,
    /// How many IOMMU groups there are.
    pub groups: u32,
    /// What would turn an IOMMU on, where there is none.
    pub advice: Option<Advice>,
    /// How long it took, in microseconds.
    pub elapsed_us: u64,
}

/// All that was asked is done, or there was nothing to do.
pub const EXIT_DONE: u8 = 0;
/// A function that was asked for is not bound, or its group is not usable.
pub const EXIT_NOT_BOUND: u8 = 1;
/// The policy has an error; everything valid in it was done.
pub const EXIT_POLICY: u8 = 2;

impl Record<'_> {
    /// The driver that a step binds.
    #[must_use]
    pub fn driver(&self, step: &Step) -> &DriverName {
        self.plan.driver(step, self.policy)
    }

    /// The exit status: what is not bound weighs more than what was written wrongly.
    #[must_use]
    pub fn exit(&self) -> u8 {
        if matches!(self.state, State::Off | State::CrashKernel) {
            EXIT_DONE
        } else if self.lacks_something() {
            EXIT_NOT_BOUND
        } else if self.policy.has_errors() {
            EXIT_POLICY
        } else {
            EXIT_DONE
        }
    }

    /// Whether it is about something that has come and was done before, or that nobody asked for: each
    /// start of udev tells of all functions again.
    #[must_use]
    pub fn is_no_news(&self) -> bool {
        let known = |outcome: &Outcome| matches!(outcome.fate, Fate::Already | Fate::Left);
        let nothing = self.plan.steps.is_empty() || !self.lacks_something();
        let same = |made: &Made| matches!(made.stage, Stage::Waits | Stage::Already);
        let nothing = nothing && self.outcomes.made.iter().all(same);
        self.plan.focus.is_some() && nothing && self.outcomes.steps.iter().all(known)
    }

    /// Whether a function was taken.
    #[must_use]
    pub fn took_something(&self) -> bool {
        let mut all = self.outcomes.steps.iter();
        all.any(|outcome| outcome.fate == Fate::Bound)
    }

    fn lacks_something(&self) -> bool {
        let mut pairs = self.plan.steps.iter().zip(&self.outcomes.steps);
        let missed = pairs.any(|(step, outcome)| {
            let wanted = step.decision == Decision::Bind || matches!(step.why, Why::Selected(_));
            let there = matches!(outcome.fate, Fate::Bound | Fate::Already | Fate::Planned);
            wanted && (!there || outcome.is_unready())
        });
        let unmade = |made: &Made| matches!(made.stage, Stage::Failed(_));
        let unusable = self.outcomes.groups.iter().any(|status| {
            status.viable == Some(false) || status.unanswered.is_some() || status.newcomer.is_some()
        });
        // Where nothing is asked for, nobody has looked.
        let unmatched = self.state != State::NothingAsked
            && unmatched(self.policy, self.inventory, self.plan)
                .any(|u| u.selector.source != Source::KernelIds);
        // What was not looked at may be what was asked for, or share its group.
        let unseen = self.inventory.beyond_limit > 0
            || self.inventory.unreadable > 0
            || self.state == State::NoPci;
        let unasked = !self.outcomes.unasked.is_empty() || self.outcomes.vfio_unseen.is_some();
        let idle = self.state != State::NothingAsked
            && unmatched::idle_settings(self.policy, self.inventory, self.plan)
                .next()
                .is_some();
        let unmade = self.outcomes.made.iter().any(unmade);
        missed || unmade || idle || unusable || unmatched || unseen || unasked
    }
}

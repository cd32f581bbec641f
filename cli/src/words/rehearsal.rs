//! What the agent makes of a kernel command line, kept: its record lasts only as long as its run.

use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::{Decision, Step, Why};
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::record::{Record, State};
use vfio_bind_agent::run::{self, Extent};

use crate::preview::known::{Informed, Known};
use crate::preview::notes;

/// What a run would come to.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// How it would end.
    pub state: State,
    /// Every function of the machine, by address.
    pub functions: Vec<Function>,
    /// What it would do, by address.
    pub steps: Vec<Rehearsed>,
    /// The selectors of `vfio.bind=` that match nothing, and what comes nearest.
    pub unmatched: Vec<String>,
    /// What is wrong with the words.
    pub problems: Vec<String>,
    /// What would turn an IOMMU on, where there is none.
    pub advice: Option<String>,
    /// Why what is protected is.
    pub protections: Vec<String>,
}

/// What it would do with one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// The function.
    pub address: Address,
    /// Why it speaks of it.
    pub cause: Cause,
    /// What it would do.
    pub decision: Decision,
    /// The driver that it would bind.
    pub driver: String,
}

/// Why a run speaks of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `vfio.bind=` names it.
    Named,
    /// `vfio_pci.ids=` lists it.
    Listed,
    /// It shares its IOMMU group with this function.
    Sibling(Address),
}

impl Rehearsal {
    /// Plans for the command line `line`, with what is known of policy and protections.
    #[must_use]
    pub fn of(informed: &Informed<'_>, line: &[u8]) -> Self {
        let mut kept = None;
        run::rehearse(informed, line, Extent::Whole, &mut |record| {
            kept = Some(Self::keep(record, informed.known));
            record.exit()
        });
        // It is always given a record.
        kept.unwrap_or_else(Self::nothing)
    }

    fn nothing() -> Self {
        Self {
            state: State::NoPci,
            functions: Vec::new(),
            steps: Vec::new(),
            unmatched: Vec::new(),
            problems: Vec::new(),
            advice: None,
            protections: Vec::new(),
        }
    }

    fn keep(record: &Record<'_>, known: &Known) -> Self {
        let planned = |step: &Step| {
            let function = record.inventory.get(step.function)?;
            let cause = match step.why {
                Why::Sibling(of) => Cause::Sibling(of),
                Why::Selected(at) => match record.policy.selectors.get(usize::from(at))?.source {
                    Source::KernelIds => Cause::Listed,
                    _ => Cause::Named,
                },
            };
            Some(Rehearsed {
                address: function.address,
                cause,
                decision: step.decision,
                driver: record.driver(step).to_string(),
            })
        };
        let missing = unmatched(record.policy, record.inventory, record.plan);
        let missing = missing.filter(|one| one.selector.source == Source::Bind);
        Self {
            state: record.state,
            functions: record.inventory.functions().to_vec(),
            steps: record.plan.steps.iter().filter_map(planned).collect(),
            unmatched: missing.map(|one| one.to_string()).collect(),
            problems: record
                .policy
                .problems
                .iter()
                .map(ToString::to_string)
                .collect(),
            advice: record.advice.map(|advice| advice.to_string()),
            protections: notes::protections(record, known),
        }
    }

    /// The function at an address.
    #[must_use]
    pub fn function(&self, address: Address) -> Option<&Function> {
        self.functions
            .iter()
            .find(|function| function.address == address)
    }

    /// What would be done with the function at an address.
    #[must_use]
    pub fn step(&self, address: Address) -> Option<&Rehearsed> {
        self.steps.iter().find(|step| step.address == address)
    }

    /// What `vfio.bind=` names.
    pub fn named(&self) -> impl Iterator<Item = Address> {
        let named = self.steps.iter().filter(|step| step.cause == Cause::Named);
        named.map(|step| step.address)
    }

    /// What would be bound.
    pub fn bound(&self) -> impl Iterator<Item = &Rehearsed> {
        self.steps
            .iter()
            .filter(|step| step.decision == Decision::Bind)
    }
}

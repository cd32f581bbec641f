//! One run with one fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cases::{
    AUDIO, Case, DISK, GPU, Groups, NEIGHBOUR, OnFail, STRANGER, TARGET, machine_of,
};
use super::faulty::{Fault, Faulty, Kind};
use crate::snapshots::messages;
use crate::support::{FakeMachine, address};
use vfio_bind_agent::bind::outcome::Outcome;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::run;

/// A function as the tree shows it: its driver and its override; `None` if it is gone.
pub(super) type State = Option<(Option<String>, String)>;

pub(super) fn state(machine: &FakeMachine, address: &str) -> State {
    let there = machine.exists(&format!("sys/bus/pci/devices/{address}"));
    there.then(|| (machine.driver(address), machine.driver_override(address)))
}

const FUNCTIONS: [&str; 5] = [GPU, AUDIO, DISK, NEIGHBOUR, STRANGER];

pub(super) struct Run<'m> {
    pub(super) case: Case,
    pub(super) on_fail: OnFail,
    pub(super) host: Faulty<'m>,
    pub(super) before: BTreeMap<&'static str, State>,
    pub(super) exit: u8,
    pub(super) steps: BTreeMap<String, (Decision, Outcome)>,
    /// What the log says, where groups are not there yet.
    pub(super) log: String,
}

/// A run with one fault, once it is over.
pub(super) struct FaultedRun {
    pub(super) calls: Vec<(Kind, String)>,
    pub(super) exit: u8,
    pub(super) violations: Vec<String>,
}

pub(super) fn perform(case: Case, on_fail: OnFail, at: usize, fault: Fault) -> FaultedRun {
    let machine = machine_of(&case);
    let mut run = Run {
        case,
        on_fail,
        before: FUNCTIONS.map(|a| (a, state(&machine, a))).into(),
        host: Faulty::new(&machine, at, fault),
        exit: u8::MAX,
        steps: BTreeMap::new(),
        log: String::new(),
    };
    let hold = match on_fail {
        OnFail::Native => "",
        OnFail::Hold => " vfio.onfail=hold",
    };
    let line = format!("vfio.bind={GPU}{}{hold}", case.options);
    let mut perform = || {
        catch_unwind(AssertUnwindSafe(|| {
            run::perform(&run.host, line.as_bytes(), &|| 0, &mut |record| {
                run.exit = record.exit();
                let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
                run.steps = steps
                    .map(|(step, outcome)| {
                        let pair = (step.decision, outcome.clone());
                        (address(record, step), pair)
                    })
                    .collect();
                run.exit
            })
        }))
    };
    let mut ended = Ok(0);
    let log = if case.groups == Groups::There {
        ended = perform();
        String::new()
    } else {
        messages(|| ended = perform())
    };
    run.log = log;
    let mut violations = match ended {
        Ok(_) => run.violations(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            vec![text.unwrap_or_else(|| "it panicked".to_owned())]
        }
    };
    if violations.is_empty() {
        violations.extend(run.late_violations());
    }
    let hit = run.host.hit.take();
    let told = violations.into_iter().map(|violation| {
        let mut text = format!(
            "{}, {on_fail:?}, {fault:?} at {at} {hit:?}: {violation}; exit {}",
            case.name, run.exit
        );
        for (address, (_, outcome)) in &run.steps {
            let failure = outcome.failure.map(|f| f.told(TARGET).to_string());
            let (fate, driver) = (outcome.fate, &outcome.driver);
            write!(text, "; {address} {fate} {driver:?} {failure:?}").unwrap();
        }
        text
    });
    FaultedRun {
        violations: told.collect(),
        calls: run.host.log.take(),
        exit: run.exit,
    }
}

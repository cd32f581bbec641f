//! Every call of a run fails once, in every way that makes sense, and what must hold then.
//!
//! [`Faulty`](faulty::Faulty) stands between the agent and the machine made of a directory: it counts the calls and
//! does something to the N-th. The rules in [`Run::violations`](run::Run::violations) look at the machine before and
//! after, at the list of writes, and at what the record says, and share nothing with the agent.

mod cases;
mod faulty;
mod rules;
mod run;

use cases::{AUDIO, CASES, Case, GPU, NEIGHBOUR, OnFail, UNGROUPED};
use faulty::{Fault, Kind, answers, count};
use run::perform;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND};

/// Every call of a run, with every fault that `faults` has for it.
fn every_call(
    case: Case,
    on_fail: OnFail,
    faults: &dyn Fn(usize) -> Vec<Fault>,
    found: &mut Vec<String>,
) -> usize {
    let clean = perform(case, on_fail, 0, Fault::Nothing);
    found.extend(clean.violations);
    let exit = if case.succeeds {
        EXIT_DONE
    } else {
        EXIT_NOT_BOUND
    };
    assert_eq!(clean.exit, exit, "{}, {on_fail:?}", case.name);
    let mut runs = 1;
    // Up to the fault a run is the clean one: its calls are all that can be hit.
    for (at, (kind, path)) in clean.calls.iter().enumerate() {
        let kind = *kind;
        for fault in faults(count(kind, path)) {
            // That a driver's link is not there now is no lie; for ever it would be.
            let lie = Fault::RefusedForGood(answers(kind, path).len().saturating_sub(1));
            if kind == Kind::Link && path.ends_with("/driver") && fault == lie {
                continue;
            }
            let late = matches!(fault, Fault::Late(_));
            if (late && !matches!(kind, Kind::WriteWithin | Kind::Load))
                || (fault == Fault::Stuck && !matches!(kind, Kind::ReadWithin | Kind::WriteWithin))
            {
                continue;
            }
            let run = perform(case, on_fail, at, fault);
            found.extend(run.violations);
            runs += 1;
            let most = clean.calls.len() * 2 + 40;
            if run.calls.len() > most {
                found.push(format!(
                    "{}: {fault:?} at {at}: {} calls",
                    case.name,
                    run.calls.len()
                ));
            }
        }
    }
    runs
}

fn all_hold(faults: &dyn Fn(usize) -> Vec<Fault>) {
    hold_in(CASES, &[OnFail::Native, OnFail::Hold], faults);
}

fn hold_in(cases: &[Case], ends: &[OnFail], faults: &dyn Fn(usize) -> Vec<Fault>) {
    let mut found = Vec::new();
    let mut runs = 0;
    for case in cases {
        for on_fail in ends {
            runs += every_call(*case, *on_fail, faults, &mut found);
        }
    }
    println!("{runs} runs");
    let shown = found.iter().take(40).cloned().collect::<Vec<_>>();
    assert!(
        found.is_empty(),
        "{} of {runs} runs:\n{}",
        found.len(),
        shown.join("\n")
    );
}

#[test]
fn a_call_that_is_refused_once() {
    all_hold(&|count| (0..count).map(Fault::Refused).collect());
}

#[test]
fn a_call_that_is_refused_for_good() {
    // Every other answer: once or for good, few of them make a difference.
    all_hold(&|count| (1..count).step_by(2).map(Fault::RefusedForGood).collect());
}

#[test]
fn a_write_that_says_it_failed_and_did_not() {
    all_hold(&|count| (0..count).map(Fault::Late).collect());
}

#[test]
fn a_driver_that_never_comes_back() {
    all_hold(&|_| vec![Fault::Stuck]);
}

#[test]
fn a_run_whose_time_is_over_at_any_call() {
    all_hold(&|_| vec![Fault::NoTime]);
    all_hold_ungrouped(&|_| vec![Fault::NoTime]);
}

#[test]
fn a_machine_that_changes_at_any_call() {
    all_hold(&|_| {
        vec![
            Fault::Vanish(GPU),
            Fault::Vanish(AUDIO),
            Fault::NativeDrivers,
            Fault::Appear(None),
            Fault::Appear(Some("xhci_hcd")),
        ]
    });
}

/// What goes wrong before there are groups, and behind that.
fn all_hold_ungrouped(faults: &dyn Fn(usize) -> Vec<Fault>) {
    hold_in(UNGROUPED, &[OnFail::Native], faults);
}

#[test]
fn a_call_that_is_refused_before_there_are_groups() {
    all_hold_ungrouped(&|count| {
        let once = (0..count).step_by(4).map(Fault::Refused);
        let for_good = (1..count).step_by(5).map(Fault::RefusedForGood);
        let late = (0..count).step_by(4).map(Fault::Late);
        once.chain(for_good).chain(late).collect()
    });
}

#[test]
fn a_machine_that_changes_or_hangs_before_there_are_groups() {
    all_hold_ungrouped(&|_| {
        vec![
            Fault::Stuck,
            Fault::Vanish(GPU),
            Fault::Vanish(AUDIO),
            Fault::Vanish(NEIGHBOUR),
            Fault::NativeDrivers,
            Fault::Appear(None),
        ]
    });
}

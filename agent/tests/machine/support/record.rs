//! What a record says, as tests compare it.

use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::plan::decision::Step;
use vfio_bind_agent::record::{Record, unmatched};

/// The function of a step.
pub fn address(record: &Record<'_>, step: &Step) -> String {
    let function = record.inventory.get(step.function).unwrap();
    function.address.to_string()
}

/// The functions that a record says are bound by this run.
pub fn bound(record: &Record<'_>) -> Vec<String> {
    let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
    let bound = steps.filter(|(_, outcome)| outcome.fate == Fate::Bound);
    bound.map(|(step, _)| address(record, step)).collect()
}

/// What a record says of selectors that match nothing.
pub fn unmatched(record: &Record<'_>) -> Vec<String> {
    unmatched::unmatched(record.policy, record.inventory, record.plan)
        .map(|unmatched| unmatched.to_string())
        .collect()
}

/// What a record says is wrong with the policy.
pub fn problems(record: &Record<'_>) -> Vec<String> {
    let problems = record.policy.problems.iter();
    problems.map(ToString::to_string).collect()
}

//! The functions of a run, for programs: as its record has them, or as a plan would have them.

use serde::Serialize;
use vfio_bind_agent::plan::decision::{Decision, Why};
use vfio_bind_agent::record::Record;
use vfio_bind_report::Report;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    address: String,
    group: Option<u32>,
    /// `selected`, or `sibling` of one that is.
    role: String,
    why: String,
    driver_before: Option<String>,
    driver_now: Option<String>,
    /// As in the record of a run.
    outcome: String,
    reason: String,
}

/// Those of the record of a run.
#[must_use]
pub fn of_report(report: Report) -> Vec<Function> {
    let functions = report.functions.into_iter();
    functions
        .map(|one| Function {
            address: one.address,
            group: one.group,
            role: one.role,
            why: one.why,
            driver_before: one.driver_before,
            driver_now: one.driver_now,
            outcome: one.outcome.to_string(),
            reason: one.reason,
        })
        .collect()
}

/// Those of a plan.
#[must_use]
pub fn of_plan(record: &Record<'_>) -> Vec<Function> {
    let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
    let functions = steps.filter_map(|(step, outcome)| {
        let function = record.inventory.get(step.function)?;
        let driver = function.driver.as_deref().map(ToOwned::to_owned);
        let role = match step.why {
            Why::Selected(_) => "selected",
            Why::Sibling(_) => "sibling",
        };
        let reason = match &step.decision {
            Decision::Refuse(refusal) => refusal.to_string(),
            Decision::Leave(leave) => leave.told(function.driver.as_deref()).to_string(),
            Decision::Bind => String::new(),
        };
        Some(Function {
            address: function.address.to_string(),
            group: function.group,
            role: role.to_owned(),
            why: step.reason(record.policy).to_string(),
            driver_before: driver.clone(),
            driver_now: driver,
            outcome: outcome.fate.to_string(),
            reason,
        })
    });
    functions.collect()
}

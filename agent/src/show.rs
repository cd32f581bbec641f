//! A plan as text for people.

use core::fmt::{self, Write};

use crate::function::{Function, Index, Inventory};
use crate::outcome::Fate;
use crate::plan::{Decision, Step, unmatched};
use crate::record::{Record, State};

/// Writes the plan: a block for each group, then what is wrong, then the sum.
///
/// # Errors
/// When the output takes no more.
pub fn show(record: &Record<'_>, output: &mut dyn Write) -> fmt::Result {
    heading(record, output)?;
    let mut shown_groups = 0usize;
    for (at, step) in record.plan.steps.iter().enumerate() {
        let Some(function) = record.inventory.get(step.function) else {
            continue;
        };
        let before = record.plan.steps.get(..at).unwrap_or_default();
        if shares_group(record.inventory, before, function) {
            continue;
        }
        shown_groups = shown_groups.saturating_add(1);
        match function.group {
            Some(group) => writeln!(output, "\ngroup {group}")?,
            None => writeln!(output, "\nno group")?,
        }
        for (index, member) in record.inventory.iter() {
            if member.group == function.group {
                show_member(record, index, member, output)?;
            }
        }
    }
    if shown_groups > 0 {
        writeln!(output)?;
    }
    for unmatched in unmatched(record.policy, record.inventory) {
        writeln!(output, "{unmatched}")?;
    }
    for problem in &record.policy.problems {
        writeln!(output, "{problem}")?;
    }
    if record.policy.more_problems > 0 {
        writeln!(output, "and {} more problems", record.policy.more_problems)?;
    }
    sum(record, output)
}

fn heading(record: &Record<'_>, output: &mut dyn Write) -> fmt::Result {
    let policy = record.policy;
    writeln!(
        output,
        "policy: driver {}, group {}, onfail {}",
        policy.driver, policy.group, policy.on_failure
    )?;
    let Record { iommu, groups, .. } = record;
    let count = record.inventory.len();
    match record.state {
        State::Off => writeln!(output, "vfio.bind=off: nothing is done"),
        State::NothingAsked => writeln!(output, "nothing is asked for"),
        State::NoPci => writeln!(output, "no PCI functions in sys/bus/pci/devices"),
        State::NoIommu => writeln!(output, "machine: {count} functions, no IOMMU"),
        State::Applied | State::DryRun => {
            writeln!(
                output,
                "machine: {count} functions, {groups} groups, IOMMU {iommu}"
            )
        }
    }
}

/// Whether a function's group was shown with an earlier step; those without one are shown at once.
fn shares_group(inventory: &Inventory, earlier: &[Step], function: &Function) -> bool {
    earlier
        .iter()
        .filter_map(|step| inventory.get(step.function))
        .any(|earlier| earlier.group == function.group)
}

fn show_member(
    record: &Record<'_>,
    index: Index,
    function: &Function,
    output: &mut dyn Write,
) -> fmt::Result {
    let mut steps = record.plan.steps.iter().zip(&record.outcomes.steps);
    let step = steps.find(|(step, _)| step.function == index);
    if step.is_none() && (function.group.is_none() || function.bridge) {
        return Ok(());
    }
    let Function {
        address,
        id,
        driver,
        ..
    } = function;
    let before = driver.as_deref().unwrap_or("(none)");
    write!(output, "  {address}  {id}  {:<12} {before:<16} ", id.kind())?;
    match step {
        None => writeln!(output, "stays"),
        Some((step, outcome)) => {
            match step.decision {
                Decision::Bind if outcome.fate == Fate::Planned => {
                    write!(output, "-> {}", record.policy.driver)?;
                }
                Decision::Bind => write!(output, "{}", outcome.fate)?,
                Decision::Refuse(refusal) => write!(output, "refused: {refusal}")?,
                Decision::Leave(leave) => write!(output, "stays: {leave}")?,
            }
            writeln!(output, "  ({})", step.reason(record.policy))
        }
    }
}

fn sum(record: &Record<'_>, output: &mut dyn Write) -> fmt::Result {
    let driver = &record.policy.driver;
    match (record.state, record.advice) {
        (State::NoIommu, Some(advice)) => writeln!(output, "Nothing can be bound: {advice}."),
        (State::NoIommu | State::NoPci, _) => writeln!(output, "Nothing can be bound."),
        (State::Off | State::NothingAsked, _) => Ok(()),
        (State::Applied | State::DryRun, _) => {
            let bound = record.plan.bound().count();
            let functions = if bound == 1 { "function" } else { "functions" };
            writeln!(output, "{bound} {functions} would be bound to {driver}.")
        }
    }
}

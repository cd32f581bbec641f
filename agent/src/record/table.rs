//! A plan as text for people: a block for each group. The rest of the story is [`crate::record::lines`]'s.

use core::fmt::{self, Write};

use crate::bind::outcome::{Fate, Outcome};
use crate::machine::inventory::{Function, Inventory};
use crate::plan::decision::{Decision, Step};
use crate::record::Record;
use crate::text::Counted;

/// Writes the groups that the plan speaks of, with all their endpoints.
///
/// # Errors
/// When the output takes no more.
pub fn show(record: &Record<'_>, output: &mut dyn Write) -> fmt::Result {
    let Record {
        policy,
        inventory,
        plan,
        ..
    } = record;
    writeln!(
        output,
        "{}{} in {}, IOMMU: {}; driver {}, group policy {}, on failure {}",
        Counted(inventory.len(), "function"),
        if inventory.whole { "" } else { " looked at" },
        Counted(record.groups as usize, "group"),
        record.iommu,
        if policy.auto { "auto" } else { &policy.driver },
        policy.group,
        policy.on_failure
    )?;
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(function) = inventory.get(step.function) else {
            continue;
        };
        let earlier = plan.steps.get(..at).unwrap_or_default();
        if is_shown(inventory, earlier, function) {
            continue;
        }
        match function.group {
            Some(group) => writeln!(output, "\ngroup {group}")?,
            None => writeln!(output, "\nno group")?,
        }
        for (index, member) in inventory.iter().filter(|(_, m)| m.group == function.group) {
            let mut steps = plan.steps.iter().zip(&record.outcomes.steps);
            let step = steps.find(|(step, _)| step.function == index);
            // Of what no plan speaks of, the other endpoints of a group matter to its reader.
            if step.is_some() || (member.group.is_some() && member.is_endpoint()) {
                show_member(record, step, member, output)?;
            }
        }
    }
    writeln!(output)
}

/// Whether an earlier step has shown the function's group.
fn is_shown(inventory: &Inventory, earlier: &[Step], function: &Function) -> bool {
    let mut earlier = earlier
        .iter()
        .filter_map(|step| inventory.get(step.function));
    earlier.any(|earlier| earlier.group == function.group)
}

fn show_member(
    record: &Record<'_>,
    step: Option<(&Step, &Outcome)>,
    function: &Function,
    output: &mut dyn Write,
) -> fmt::Result {
    let Function {
        address,
        id,
        driver,
        ..
    } = function;
    let before = driver.as_deref().unwrap_or("(none)");
    write!(
        output,
        "  {address}  {id}  {:<11}  {before:<14} ",
        id.kind()
    )?;
    let Some((step, outcome)) = step else {
        return writeln!(output, "stays");
    };
    match step.decision {
        Decision::Bind if outcome.fate == Fate::Planned => {
            write!(output, "-> {}", record.driver(step))?;
            for setting in record.policy.settings_of(function) {
                write!(output, ", {setting}")?;
            }
        }
        Decision::Bind => write!(output, "{}", outcome.fate)?,
        Decision::Refuse(refusal) => write!(output, "refused: {refusal}")?,
        Decision::Leave(leave) => write!(output, "stays: {}", leave.told(driver.as_deref()))?,
    }
    writeln!(output, " ({})", step.reason(record.policy))
}

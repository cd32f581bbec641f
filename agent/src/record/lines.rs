//! The record as messages: a line for each decision, the worst ones loudest.

use core::fmt;

use log::Level;

use crate::bind::outcome::{Blocker, Fate, GroupStatus, Outcome, Unasked};
use crate::bind::sriov::Stage;
use crate::machine::inventory::{Function, Unseen};
use crate::plan::decision::Decision;
use crate::plan::overreach;
use crate::policy::VFIO_PCI;
use crate::policy::problem::{Problem, Severity};
use crate::policy::selector::Source;
use crate::record::unmatched::{idle_settings, unmatched};
use crate::record::{Record, State};
use crate::text::errno::Answer;
use crate::text::{Counted, Dec, DriverName, Plain};

/// Logs the whole record, with a line for each step.
pub fn tell(record: &Record<'_>) {
    if matches!(record.state, State::Applied | State::DryRun) {
        tell_steps(record);
        for status in &record.outcomes.groups {
            tell_group(record, *status);
        }
        tell_unasked(record);
        if record.plan.focus.is_none() {
            tell_protected(record);
        }
    }
    if record.state == State::Applied && record.policy.heard {
        info!(
            "`vfio: unknown parameter` in the kernel log is harmless: the kernel hands vfio.X to the module \
             vfio, too"
        );
    }
    tell_rest(record);
}

/// What is left alone because somebody said so, and where.
fn tell_protected(record: &Record<'_>) {
    for function in record.inventory.functions() {
        let mut protecting = record
            .policy
            .selectors
            .iter()
            .filter(|s| s.source.protects());
        if let Some(by) = protecting.find(|s| s.matches(function)) {
            let address = function.address;
            info!(address; "{address}: protected ({by})");
        }
    }
}

/// Logs what is wrong with the policy or the machine, and the sum of it all.
pub fn tell_rest(record: &Record<'_>) {
    tell_rest_but(record, |_| false);
}

/// The same, but for the problems of the policy that somebody has told already.
pub fn tell_rest_but(record: &Record<'_>, is_told: impl FnMut(&Problem<'_>) -> bool) {
    if record.state == State::CrashKernel {
        return info!("this kernel saves the memory of one that crashed: nothing is done");
    }
    // The first run has told them.
    if record.plan.focus.is_none() {
        tell_problems(record, is_told);
    }
    for unmatched in unmatched(record.policy, record.inventory, record.plan) {
        let selector = unmatched.selector;
        match selector.source {
            _ if record.inventory.is_empty() => {}
            Source::KernelIds => info!(selector; "{unmatched}"),
            _ if unmatched.moved => info!(selector; "{unmatched}"),
            _ => error!(selector; "{unmatched}"),
        }
    }
    if !record.inventory.is_empty() {
        for selector in idle_settings(record.policy, record.inventory, record.plan) {
            error!(selector; "{selector}: nothing that it means is bound, so it has no effect");
        }
    }
    tell_made(record);
    tell_limits(record);
    tell_empty_list(record);

    match record.state {
        State::CrashKernel => {}
        State::Off => info!("vfio.bind=off: nothing is bound in this boot"),
        State::NoIommu => tell_no_iommu(record),
        State::NoPci => error!("sys/bus/pci/devices: no PCI functions; is /sys mounted?"),
        State::NothingAsked if record.policy.has_errors() => {
            error!("nothing is bound: what is asked for was not understood");
        }
        State::NothingAsked => info!("nothing is asked for"),
        State::Applied | State::DryRun => info!("{}", summary(record)),
    }
}

fn tell_problems(record: &Record<'_>, mut is_told: impl FnMut(&Problem<'_>) -> bool) {
    for problem in &record.policy.problems {
        if is_told(problem) {
            continue;
        }
        let word = problem.word();
        match problem.severity() {
            Severity::Error => error!(word; "{problem}"),
            Severity::Warning => warn!(word; "{problem}"),
        }
    }
    let more = record.policy.more_problems;
    if more > 0 {
        let more = Counted(more, "more problem");
        error!("the policy has {more}; nothing is bound");
    }
}

fn tell_no_iommu(record: &Record<'_>) {
    let advice = fmt::from_fn(|f| {
        record
            .advice
            .map_or(Ok(()), |advice| write!(f, "; {advice}"))
    });
    error!("no IOMMU: nothing is bound, native drivers keep everything{advice}");
}

fn tell_steps(record: &Record<'_>) {
    for (step, outcome) in record.plan.steps.iter().zip(&record.outcomes.steps) {
        let Some(function) = record.inventory.get(step.function) else {
            continue;
        };
        let Function {
            address,
            driver: before,
            id,
            ..
        } = function;
        let (before, now) = (driver(before.as_ref()), driver(outcome.driver.as_ref()));
        let why = step.reason(record.policy);
        if let Decision::Leave(leave) = step.decision {
            let leave = leave.told(outcome.driver.as_deref());
            warn!(address; "{address} ({}): {leave}", Plain(id.kind()));
            continue;
        }
        let driver = record.driver(step);
        let end = fmt::from_fn(|f| match (outcome.fate, step.decision, &outcome.failure) {
            (Fate::Planned, ..) => write!(f, "{before} -> {driver} planned"),
            (Fate::Bound, ..) => write!(f, "{before} -> {now}"),
            (Fate::Already, _, Some(failure)) if outcome.is_unready() => {
                write!(f, "on {now} already: {}", failure.told(driver))
            }
            (Fate::Already, ..) => write!(f, "on {now} already"),
            (_, Decision::Refuse(refusal), _) => write!(f, "refused: {refusal}"),
            (fate, _, Some(failure)) => {
                let (failure, end) = (failure.told(driver), ending(fate, outcome));
                write!(f, "not bound: {failure}; {end}")
            }
            (fate, _, None) => write!(f, "{fate}, now {now}"),
        });
        match outcome.fate {
            Fate::Planned | Fate::Bound | Fate::Already if !outcome.is_unready() => {
                info!(address; "{address}: {end} ({why})")
            }
            _ => error!(address; "{address}: {end} ({why})"),
        }
    }
}

fn ending(fate: Fate, outcome: &Outcome) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| match (fate, &outcome.driver) {
        (Fate::Returned, Some(driver)) => write!(f, "{driver} has it again"),
        (Fate::Returned, None) => f.write_str("left to its native driver"),
        (Fate::Held, _) => f.write_str("kept without a driver (vfio.onfail=hold)"),
        (_, Some(driver)) => write!(f, "it is on {driver} now"),
        (_, None) if outcome.is_unseen() => f.write_str("its driver is not known"),
        (_, None) => f.write_str("it has no driver now"),
    })
}

fn driver(name: Option<&DriverName>) -> Plain<'_> {
    Plain(name.map_or("(none)", |name| name))
}

fn tell_group(record: &Record<'_>, status: GroupStatus) {
    let group = fmt::from_fn(|f| write!(f, "group {}", Dec(status.group.into())));
    if let Some(address) = status.newcomer {
        let why = Plain(match record.inventory.unseen(address) {
            Unseen::Late => "appeared while the others were bound and is not; run `vfio-bind bind`",
            Unseen::Unread => "could not be read, as was told, and is not bound with the others",
            Unseen::Beyond => {
                "lies beyond the functions that are looked at, and is not bound with the others"
            }
        });
        error!(group; "{group}: {address} {why}");
    }
    match status.viable {
        Some(true) => info!(group; "{group} is viable, says VFIO"),
        None => match status.unanswered {
            Some(errno) => error!(
                group;
                "ioctl(vfio/{}, VFIO_GROUP_GET_STATUS): {}",
                Dec(status.group.into()),
                Answer(errno)
            ),
            None => info!(group; "{group}: VFIO does not say whether it is viable"),
        },
        Some(false) => {
            let mut named = false;
            let all = record.outcomes.blockers.iter();
            for blocker in all.filter(|blocker| blocker.group == status.group) {
                named = true;
                let Blocker {
                    address, driver, ..
                } = blocker;
                let instead = Plain(if blocker.bridge {
                    "it is a bridge, so"
                } else {
                    "select it too, or"
                });
                error!(
                    group;
                    "{group} is not usable: {driver} has {address}; {instead} keep that \
                     driver from loading"
                );
            }
            if !named && record.outcomes.more_blockers == 0 {
                error!(group; "{group} is not viable, says VFIO; no driver in it explains why");
            }
        }
    }
}

/// What vfio-pci is not given, and what that costs.
fn tell_empty_list(record: &Record<'_>) {
    let emptied = match record.emptied {
        None if record.state == State::DryRun && record.plan.without_kernel_ids => Ok(()),
        None => return,
        Some(emptied) => emptied,
    };
    let (policy, inventory, plan) = (record.policy, record.inventory, record.plan);
    let taken = overreach::overreach(policy, inventory, plan);
    // A plan for one function alone does not show what else it leaves alone.
    let why = fmt::from_fn(|f| match taken.filter(|_| plan.focus.is_none()) {
        Some(function) => write!(
            f,
            "its ids= would take {}, which the plan leaves alone",
            function.address
        ),
        None => f.write_str("it would have ids="),
    });
    match emptied {
        Ok(()) => warn!(
            Plain(VFIO_PCI);
            "vfio-pci is loaded with an empty list, because {why}; it takes no device that comes later"
        ),
        Err(error) => {
            warn!(Plain(VFIO_PCI); "vfio-pci is not loaded with an empty list: {error}; if it comes later, {why}");
        }
    }
}

/// What became of virtual functions that are asked for.
fn tell_made(record: &Record<'_>) {
    for made in &record.outcomes.made {
        let word = record.policy.makings.get(usize::from(made.word));
        let word = fmt::from_fn(|f| word.map_or(Ok(()), |word| write!(f, "{}", word.selector)));
        let level = match made.stage {
            Stage::Failed(_) => Level::Error,
            Stage::Again(_) => Level::Warn,
            _ => Level::Info,
        };
        say!(level, made.address; "{made} ({word})");
    }
}

/// What vfio drivers took although nobody asked for it.
fn tell_unasked(record: &Record<'_>) {
    for Unasked {
        address,
        driver: taker,
        fate,
        now,
    } in &record.outcomes.unasked
    {
        let now = driver(now.as_ref());
        error!(address; "{address}: {taker} took it, and nobody asks for that: {fate}, now {now}");
    }
    if let Some(errno) = record.outcomes.vfio_unseen {
        let answer = Answer(errno);
        error!("list(sys/bus/pci/drivers): {answer}; what vfio drivers took besides is not known");
    }
}

fn tell_limits(record: &Record<'_>) {
    let beyond = record.inventory.beyond_limit;
    if beyond > 0 {
        error!(
            "not looked at: {} beyond the first {}",
            Counted(beyond, "PCI function"),
            Dec(record.inventory.len() as u64)
        );
    }
    let groups = record.outcomes.more_groups;
    if groups > 0 {
        warn!("VFIO was not asked about {}", Counted(groups, "more group"));
    }
    let blockers = record.outcomes.more_blockers;
    if blockers > 0 {
        error!(
            "{} of groups that are not usable",
            Counted(blockers, "more blocker")
        );
    }
}

/// How many functions came to which end.
fn summary<'a>(record: &'a Record<'a>) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| {
        let count = |fate| {
            let all = record.outcomes.steps.iter();
            all.filter(|outcome| outcome.fate == fate).count()
        };
        let driver = Plain(if record.plan.variants.is_empty() {
            &record.policy.driver
        } else {
            "their vfio drivers"
        });
        let (there, end) = if record.state == State::DryRun {
            (count(Fate::Planned), Plain("would go to"))
        } else {
            (
                count(Fate::Bound).saturating_add(count(Fate::Already)),
                Plain("on"),
            )
        };
        write!(f, "{} {} {driver}", Counted(there, "function"), end)?;
        for fate in [
            Fate::Refused,
            Fate::Left,
            Fate::Returned,
            Fate::Held,
            Fate::Failed,
        ] {
            match count(fate) {
                0 => {}
                number => write!(f, ", {} {fate}", Dec(number as u64))?,
            }
        }
        if record.state == State::DryRun {
            return f.write_str("; nothing was written");
        }
        let us = record.elapsed_us;
        let (ms, part) = (us.div_euclid(1000), us.rem_euclid(1000).div_euclid(100));
        write!(f, ", after {}.{} ms", Dec(ms), Dec(part))
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::bind::failure::{Failure, Operation};
    use crate::text::name;
    use rustix::io::Errno;
    use std::string::ToString;

    #[test]
    fn where_a_function_ended() {
        let (unread, refused) = (
            Failure::System(Operation::Look, Errno::ACCESS),
            Failure::System(Operation::Probe, Errno::TIMEDOUT),
        );
        for (fate, driver, failure, words) in [
            (Fate::Returned, Some("nvme"), refused, "nvme has it again"),
            (Fate::Returned, None, refused, "left to its native driver"),
            (
                Fate::Held,
                None,
                refused,
                "kept without a driver (vfio.onfail=hold)",
            ),
            (Fate::Failed, Some("nvme"), refused, "it is on nvme now"),
            (Fate::Failed, None, unread, "its driver is not known"),
            (Fate::Failed, None, refused, "it has no driver now"),
        ] {
            let outcome = Outcome {
                fate,
                driver: driver.map(|text| name(text.as_bytes())),
                failure: Some(failure),
            };
            assert_eq!(ending(fate, &outcome).to_string(), words);
        }
    }
}

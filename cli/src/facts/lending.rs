//! What the agent would say, were all of a machine asked for: the truth about what can be lent.

use std::path::Path;

use vfio_bind_agent::machine::sysfs::is_harmless;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::{Leave, Refusal};
use vfio_bind_agent::record::{Record, State};
use vfio_bind_agent::run::{self, Extent};

use super::function::Function;
use super::group::{Lending, Refusals, Verdict};
use crate::preview::known::{self, Informed, Known};
use crate::preview::notes;

/// How many functions are asked for at once: the agent has room for 512 selectors.
const AT_ONCE: usize = 256;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// What would not be bound, or be of no use to a guest.
    pub refusals: Refusals,
    /// What would turn an IOMMU on, where there is none.
    pub advice: Option<String>,
}

/// Rehearses the next boot as if every function of a group that can be lent were asked for, beside what its
/// command line, its policy and its list of protected functions say.
#[must_use]
pub fn judge(root: &Path, tree: &Tree, known: &Known, functions: &[Function]) -> Judged {
    let mut wanted: Vec<_> = functions.iter().filter(|one| !one.of_the_machine).collect();
    // All of a group at once, where there is room.
    wanted.sort_by_key(|one| (one.group, one.address));
    let line = known::command_line(root).unwrap_or_default();
    let mut judged = Judged::default();
    let mut rest = &wanted[..];
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(whole_groups(rest));
        rest = behind;
        // What is switched off for this boot is asked for all the same.
        if !rehearse(tree, known, part, &line, &mut judged) {
            rehearse(tree, known, part, b"", &mut judged);
        }
    }
    judged
}

/// How many of these can be asked for at once without parting a group. One that is larger is parted.
fn whole_groups(functions: &[&Function]) -> usize {
    if functions.len() <= AT_ONCE {
        return functions.len();
    }
    let next = functions[AT_ONCE].group;
    let parted = functions[..AT_ONCE].iter().rev();
    match AT_ONCE - parted.take_while(|one| one.group == next).count() {
        0 => AT_ONCE,
        most => most,
    }
}

/// False where nothing was planned, because the command line says so.
fn rehearse(
    tree: &Tree,
    known: &Known,
    functions: &[&Function],
    line: &[u8],
    judged: &mut Judged,
) -> bool {
    let names: Vec<_> = functions
        .iter()
        .map(|one| one.address.to_string())
        .collect();
    // In front: a quote that nobody closed takes in what is behind it.
    let mut asked = format!("vfio.bind={} ", names.join(",")).into_bytes();
    asked.extend(line);
    let mut planned = true;
    let informed = Informed { tree, known };
    run::rehearse(&informed, &asked, Extent::Whole, &mut |record| {
        planned = !matches!(record.state, State::Off | State::CrashKernel);
        judged.advice = record.advice.map(|advice| advice.to_string());
        let mut unplanned: Vec<_> = functions.iter().map(|one| one.address).collect();
        for step in &record.plan.steps {
            let Some(function) = record.inventory.get(step.function) else {
                continue;
            };
            unplanned.retain(|address| *address != function.address);
            if !functions.iter().any(|one| one.group == function.group) {
                continue;
            }
            let verdict = match step.decision {
                Decision::Bind => None,
                Decision::Refuse(refusal) => verdict(refusal, record, known),
                Decision::Leave(Leave::System) => spoilt(function.address, &function.driver),
                // Its owner wants groups parted, and knows what that means.
                Decision::Leave(Leave::NotListed) => None,
            };
            if let Some(verdict) = verdict {
                judged.refusals.insert(function.address, verdict);
            }
        }
        // Of what is asked for, a plan is silent only where something else of the policy excludes it.
        for address in unplanned.into_iter().filter(|_| planned) {
            let why = format!("the policy excludes {address}");
            judged.refusals.insert(address, cannot(why));
        }
        record.exit()
    });
    planned
}

/// A group is of no use to a guest while a driver of the host has one of it that nobody takes.
fn spoilt(address: Address, driver: &Option<vfio_bind_agent::text::DriverName>) -> Option<Verdict> {
    let driver = driver.as_deref().filter(|driver| !is_harmless(driver))?;
    Some(cannot(format!(
        "{address} of it belongs to the machine and has the driver {driver}"
    )))
}

fn cannot(why: impl Into<String>) -> Verdict {
    Verdict::new(Lending::Cannot, Some(why.into()))
}

/// A refusal in one phrase. None where it is only about what was named, and all was.
fn verdict(refusal: Refusal, record: &Record<'_>, known: &Known) -> Option<Verdict> {
    let why = match refusal {
        Refusal::NoIommu => "the kernel uses no IOMMU".to_owned(),
        Refusal::NoGroup => "the kernel gave it no IOMMU group".to_owned(),
        Refusal::Igfx => "igfx_off on the kernel command line keeps it out of the IOMMU".to_owned(),
        Refusal::NoGroupYet => {
            let why = "this kernel makes its IOMMU group when a driver is first probed";
            return Some(Verdict::new(Lending::Unknown, Some(why.to_owned())));
        }
        Refusal::InDoubt => {
            let why = "what may share its IOMMU group has none yet";
            return Some(Verdict::new(Lending::Unknown, Some(why.to_owned())));
        }
        Refusal::Bridge => "it is a bridge".to_owned(),
        Refusal::ExcludedSibling(member) => {
            format!("the policy excludes {member}")
        }
        Refusal::OtherId(..) => "the policy names another ID in its place".to_owned(),
        Refusal::Vmd(controller) => format!("it is behind the VMD controller {controller}"),
        Refusal::Protected(member) | Refusal::Behind(member) => {
            return Some(protected(member, record, known));
        }
        Refusal::BootDisplay(display) => format!("the machine boots on {display}"),
        Refusal::Unlisted(member) => {
            format!("{member} stores, and what the system boots from is not all known")
        }
        Refusal::MayBeInUse(member) => format!("{member} may be in use"),
        Refusal::KernelHasIt => "the policy leaves it alone, and vfio-pci has it".to_owned(),
        Refusal::UnclearPolicy => "the policy has an error; `vfio-bind check` names it".to_owned(),
        // All that can be lent was named one by one; of a group too large for that the rest was not.
        Refusal::System | Refusal::UnselectedSibling(_) => return None,
    };
    Some(cannot(why))
}

/// It is protected, and why.
fn protected(member: Address, record: &Record<'_>, known: &Known) -> Verdict {
    match notes::protection(record, known, member) {
        Some((_, Some(why))) => Verdict {
            // The words of the list name mount points.
            plainly: Some(format!("the system needs {member}")),
            ..cannot(format!(
                "the system needs {member} for {}",
                needed_for(&why)
            ))
        },
        _ => cannot(format!("{member} is protected by the policy")),
    }
}

/// Of `/, swap: nvme0n1p2 through dm-0; /boot: nvme0n1p1` what it is needed for, each once.
fn needed_for(why: &str) -> String {
    let parts = why.split("; ");
    let users = parts.flat_map(|part| {
        part.split_once(": ")
            .map_or(part, |(users, _)| users)
            .split(", ")
    });
    let mut all: Vec<&str> = Vec::new();
    for user in users {
        if !all.contains(&user) {
            all.push(user);
        }
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_is_needed_for_is_told_once() {
        for (why, expected) in [
            (
                "/, swap: nvme0n1p2 through dm-0; /boot: nvme0n1p1; /: sda",
                "/, swap, /boot",
            ),
            ("in use", "in use"),
            ("/: sda; and 3 more", "/, and 3 more"),
        ] {
            assert_eq!(needed_for(why), expected);
        }
    }
}

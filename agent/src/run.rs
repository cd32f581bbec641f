//! One run from the command line to the record.

use rustix::io::Errno;

use crate::cmdline::MAX_LEN;
use crate::function::Inventory;
use crate::host::{Host, Root};
use crate::iommu::{self, Advice, Kind};
use crate::outcome::Outcomes;
use crate::plan::{Plan, plan};
use crate::policy::{self, Policy, Sources};
use crate::problem::Problem;
use crate::record::{Record, State};
use crate::{apply, modprobe_conf, resolve, scan, variant};

/// Reads the policy, looks at the machine and plans; writes nothing.
///
/// `then` gets the record of what would be done, and returns the exit status.
pub fn rehearse(root: &dyn Root, line: &[u8], then: &mut dyn FnMut(&Record<'_>) -> u8) -> u8 {
    run(root, line, &|_, _, _, _| State::DryRun, &|| 0, then)
}

/// Reads the policy, looks at the machine, plans, and carries the plan out.
///
/// `clock` gives microseconds since the start. `then` gets the record of what was done, and
/// returns the exit status.
pub fn perform(
    host: &impl Host,
    line: &[u8],
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    let act = |policy: &Policy<'_>, inventory: &Inventory, plan: &Plan, outcomes: &mut _| {
        if policy.dry_run {
            return State::DryRun;
        }
        apply::apply(host, policy, inventory, plan, outcomes);
        State::Applied
    };
    run(host, line, &act, clock, then)
}

fn run(
    root: &dyn Root,
    line: &[u8],
    act: &dyn Fn(&Policy<'_>, &Inventory, &Plan, &mut Outcomes) -> State,
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    let mut buffer = [0; MAX_LEN];
    let mut protected_buffer = [0; MAX_LEN];
    let protected = root.read(policy::PROTECTED, &mut protected_buffer);
    let file = root.read(policy::FILE, &mut buffer);
    let modprobe_ids = modprobe_conf::kernel_ids(root);
    let mut policy = Policy::read(&Sources {
        modprobe_ids: modprobe_ids.as_deref(),
        // An image without the files has no policy of its own.
        protected: protected.unwrap_or_default(),
        file: file.unwrap_or_default(),
        // /proc/cmdline adds a line end, which an open quote would take in.
        line: line.strip_suffix(b"\n").unwrap_or(line),
    });
    for (name, text) in [
        ("the kernel command line", Ok(line)),
        (policy::FILE, file),
        (policy::PROTECTED, protected),
    ] {
        match text {
            Ok(text) if text.len() >= MAX_LEN => policy.problem(Problem::TooLong(name)),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => policy.problem(Problem::Unreadable(name, errno)),
        }
    }
    let mut inventory = Inventory::default();
    let (mut drafted, mut outcomes) = (Plan::default(), Outcomes::default());
    let early = if policy.off {
        Some(State::Off)
    } else if !policy.selects() {
        Some(State::NothingAsked)
    } else if scan::scan(root, &mut inventory).is_err() || inventory.is_empty() {
        Some(State::NoPci)
    } else {
        resolve::resolve(&mut policy, root, &inventory);
        drafted = plan(&policy, &inventory);
        if policy.auto {
            variant::choose(root, &inventory, &mut drafted);
        }
        outcomes.rehearse(&inventory, &drafted);
        (!inventory.has_groups()).then_some(State::NoIommu)
    };
    let state = early.unwrap_or_else(|| act(&policy, &inventory, &drafted, &mut outcomes));
    let advice = (state == State::NoIommu).then(|| Advice::of(root, line));
    then(&Record {
        state,
        policy: &policy,
        inventory: &inventory,
        plan: &drafted,
        outcomes: &outcomes,
        iommu: Kind::of(root),
        groups: iommu::group_count(root),
        advice,
        elapsed_us: clock(),
    })
}

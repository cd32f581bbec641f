//! Who is first at what comes later: vfio-pci, where all that has an ID is asked for and none of it stays.
//!
//! The kernel offers a new function to drivers in the order in which they registered, and to each by its own
//! IDs and those that were added (`pci_match_device` in drivers/pci/pci-driver.c): with the ID, vfio-pci, which
//! is here before every native driver, has it before udev hears of it, and no native driver ever touches it.

use rustix::io::Errno;

use crate::bind::controls::DRIVER_LIMIT;
use crate::bind::loading;
use crate::bind::outcome::{Fate, Outcomes};
use crate::machine::Machine;
use crate::machine::alias_index::Aliases;
use crate::machine::inventory::Inventory;
use crate::machine::sysfs::driver_directory;
use crate::pci::id::{DeviceId, IdPattern};
use crate::plan::decision::Plan;
use crate::policy::selector::{Selector, Source, Target};
use crate::policy::{GroupPolicy, Policy, VFIO_PCI};
use crate::text::errno::Answer;
use crate::text::{Bounded, Hex, Plain, clip};

const NEW_ID: &str = "sys/bus/pci/drivers/vfio-pci/new_id";

/// Gives vfio-pci the IDs that are its alone, once what is there is done.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn register(
    host: &impl Machine,
    policy: &Policy<'_>,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &Outcomes,
) {
    // What decides over a function one by one, or prepares it, has to be asked before a driver has it.
    let whole = policy.group == GroupPolicy::Endpoints
        && policy.settings.is_empty()
        && (policy.auto || policy.driver == VFIO_PCI)
        && policy.listed
        && !plan.without_kernel_ids
        && plan.focus.is_none()
        && inventory.beyond_limit == 0
        && inventory.unreadable == 0;
    if !whole {
        return;
    }
    let aliases = Aliases::open(host).filter(|_| policy.auto);
    let has_own_driver = |pattern: &IdPattern| {
        let id = DeviceId {
            vendor: pattern.vendor,
            device: pattern.device,
            ..DeviceId::default()
        };
        let best = aliases.as_ref().map(|aliases| aliases.best(&id));
        !matches!(best, None | Some(Ok(None)))
    };
    for selector in &policy.selectors {
        let Target::Id(pattern) = &selector.target else {
            continue;
        };
        let alone = !selector.excludes
            && !selector.is_virtual()
            && selector.expected.is_none()
            && pattern.names_a_model();
        let stays = || {
            let mut all = policy.selectors.iter();
            stays(inventory, plan, outcomes, pattern)
                || all.any(|other| other.excludes && may_mean(other, inventory, pattern))
        };
        if !alone || stays() || has_own_driver(pattern) {
            continue;
        }
        if !host.exists(&driver_directory(VFIO_PCI)) {
            let loaded = loading::load(host, policy, VFIO_PCI, false);
            if !host.exists(&driver_directory(VFIO_PCI)) {
                if let Err(error) = loaded {
                    info!(selector; "{selector}: what comes later is taken from its native driver: {error}");
                }
                return;
            }
        }
        // It has those that it was loaded with.
        if selector.source != Source::KernelIds {
            put(host, selector, pattern);
        }
    }
}

fn put(host: &impl Machine, selector: &Selector<'_>, pattern: &IdPattern) {
    let [vendor, device, subvendor, subdevice, class, mask] =
        pattern.numbers().map(|number| Hex(number, 4));
    let text: Bounded<64> = clip(format_args!(
        "{vendor} {device} {subvendor} {subdevice} {class} {mask}"
    ));
    match host.write_within(NEW_ID, text.as_bytes(), DRIVER_LIMIT) {
        Ok(()) | Err(Errno::EXIST) => {
            info!(selector; "{selector}: {} has what comes later at once", Plain(VFIO_PCI));
        }
        Err(errno) => warn!(
            selector;
            "{selector}: write({}): {}; what comes later is taken from its native driver",
            Plain(NEW_ID),
            Answer(errno)
        ),
    }
}

/// Whether a function that is there has this ID and is not bound.
fn stays(inventory: &Inventory, plan: &Plan, outcomes: &Outcomes, pattern: &IdPattern) -> bool {
    let mut all = inventory.iter();
    all.any(|(index, function)| {
        let outcome = plan.place_of(index).and_then(|at| outcomes.steps.get(at));
        let bound = outcome.is_some_and(|o| matches!(o.fate, Fate::Bound | Fate::Already));
        pattern.matches(&function.id) && !bound
    })
}

/// Whether what is to be left alone may be something with this ID, here or where it has gone.
fn may_mean(selector: &Selector<'_>, inventory: &Inventory, pattern: &IdPattern) -> bool {
    // What is still to be made is in no inventory, and its ID is not that of its maker.
    if selector.is_virtual() {
        return true;
    }
    let known = match &selector.target {
        Target::Id(other) => Some(*other),
        _ => selector.expected,
    };
    if let Some(other) = known {
        return overlap(&other, pattern);
    }
    // What is there is known, unless it is a bridge, which stands for all that comes behind it.
    let mut all = inventory.functions().iter();
    !all.any(|f| f.is_endpoint() && selector.points_at(f))
}

/// Whether a function may have both IDs.
fn overlap(one: &IdPattern, other: &IdPattern) -> bool {
    use crate::pci::id::ANY;
    let same = |one: u32, other: u32| one == other || one == ANY || other == ANY;
    same(one.vendor, other.vendor)
        && same(one.device, other.device)
        && same(one.subvendor, other.subvendor)
        && same(one.subdevice, other.subdevice)
        && (one.class ^ other.class) & one.class_mask & other.class_mask == 0
}

//! IOMMU groups that the kernel has not made yet when the agent, which is first, looks.
//!
//! There are two reasons for that:
//! - The IOMMU's own driver is a module, as virtio-iommu's may be.
//! - The firmware's tables say which IOMMU a function has (Arm's SMMU, virtio-iommu), and Linux before
//!   6.15 reads them for a function when it first probes a driver for it (`really_probe` in
//!   drivers/base/dd.c, by way of `pci_dma_configure`). Until then the function has no group, and
//!   nobody knows its siblings.

use rustix::io::Errno;

use crate::bind::controls::{
    DRIVER_LIMIT, LOCK_LIMIT, QUEUE_LIMIT, current_override, probe, put_address, put_override,
};
use crate::bind::failure::{Failure, Operation, failure};
use crate::machine::inventory::{Function, GroupTiming, Inventory};
use crate::machine::iommu::Kind;
use crate::machine::survey::scan;
use crate::machine::sysfs::{DRIVERS_PROBE, driver_directory, driver_of};
use crate::machine::{LoadError, Loading, Machine, Root, way};
use crate::pci::address::Address;
use crate::plan::decision::{Decision, Plan};
use crate::plan::refusal::Refusal;
use crate::text::{DriverName, Plain, name};

/// The module of virtio-iommu's driver.
pub const VIRTIO_IOMMU: &str = "virtio_iommu";

/// A driver that takes whatever it is told to and does nothing with it, and that VFIO accepts in a
/// group.
pub(crate) const STUB: &str = "pci-stub";

/// Takes functions from it, and from no other driver.
const STUB_UNBIND: &str = "sys/bus/pci/drivers/pci-stub/unbind";

/// The address of a virtio-iommu (`PCI_DEVICE_ID_VIRTIO` 0x1040 plus `VIRTIO_ID_IOMMU` 23) on a machine
/// whose kernel uses no IOMMU, with its driver.
#[must_use]
pub fn idle_virtio_iommu(inventory: &Inventory) -> Option<&Function> {
    let mut all = inventory.functions().iter();
    all.find(|function| (function.id.vendor, function.id.device) == (0x1af4, 0x1057))
        .filter(|_| !inventory.has_groups())
}

/// Loads the driver of a virtio-iommu that has none, and looks at the machine again. `None` where
/// there is nothing to load.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn load_driver(
    host: &impl Machine,
    inventory: &mut Inventory,
) -> Option<Result<(), LoadError>> {
    let iommu = idle_virtio_iommu(inventory)?;
    if iommu.driver.is_none() {
        // Where this is a module, too, the IOMMU is not even a virtio device yet. What it does not
        // do shows below.
        let _ = host.load_module("virtio_pci", Loading::default());
    }
    let answer = host.load_module(VIRTIO_IOMMU, Loading::default());
    look_again(host, inventory, timing(host));
    Some(answer)
}

/// Looks at a machine that has changed.
fn look_again(host: &impl Machine, inventory: &mut Inventory, timing: GroupTiming) {
    inventory.clear();
    inventory.timing = timing;
    if scan(host, inventory).is_err() {
        // Of a list without its end nobody knows what shares a group. Without functions nothing is
        // bound.
        inventory.clear();
    }
}

/// How the groups of the IOMMU that the kernel uses come.
#[must_use]
pub fn timing(root: &dyn Root) -> GroupTiming {
    match Kind::of(root) {
        Kind::Smmu | Kind::SmmuV3 | Kind::Virtio | Kind::Other => GroupTiming::AtFirstProbe,
        Kind::Intel | Kind::Amd | Kind::S390 | Kind::None => GroupTiming::AtStart,
    }
}

/// Has the kernel make the groups of what is asked for, and of all that could be in them: each
/// function gets a driver that does nothing, and gives it up at once. Whether the inventory has
/// changed; after a second call it never has.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn make(host: &impl Machine, inventory: &mut Inventory, plan: &Plan) -> bool {
    let mut woken = false;
    // What could not be read, or not be woken, may share a group that is bound without it.
    let mut unknown = inventory.unreadable;
    for function in inventory.functions() {
        let address = function.address;
        if !inventory.awaits_group(function) || !may_share(host, inventory, plan, address) {
            continue;
        }
        let ready = woken || load_stub(host);
        woken = true;
        if !ready {
            unknown = unknown.saturating_add(1);
            break;
        }
        let Err((act, errno)) = wake(host, address) else {
            continue;
        };
        let failure = failure(host, address, act, errno);
        if matches!(failure, Failure::Vanished) {
            continue;
        }
        let told = failure.told(STUB);
        error!(address; "{address}: {told}; pci-stub may keep it, and its IOMMU group may not be known");
        unknown = unknown.saturating_add(1);
        if errno == Errno::TIMEDOUT || host.is_late() {
            break;
        }
    }
    if woken {
        // What was tried in vain is not tried again, nor promised.
        look_again(host, inventory, GroupTiming::Tried);
        inventory.unreadable = inventory.unreadable.saturating_add(unknown);
    }
    woken
}

/// Whether a function may share its group with one that is bound, or would be if its group were known.
#[inline(never)] // Inlined, it makes the executable larger.
fn may_share(root: &dyn Root, inventory: &Inventory, plan: &Plan, address: Address) -> bool {
    // What nobody can tell the place of may share its group with anything.
    let place = way::root_slot(root, address);
    plan.steps.iter().any(|step| {
        // What has a driver has its group, but not all that will be in it.
        matches!(
            step.decision,
            Decision::Bind | Decision::Refuse(Refusal::NoGroupYet)
        ) && inventory
            .get(step.function)
            .and_then(|asked| way::root_slot(root, asked.address))
            .is_none_or(|asked| place.is_none_or(|place| place == asked))
    })
}

fn load_stub(host: &impl Machine) -> bool {
    let directory = driver_directory(STUB);
    if host.exists(&directory) {
        return true;
    }
    let answer = host.load_module(STUB, Loading::default());
    let there = answer.is_ok() || host.exists(&directory);
    if let (Err(error), false) = (answer, there) {
        error!(
            Plain("pci-stub");
            "pci-stub, which the kernel needs to make IOMMU groups, is not there: {error}; put \
             pci_stub into the image"
        );
    }
    there
}

/// Gives a function the stub and takes it away again; what the system refused.
#[inline(never)] // Inlined, it makes the executable larger.
fn wake(host: &impl Machine, address: Address) -> Result<(), (Operation, Errno)> {
    let at = |act| move |errno| (act, errno);
    let previous = current_override(host, address).map_err(at(Operation::Override))?;
    // Unlike other drivers the stub takes whatever it gets: an error of the probe means something.
    let woken = put_override(host, address, &name(STUB.as_bytes()), LOCK_LIMIT)
        .map_err(at(Operation::Override))
        .and_then(|()| {
            put_address(host, DRIVERS_PROBE, address, DRIVER_LIMIT).map_err(at(Operation::Probe))
        });
    let mut undone = undo(host, address, &previous);
    if undone.is_err_and(|(_, errno)| errno != Errno::TIMEDOUT) {
        // Nobody else would.
        undone = undo(host, address, &previous);
    }
    undone.and(woken)
}

/// Takes a function from the stub, and leaves it to whatever had it but for that.
#[inline(never)] // Inlined, it makes the executable larger.
fn undo(
    host: &impl Machine,
    address: Address,
    previous: &DriverName,
) -> Result<(), (Operation, Errno)> {
    let mut limit = DRIVER_LIMIT;
    // First the override: with that of the stub, any probe would give the function back to it.
    let restored = put_override(host, address, previous, LOCK_LIMIT);
    if restored == Err(Errno::TIMEDOUT) {
        limit = QUEUE_LIMIT;
    }
    // Unlike `driver/unbind` it takes nothing from a driver that was faster.
    let mut taken = put_address(host, STUB_UNBIND, address, limit);
    if taken == Err(Errno::TIMEDOUT) {
        limit = QUEUE_LIMIT;
    } else if driver_of(host, address).is_ok_and(|driver| driver.as_deref() != Some(STUB)) {
        taken = Ok(());
    }
    let mut offered = Ok(());
    // With the stub's override it would only go back to the stub.
    if matches!(restored, Ok(()) | Err(Errno::TIMEDOUT)) {
        // The kernel offers it only once to a native driver that is there, and that was too early.
        offered = probe(host, address, limit);
    }
    let at = |act| move |errno| (act, errno);
    restored.map_err(at(Operation::Restore))?;
    taken.map_err(at(Operation::Unbind))?;
    offered.map_err(at(Operation::Probe))
}

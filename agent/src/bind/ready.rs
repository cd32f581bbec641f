//! IOMMU groups that the kernel has not made yet when the agent, which is first, looks.
//!
//! There are two reasons for that:
//! - The IOMMU's own driver is a module, as virtio-iommu's may be.
//! - The firmware's tables say which IOMMU a function has (Arm's SMMU, virtio-iommu), and Linux before
//!   6.15 reads them for a function when it first probes a driver for it (`really_probe` in
//!   drivers/base/dd.c, by way of `pci_dma_configure`). Until then the function has no group, and
//!   nobody knows its siblings.

use heapless::Vec;
use rustix::io::Errno;

use crate::bind::controls::{
    DRIVER_LIMIT, LOCK_LIMIT, QUEUE_LIMIT, current_override, probe, put_address, put_override,
};
use crate::bind::failure::{Failure, Operation, failure};
use crate::machine::inventory::{Function, GroupTiming, Inventory};
use crate::machine::iommu::Kind;
use crate::machine::survey::scan;
use crate::machine::sysfs::{DRIVERS_PROBE, driver_directory};
use crate::machine::{LoadError, Loading, Machine, Root, way};
use crate::pci::address::{Address, Slot};
use crate::plan::decision::{Decision, Plan};
use crate::plan::refusal::Refusal;
use crate::text::{DriverName, Plain, name};

/// The module of virtio-iommu's driver.
pub const VIRTIO_IOMMU: &str = "virtio_iommu";

/// A driver of the kernel itself that refuses all but ports of PCI Express (`pcie_portdrv_probe` in
/// drivers/pci/pcie/portdrv.c). The kernel makes the group before it asks the driver, and what never had
/// a function need not give it back, however late it is asked.
pub(crate) const PORT_DRIVER: &str = "pcieport";

/// How many slots of root buses are told apart where groups are in doubt; beyond that all are.
const MAX_SLOTS: usize = 128;

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

/// Has the kernel make the groups of what is asked for, and of all that could be in them, bridges too: each
/// function is offered to a driver that refuses it. Whether the inventory has changed; after a second call
/// it never has. Where one gets no group that way, [`Function::in_doubt`] marks what may share it.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn make(host: &impl Machine, inventory: &mut Inventory, plan: &Plan) -> bool {
    let wide = has_wide_groups(host);
    let mut woken = false;
    // What could not be read, or not be woken, may share a group that is bound without it.
    let mut unknown = inventory.unreadable;
    for function in inventory.functions() {
        let address = function.address;
        if !inventory.awaits_group(function) || !may_share(host, wide, inventory, plan, address) {
            continue;
        }
        let ready = woken || host.exists(&driver_directory(PORT_DRIVER));
        woken = true;
        if !ready {
            error!(
                Plain(PORT_DRIVER);
                "the kernel has no driver pcieport, by which it is made to form IOMMU groups; remove \
                 pcie_ports=compat, or boot Linux 6.15 or later"
            );
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
        let told = failure.told(PORT_DRIVER);
        error!(
            address;
            "{address}: {told}; its override may still be pcieport, and where its IOMMU group is not known \
             nothing is bound that may share it"
        );
        unknown = unknown.saturating_add(1);
        if errno == Errno::TIMEDOUT || host.is_late() {
            break;
        }
    }
    if woken {
        look_again(host, inventory, GroupTiming::AtFirstProbe);
        if unknown > 0 || inventory.unreadable > 0 {
            doubt(host, wide, inventory);
        }
        // What was tried in vain is not tried again, nor promised.
        inventory.timing = GroupTiming::Tried;
        inventory.unreadable = inventory.unreadable.saturating_add(unknown);
    }
    woken
}

/// Whether a group may go beyond what is in or behind one slot of the root bus, where `pci_device_group`
/// (drivers/iommu/iommu.c) ends. Of an SMMU before version 3 whatever uses the same stream mapping shares a
/// group (`arm_smmu_device_group` in drivers/iommu/arm/arm-smmu/arm-smmu.c), and an IOMMU that is not known
/// here may have one group for all (`generic_single_device_group`).
fn has_wide_groups(root: &dyn Root) -> bool {
    matches!(Kind::of(root), Kind::Smmu | Kind::Other)
}

/// The slot of the root bus that all of a function's group is in or behind; `None` where nobody can tell.
fn place(root: &dyn Root, wide: bool, address: Address) -> Option<Slot> {
    way::root_slot(root, address).filter(|_| !wide)
}

/// Whether a function may share its group with one that is bound, or would be if its group were known.
#[inline(never)] // Inlined, it makes the executable larger.
fn may_share(
    root: &dyn Root,
    wide: bool,
    inventory: &Inventory,
    plan: &Plan,
    address: Address,
) -> bool {
    let here = place(root, wide, address);
    plan.steps.iter().any(|step| {
        // What has a driver has its group, but not all that will be in it.
        matches!(
            step.decision,
            Decision::Bind | Decision::Refuse(Refusal::NoGroupYet)
        ) && inventory
            .get(step.function)
            .and_then(|asked| place(root, wide, asked.address))
            .is_none_or(|asked| here.is_none_or(|here| here == asked))
    })
}

/// Marks what may share its group with a function that awaits one still, or cannot be read.
#[inline(never)] // Inlined, it makes the executable larger.
fn doubt(root: &dyn Root, wide: bool, inventory: &mut Inventory) {
    let mut waiting: Vec<_, MAX_SLOTS> = Vec::new();
    let functions = inventory.functions().iter();
    let awaiting = functions.filter(|function| inventory.awaits_group(function));
    for address in awaiting
        .map(|function| function.address)
        .chain(inventory.unread())
    {
        let place = place(root, wide, address);
        if !waiting.contains(&place) && waiting.push(place).is_err() {
            waiting.clear();
            let _ = waiting.push(None);
        }
    }
    let anywhere = waiting.contains(&None);
    for function in inventory.functions_mut() {
        let place = place(root, wide, function.address);
        function.in_doubt =
            anywhere || waiting.contains(&place) || (place.is_none() && !waiting.is_empty());
    }
}

/// Offers a function to a driver that refuses it, and leaves it as it was; what the system refused.
#[inline(never)] // Inlined, it makes the executable larger.
fn wake(host: &impl Machine, address: Address) -> Result<(), (Operation, Errno)> {
    let at = |act| move |errno| (act, errno);
    let previous = current_override(host, address).map_err(at(Operation::Override))?;
    // That the driver refuses is no error of the probe: one means that it was not even asked.
    let woken = put_override(host, address, &name(PORT_DRIVER.as_bytes()), LOCK_LIMIT)
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

/// Restores the override of a function, and leaves it to whatever had it but for that.
#[inline(never)] // Inlined, it makes the executable larger.
fn undo(
    host: &impl Machine,
    address: Address,
    previous: &DriverName,
) -> Result<(), (Operation, Errno)> {
    let restored = put_override(host, address, previous, LOCK_LIMIT);
    let limit = match restored {
        Err(Errno::TIMEDOUT) => QUEUE_LIMIT,
        _ => DRIVER_LIMIT,
    };
    // The kernel offers it only once to a native driver that is there, and that was too early.
    let offered = probe(host, address, limit);
    restored.map_err(|errno| (Operation::Restore, errno))?;
    offered.map_err(|errno| (Operation::Probe, errno))
}

//! What became of a plan, as the kernel shows it afterwards.

use core::fmt;

use heapless::Vec;
use rustix::io::Errno;

use crate::address::Address;
use crate::controls::DRIVER_LIMIT;
use crate::errno::Answer;
use crate::function::{Function, Inventory, MAX_FUNCTIONS};
use crate::host::{Host, LoadError, Root, driver_of, path};
use crate::plan::{Decision, Plan};
use crate::text::{Dec, Name, Plain};
use crate::unasked::{MAX_UNASKED, Unasked, is_vfio};

/// The most IOMMU groups whose status is asked for; what is beyond is counted.
pub const MAX_GROUPS: usize = 1024;

/// What became of the function of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is on the driver that was asked for.
    Bound,
    /// It was there before.
    Already,
    /// By policy nothing was done.
    Refused,
    /// It shares a bound group and stays as it is.
    Left,
    /// It could not be bound, and its native driver may have it as before.
    Returned,
    /// It could not be bound and is kept without a driver, as `vfio.onfail=hold` asks.
    Held,
    /// It could not be bound, and could not be put into the state that `vfio.onfail=` asks for.
    Failed,
    /// Nothing was done: a plan only.
    Planned,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "bound",
            Self::Already => "already",
            Self::Refused => "refused",
            Self::Left => "left",
            Self::Returned => "returned",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Planned => "planned",
        })
    }
}

/// A write that carries out a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Reading or setting the driver override.
    Override,
    /// Undoing that.
    Restore,
    /// Taking the function from the driver it has.
    Unbind,
    /// Asking the kernel to find its driver.
    Probe,
    /// Reading which driver it has.
    Look,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "write(driver_override)",
            Self::Restore => "write(driver_override) to undo it",
            Self::Unbind => "write(driver/unbind)",
            Self::Probe => "write(drivers_probe)",
            Self::Look => "readlink(driver)",
        })
    }
}

/// Why a function could not be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The system refused a call.
    System(Act, Errno),
    /// The driver is not registered with the kernel.
    NoDriver(Option<LoadError>),
    /// Every write went well, and the function is not where it should be.
    NotBound,
    /// It is gone.
    Vanished,
    /// Another member of its group could not be bound, so that binding this one is of no use.
    Sibling(Address),
    /// The time of the run was over before it was done.
    Late,
}

impl Failure {
    /// Shows what went wrong on the way to `driver`.
    pub fn told<'a>(&'a self, driver: &'a str) -> impl fmt::Display + 'a {
        let driver = Plain(driver);
        fmt::from_fn(move |f| match self {
            Self::System(Act::Unbind, Errno::TIMEDOUT) => write!(
                f,
                "its driver did not let go within {} s and may never; keep that driver from loading",
                Dec(DRIVER_LIMIT.as_secs())
            ),
            Self::System(act, errno) => write!(f, "{act}: {}", Answer(*errno)),
            Self::NoDriver(Some(error)) => write!(f, "no driver {driver}: {error}"),
            Self::NoDriver(None) => write!(
                f,
                "modprobe {driver} ended well, but no PCI driver has that name; see vfio.driver="
            ),
            Self::NotBound => {
                write!(
                    f,
                    "{driver} did not take it; the kernel log says why above this line"
                )
            }
            Self::Vanished => f.write_str("it has vanished"),
            Self::Late => f.write_str("no time was left; what took so long is told as well"),
            Self::Sibling(address) => {
                write!(f, "{address} of the same IOMMU group could not be bound")
            }
        })
    }
}

/// What became of one step.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In one word.
    pub fate: Fate,
    /// The driver it is bound to now; `None` as well where that [is not
    /// known](Outcome::is_unseen).
    pub driver: Option<Name>,
    /// Why it is not where it should be.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Whether the driver it has could not be found out.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        matches!(self.failure, Some(Failure::System(Act::Look, _)))
    }
}

/// What a call on a function's directory answered. `ENOENT` and `ENODEV` may also speak of what is
/// in it: the function has vanished when its directory has.
pub(crate) fn failure(root: &dyn Root, address: Address, act: Act, errno: Errno) -> Failure {
    match driver_of(root, address) {
        Err(Errno::NODEV) => Failure::Vanished,
        _ => Failure::System(act, errno),
    }
}

/// What VFIO says of a group in which something was bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupStatus {
    /// The IOMMU group.
    pub group: u32,
    /// Whether VFIO calls it viable; `None` where there is no answer.
    pub viable: Option<bool>,
    /// A member that is not in the inventory, for the reason that [`Inventory::unseen`] gives: a native
    /// driver may take it, and nothing of this plan keeps it off.
    pub late: Option<Address>,
    /// Whether there is none although the kernel offers a way to ask.
    pub refused: bool,
}

/// What became of a plan.
#[derive(Default)]
pub struct Outcomes {
    /// One for each step, in the same order.
    pub steps: Vec<Outcome, MAX_FUNCTIONS>,
    /// One for each group that has a bound function.
    pub groups: Vec<GroupStatus, MAX_GROUPS>,
    /// Groups beyond [`MAX_GROUPS`], which were not asked for.
    pub more_groups: usize,
    /// What a vfio driver took although the plan does not have it.
    pub unasked: Vec<Unasked, MAX_UNASKED>,
    /// Why nobody knows what else vfio drivers took; `E2BIG` where there were more than
    /// [`MAX_UNASKED`].
    pub vfio_unseen: Option<Errno>,
    /// What came of loading vfio-pci with an empty list of IDs, where that was necessary.
    pub emptied: Option<Result<(), LoadError>>,
}

impl Outcomes {
    /// What a plan comes to when nothing is done.
    pub fn rehearse(&mut self, inventory: &Inventory, plan: &Plan) {
        self.steps.clear();
        for step in &plan.steps {
            let fate = match step.decision {
                Decision::Bind => Fate::Planned,
                Decision::Refuse(_) => Fate::Refused,
                Decision::Leave(_) => Fate::Left,
            };
            let driver = inventory.get(step.function).and_then(|f| f.driver.clone());
            // There is room for as many as the plan has.
            let _ = self.steps.push(Outcome {
                fate,
                driver,
                failure: None,
            });
        }
    }
}

/// Asks VFIO about every group in which a function is bound.
pub(crate) fn ask_groups(
    host: &impl Host,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) {
    let Outcomes {
        steps,
        groups,
        more_groups,
        ..
    } = outcomes;
    for (step, outcome) in plan.steps.iter().zip(steps.iter()) {
        let bound = matches!(outcome.fate, Fate::Bound | Fate::Already);
        let Some(group) = inventory
            .get(step.function)
            .and_then(|f| f.group)
            .filter(|_| bound)
        else {
            continue;
        };
        if groups.iter().any(|status| status.group == group) {
            continue;
        }
        let (viable, refused) = match host.group_viable(group) {
            Ok(viable) => (Some(viable), false),
            // CONFIG_VFIO_GROUP is optional since 6.6: no node is no answer. A group has one user
            // at a time: it is busy because somebody uses it.
            Err(Errno::NOENT | Errno::BUSY) => (None, false),
            Err(errno) => {
                error!(
                    "ioctl(vfio/{}, VFIO_GROUP_GET_STATUS): {}",
                    Dec(group.into()),
                    Answer(errno)
                );
                (None, true)
            }
        };
        let late = late_member(host, inventory, group);
        let status = GroupStatus {
            group,
            viable,
            refused,
            late,
        };
        if groups.push(status).is_err() {
            *more_groups = more_groups.saturating_add(1);
        }
    }
}

/// A member of a group that is not in the inventory.
fn late_member(root: &dyn Root, inventory: &Inventory, group: u32) -> Option<Address> {
    let mut late = None;
    let devices = path(format_args!(
        "sys/kernel/iommu_groups/{}/devices",
        Dec(group.into())
    ));
    // Without the list nothing is known of it, as before.
    let _ = root.list(&devices, &mut |entry| {
        let member = Address::parse(entry);
        let known = |address| inventory.functions().iter().any(|f| f.address == address);
        late = late.or(member.filter(|address| !known(*address)));
    });
    late
}

/// Whether VFIO accepts a driver beside its own in a group, as far as its name tells.
pub(crate) fn is_harmless(driver: &str) -> bool {
    ["pci-stub", "pcieport"].contains(&driver) || is_vfio(driver.as_bytes())
}

/// What keeps a group from being viable: its members with a driver that VFIO does not accept.
///
/// Since 5.19 that is any driver without `driver_managed_dma`; before, any but vfio drivers and
/// pci-stub on an endpoint (`vfio_dev_viable` in drivers/vfio/vfio.c).
pub fn blockers(
    root: &dyn Root,
    inventory: &Inventory,
    group: u32,
    each: &mut dyn FnMut(&Function, &Name),
) {
    for function in inventory.members(group) {
        let Ok(Some(driver)) = driver_of(root, function.address) else {
            continue;
        };
        if !is_harmless(&driver) {
            each(function, &driver);
        }
    }
}

//! Virtual functions (VFs) are made while no driver takes them, and the rest of them is offered to drivers
//! afterwards.
//!
//! The order is: `sriov_drivers_autoprobe` 0, `sriov_numvfs`, then all that is done to any function that is
//! asked for, then `sriov_drivers_autoprobe` 1 and `drivers_probe` for what was not. While that is 0 only a VF
//! with an override is probed (`pci_device_can_probe` in drivers/pci/pci-driver.c).

use core::fmt;
use core::time::Duration;

use heapless::Vec;
use rustix::io::Errno;

use crate::bind::controls::{DRIVER_LIMIT, LOCK_LIMIT, current_override, probe};
use crate::machine::inventory::{Function, Inventory};
use crate::machine::sriov::Sriov;
use crate::machine::sysfs::{attribute, driver_of, is_vfio};
use crate::machine::{Machine, Root};
use crate::pci::address::Address;
use crate::plan::decision::{Decision, Plan};
use crate::plan::refusal::Refusal;
use crate::policy::Policy;
use crate::policy::sriov::Making;
use crate::text::errno::Answer;
use crate::text::{Dec, DriverName, Plain, clip};

/// How long making VFs may take: some drivers ask a processor of the device about each of them.
const MAKE_LIMIT: Duration = Duration::from_secs(30);

/// The most physical functions (PFs) of a record.
pub const MAX_MADE: usize = 64;

/// What became of the VFs of one PF that `vfio.sriov=` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// The PF.
    pub address: Address,
    /// The place of the word in [`Policy::makings`].
    pub word: u8,
    /// How many are asked for.
    pub asked: u16,
    /// How many there are.
    pub there: u16,
    /// How far it has come.
    pub stage: Stage,
}

/// How far the making of VFs has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The native driver of the PF is to come first.
    Waits,
    /// There were as many before.
    Already,
    /// They were made.
    Made,
    /// The driver of the PF wants something first, and is asked again at the PF's next event; its answer, if it
    /// said anything.
    Again(Option<Errno>),
    /// There are none, or not all of them.
    Failed(Why),
}

/// Why VFs are not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is no PF.
    NoSriov,
    /// It is to be bound, or is on a vfio driver.
    Taken,
    /// It has not that many.
    TooMany(u16),
    /// It has another number of them.
    Others(u16),
    /// Its driver made this many.
    Fewer(u16),
    /// Native drivers could not be kept off.
    Autoprobe(Errno),
    /// The write of the number failed.
    System(Errno),
}

impl Stage {
    /// The stage in a word.
    #[must_use]
    pub fn word(self) -> Plain<'static> {
        Plain(match self {
            Self::Waits => "waits",
            Self::Already => "already",
            Self::Made => "made",
            Self::Again(_) => "again",
            Self::Failed(_) => "failed",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSriov => f.write_str(
                "it makes none; name one with sriov_totalvfs; look for SR-IOV in the firmware setup",
            ),
            Self::Taken => f.write_str(
                "it is asked for itself, and makes none on a vfio driver; write vf: before it",
            ),
            Self::TooMany(most) => write!(f, "it makes {} at most", Dec((*most).into())),
            Self::Others(count) => write!(
                f,
                "it has {} already, and they stay; write 0 to its sriov_numvfs first",
                Dec((*count).into())
            ),
            Self::Fewer(count) => write!(f, "its driver made {}", Dec((*count).into())),
            Self::Autoprobe(errno) => write!(
                f,
                "write(sriov_drivers_autoprobe): {}; native drivers would have them first",
                Answer(*errno)
            ),
            Self::System(errno) => {
                write!(f, "write(sriov_numvfs): {}; ", Answer(*errno))?;
                f.write_str(match *errno {
                    Errno::NOENT => "its driver makes none; another one may",
                    Errno::NOMEM | Errno::NOSPC => {
                        "no room for their memory or bus numbers; try pci=realloc or pci=assign-busses"
                    }
                    Errno::TIMEDOUT => "its driver may still make them; they are seen to then",
                    _ => "the kernel log says why",
                })
            }
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, asked, .. } = self;
        write!(f, "{address}: {} virtual functions ", Dec((*asked).into()))?;
        match self.stage {
            Stage::Waits => f.write_str("are made once its native driver is there"),
            Stage::Already => f.write_str("are there already"),
            Stage::Made => f.write_str("are made"),
            Stage::Again(answer) => {
                f.write_str("are not made yet")?;
                if let Some(errno) = answer {
                    write!(f, ": write(sriov_numvfs): {}", Answer(errno))?;
                }
                f.write_str(
                    "; its driver wants something first, as a link: tried again at its next event",
                )
            }
            Stage::Failed(why) => write!(f, "are not made: {why}"),
        }
    }
}

/// What a run knows of the VFs that are asked for.
pub type AllMade = Vec<Made, MAX_MADE>;

/// Finds out what there is to be made, of what the plan is about, and why not. Writes nothing.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn look(
    root: &dyn Root,
    (policy, inventory, plan): (&Policy<'_>, &Inventory, &Plan),
    all: &mut AllMade,
) {
    all.clear();
    for (index, function) in inventory.iter() {
        let address = function.address;
        // Of several words for the same the last one counts.
        let means = |making: &Making<'_>| making.selector.matches(function);
        let Some(word) = policy.makings.iter().rposition(means) else {
            continue;
        };
        let elsewhere = plan.focus.is_some_and(|focus| focus != address);
        if elsewhere || root.exists(&attribute(address, "physfn")) {
            continue;
        }
        let Sriov {
            count: there,
            total,
            ..
        } = Sriov::read(root, address);
        let asked = policy.makings.get(word).map_or(0, |making| making.count);
        let on_vfio = function
            .driver
            .as_ref()
            .is_some_and(|d| is_vfio(d.as_bytes()));
        // A NIC that may be in use is asked for none the less.
        let mut steps = plan.steps.iter().filter(|step| step.function == index);
        let is_asked_for = steps.any(|step| {
            matches!(
                step.decision,
                Decision::Bind | Decision::Refuse(Refusal::MayBeInUse(_))
            )
        });
        let stage = match () {
            () if total == 0 => Stage::Failed(Why::NoSriov),
            () if on_vfio || is_asked_for => Stage::Failed(Why::Taken),
            () if asked > total => Stage::Failed(Why::TooMany(total)),
            () if there == asked => Stage::Already,
            () if there > 0 => Stage::Failed(Why::Others(there)),
            () => Stage::Waits,
        };
        // What is beyond the limit is not made.
        let _ = all.push(Made {
            address,
            word: word as u8,
            asked,
            there,
            stage,
        });
    }
}

/// Makes the VFs of the function `pf` that are asked for, if its native driver is there; whether it did.
/// Where any function is asked for, no driver takes the new ones.
pub fn make(host: &impl Machine, policy: &Policy<'_>, pf: Address, all: &mut AllMade) -> bool {
    let waits = |made: &&mut Made| made.address == pf && made.stage == Stage::Waits;
    let Some(made) = all.iter_mut().find(waits) else {
        return false;
    };
    if !matches!(driver_of(host, pf), Ok(Some(_))) {
        return false;
    }
    if policy.selects()
        && let Err(errno) = put_autoprobe(host, pf, false)
    {
        made.stage = Stage::Failed(Why::Autoprobe(errno));
        return false;
    }
    let number: DriverName = clip(format_args!("{}", Dec(made.asked.into())));
    let answer = host.write_within(
        &attribute(pf, "sriov_numvfs"),
        number.as_bytes(),
        MAKE_LIMIT,
    );
    made.there = Sriov::read(host, pf).count;
    made.stage = match answer {
        Ok(()) if made.there == made.asked => Stage::Made,
        // Some drivers make none while their link is down, and call that a success.
        Ok(()) if made.there == 0 => Stage::Again(None),
        Ok(()) => Stage::Failed(Why::Fewer(made.there)),
        Err(errno @ (Errno::AGAIN | Errno::NETDOWN)) => Stage::Again(Some(errno)),
        Err(Errno::BUSY) if made.there > 0 => Stage::Failed(Why::Others(made.there)),
        Err(errno) => Stage::Failed(Why::System(errno)),
    };
    made.there > 0
}

/// Keeps drivers off the VFs that others will make, where a selector means any of them: this run comes again
/// when they are there, and lets drivers have the rest.
pub fn hold_back(
    host: &impl Machine,
    policy: &Policy<'_>,
    inventory: &Inventory,
    focus: Option<Address>,
) {
    for function in inventory.functions() {
        let pf = function.address;
        let here = focus.is_none_or(|focus| focus == pf);
        let mut takes = policy.selectors.iter().filter(|s| !s.excludes);
        if here
            && takes.any(|selector| selector.can_be_of(function))
            && !is_made(policy, function)
            && !is_held_back(host, pf)
        {
            set_autoprobe(host, pf, false);
        }
    }
}

/// Lets drivers have the VFs of `pf` that are not bound, where they were kept off. Those that its driver may
/// still make are kept off until its next event.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn release_rest(
    host: &impl Machine,
    (policy, inventory): (&Policy<'_>, &Inventory),
    pf: Address,
    all: &AllMade,
) {
    let late = Stage::Failed(Why::System(Errno::TIMEDOUT));
    if !is_held_back(host, pf) || all.iter().any(|made| made.stage == late) {
        return;
    }
    let mut functions = inventory.functions().iter();
    let made = functions.any(|function| function.address == pf && is_made(policy, function));
    let sriov = Sriov::read(host, pf);
    // Others may make some at any moment: drivers are kept off without a gap where none is to have any.
    let mut lets = false;
    for vf in (0..sriov.count).filter_map(|index| sriov.address(pf, index)) {
        // With an override it is bound, or kept so on purpose.
        let is_free = || current_override(host, vf).is_ok_and(|driver| driver.is_empty());
        if driver_of(host, vf) != Ok(None) || !is_free() {
            continue;
        }
        if !lets {
            set_autoprobe(host, pf, true);
            lets = true;
        }
        if host.is_late() || probe(host, vf, DRIVER_LIMIT).is_err() {
            warn!(pf; "{pf}: {vf} was not offered to its driver in time, nor what comes after it");
            break;
        }
    }
    if lets != made {
        set_autoprobe(host, pf, made);
    }
}

/// Whether the VFs of a function are made by this policy.
fn is_made(policy: &Policy<'_>, pf: &Function) -> bool {
    let mut makings = policy.makings.iter();
    makings.any(|making| making.selector.matches(pf))
}

fn is_held_back(root: &dyn Root, pf: Address) -> bool {
    root.read(&attribute(pf, AUTOPROBE), &mut [0; 2]) == Ok(b"0\n")
}

/// Whether the kernel gives new VFs of a function to drivers (`sriov_drivers_autoprobe_store`).
const AUTOPROBE: &str = "sriov_drivers_autoprobe";

/// [`put_autoprobe`], and a word where that fails.
fn set_autoprobe(host: &impl Machine, pf: Address, on: bool) {
    if let Err(errno) = put_autoprobe(host, pf, on) {
        warn!(pf; "{pf}: {}", Why::Autoprobe(errno));
    }
}

fn put_autoprobe(host: &impl Machine, pf: Address, on: bool) -> Result<(), Errno> {
    let data = if on { b"1" } else { b"0" };
    host.write_within(&attribute(pf, AUTOPROBE), data, LOCK_LIMIT)
}

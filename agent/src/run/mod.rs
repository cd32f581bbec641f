//! One run from the command line to the record.

pub mod release;

use rustix::io::Errno;

use crate::bind;
use crate::bind::outcome::Outcomes;
use crate::bind::{driver, loading, ready};
use crate::machine::inventory::{GroupTiming, Inventory};
use crate::machine::iommu::{Advice, Kind};
use crate::machine::sysfs::driver_directory;
use crate::machine::{LoadError, Machine, Root, iommu, survey, tree};
use crate::plan::decision::Plan;
use crate::plan::plan;
use crate::policy::handed::MODULES;
use crate::policy::modprobe_conf::ModprobeConf;
use crate::policy::problem::Problem;
use crate::policy::reach;
use crate::policy::sources::Sources;
use crate::policy::{Policy, VFIO_PCI, presence, resolve};
use crate::record::{Record, State};
use crate::text::cmdline::{MAX_LEN, parameters};

/// Reads the policy, looks at the machine and plans; writes nothing.
///
/// `then` gets the record of what would be done, and returns the exit status.
pub fn rehearse(
    root: &dyn Root,
    line: &[u8],
    extent: Extent,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    run(root, None, line, extent, &|| 0, then)
}

/// How much of a machine is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// What the policy is about, as [`reach::look`] finds out.
    Needed,
    /// Every function: for those who tell of the rest as well.
    Whole,
}

/// Reads the policy, looks at the machine, plans, and carries the plan out.
///
/// `clock` gives microseconds since the start. `then` gets the record of what was done, and
/// returns the exit status.
pub fn perform(
    host: &impl Machine,
    line: &[u8],
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    run(host, Some(host), line, Extent::Needed, clock, then)
}

/// What may be done to a machine.
trait Hands {
    /// As [`ready::load_driver`].
    fn load_driver(&self, inventory: &mut Inventory) -> Option<Result<(), LoadError>>;
    /// As [`loading::without_ids`], where vfio-pci is not there.
    fn without_ids(&self, policy: &Policy<'_>) -> Option<Result<(), LoadError>>;
    /// As [`ready::make`].
    fn make_groups(&self, inventory: &mut Inventory, plan: &Plan) -> bool;
    /// As [`driver::load`].
    fn load_variants(&self, plan: &mut Plan);
    /// As [`bind::apply`].
    fn apply(
        &self,
        policy: &Policy<'_>,
        inventory: &Inventory,
        plan: &Plan,
        outcomes: &mut Outcomes,
    );
}

impl<H: Machine> Hands for H {
    fn load_driver(&self, inventory: &mut Inventory) -> Option<Result<(), LoadError>> {
        ready::load_driver(self, inventory)
    }

    fn without_ids(&self, policy: &Policy<'_>) -> Option<Result<(), LoadError>> {
        let is_there = self.exists(&driver_directory(VFIO_PCI));
        (!is_there).then(|| loading::without_ids(self, policy))
    }

    fn make_groups(&self, inventory: &mut Inventory, plan: &Plan) -> bool {
        ready::make(self, inventory, plan)
    }

    fn load_variants(&self, plan: &mut Plan) {
        driver::load(self, plan);
    }

    fn apply(
        &self,
        policy: &Policy<'_>,
        inventory: &Inventory,
        plan: &Plan,
        outcomes: &mut Outcomes,
    ) {
        bind::apply(self, policy, inventory, plan, outcomes);
    }
}

/// The most bytes of a list of modules that are read.
const MODULES_LEN: usize = 4096;

/// The list of modules of an image of initramfs-tools, or of a system that makes such images.
fn read_modules<'b>(root: &dyn Root, buffer: &'b mut [u8]) -> &'b [u8] {
    let mut lengths = MODULES
        .into_iter()
        .map(|file| root.read(file, buffer).map(<[u8]>::len));
    // Where there is none, it hands nothing to anybody.
    let length = lengths.find_map(Result::ok).unwrap_or(0);
    buffer.get(..length).unwrap_or_default()
}

/// Whether this kernel was started to save the memory of one that crashed: kexec tells it where that is
/// (`elfcorehdr=`, or the device tree on Arm), and what it shows of it has the name of old.
fn is_crash_kernel(root: &dyn Root, line: &[u8]) -> bool {
    parameters(line).any(|word| word.is("elfcorehdr")) || root.exists("proc/vmcore")
}

#[inline(never)] // Inlined, it makes the executable larger.
fn run(
    root: &dyn Root,
    hands: Option<&dyn Hands>,
    line: &[u8],
    extent: Extent,
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    let mut buffer = [0; MAX_LEN];
    let mut protected_buffer = [0; MAX_LEN];
    let protected = root.read(tree::PROTECTED, &mut protected_buffer);
    let file = root.read(tree::POLICY, &mut buffer);
    let mut modprobe = ModprobeConf::read(root);
    let mut modules = [0; MODULES_LEN];
    let modules = read_modules(root, &mut modules);
    modprobe.cut |= modules.len() == MODULES_LEN;
    let mut policy = Policy::read(&Sources {
        modprobe: Some(&modprobe),
        modules,
        // An image without the files has no policy of its own.
        protected: protected.ok(),
        file: file.unwrap_or_default(),
        // /proc/cmdline adds a line end, which an open quote would take in.
        line: line.strip_suffix(b"\n").unwrap_or(line),
    });
    for (name, text) in [
        ("the kernel command line", Ok(line)),
        (tree::POLICY, file),
        (tree::PROTECTED, protected),
    ] {
        match text {
            Ok(text) if text.len() >= MAX_LEN => policy.problem(Problem::TooLong(name)),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => policy.problem(Problem::Unreadable(name, errno)),
        }
    }
    let hands = hands.filter(|_| !policy.dry_run);
    let mut inventory = Inventory::default();
    let (mut drafted, mut outcomes) = (Plan::default(), Outcomes::default());
    let mut loaded = None;
    let look = |policy: &mut Policy<'_>, inventory: &mut Inventory| {
        inventory.timing = ready::timing(root);
        match extent {
            Extent::Needed => reach::look(root, policy, inventory),
            Extent::Whole => survey::scan(root, inventory),
        }
    };
    let early = if is_crash_kernel(root, line) {
        Some(State::CrashKernel)
    } else if policy.off {
        if let Some(hands) = hands.filter(|_| policy.handed.any()) {
            outcomes.emptied = hands.without_ids(&policy);
        }
        Some(State::Off)
    } else if !policy.selects() && !policy.handed.any() {
        Some(State::NothingAsked)
    } else if look(&mut policy, &mut inventory).is_err() || inventory.is_empty() {
        Some(State::NoPci)
    } else {
        loaded = hands.and_then(|hands| hands.load_driver(&mut inventory));
        resolve::resolve(&mut policy, root, &inventory);
        presence::look(&mut policy, &inventory);
        loop {
            drafted = plan(&policy, &inventory);
            if !hands.is_some_and(|hands| hands.make_groups(&mut inventory, &drafted)) {
                break;
            }
        }
        if policy.auto {
            driver::choose(root, &inventory, &mut drafted);
            if let Some(hands) = hands.filter(|_| inventory.has_groups()) {
                hands.load_variants(&mut drafted);
            }
        }
        for step in &drafted.steps {
            inventory.find_way(root, step.function);
        }
        outcomes.rehearse(&inventory, &drafted);
        (!inventory.has_groups()).then_some(if inventory.is_empty() {
            State::NoPci
        } else {
            State::NoIommu
        })
    };
    let state = early.unwrap_or_else(|| match hands {
        Some(hands) => {
            hands.apply(&policy, &inventory, &drafted, &mut outcomes);
            State::Applied
        }
        None => State::DryRun,
    });
    let advice = match state {
        State::NoIommu if loaded.is_some() => Some(Advice::Virtio(loaded)),
        // There is one; why it is of no use has been told.
        State::NoIommu if inventory.timing != GroupTiming::AtStart => None,
        State::NoIommu if ready::idle_virtio_iommu(&inventory).is_some() => {
            Some(Advice::Virtio(None))
        }
        State::NoIommu => Some(Advice::of(root, line)),
        _ => None,
    };
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

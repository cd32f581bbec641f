//! One run from the command line to the record.

pub mod release;
pub mod room;

use rustix::io::Errno;

use crate::bind;
use crate::bind::outcome::Outcomes;
use crate::bind::sriov::AllMade;
use crate::bind::{driver, loading, ready, sriov};
use crate::machine::inventory::{GroupTiming, Inventory};
use crate::machine::iommu::{Advice, Kind};
use crate::machine::sriov::Sriov;
use crate::machine::sysfs::driver_directory;
use crate::machine::{LoadError, Machine, Root, iommu, survey, tree};
use crate::pci::address::Address;
use crate::plan::Planning;
use crate::plan::decision::Plan;
use crate::plan::focus::Focus;
use crate::policy::handed::MODULES;
use crate::policy::problem::Problem;
use crate::policy::reach;
use crate::policy::sources::Sources;
use crate::policy::{Policy, VFIO_PCI, makers, presence, resolve};
use crate::record::{Record, State};
use crate::run::room::{Found, MODULES_LEN, Room, Texts, on_stack};
use crate::text::cmdline::{MAX_LEN, parameters};

/// How much of a machine is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// What the policy is about, as [`reach::look`] finds out.
    Needed,
    /// Every function: for those who tell of the rest as well.
    Whole,
}

/// Reads the policy, looks at the machine and plans; writes nothing. The [room](on_stack) for it is on the
/// stack.
///
/// `then` gets the record of what would be done, and returns the exit status.
pub fn rehearse(
    root: &dyn Root,
    line: &[u8],
    extent: Extent,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    on_stack(line, |room| rehearse_in(room, root, extent, then))
}

/// The same in a room that is given.
pub fn rehearse_in(
    room: Room<'_, '_>,
    root: &dyn Root,
    extent: Extent,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    let run = Run {
        root,
        hands: None,
        line: room.line,
        focus: None,
        extent,
    };
    run.run(room, &|| 0, then)
}

/// Reads the policy, looks at the machine, plans, and carries the plan out. The [room](on_stack) for it is
/// on the stack.
///
/// `clock` gives microseconds since the start. `then` gets the record of what was done, and
/// returns the exit status.
pub fn perform(
    host: &impl Machine,
    line: &[u8],
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    on_stack(line, |room| perform_in(room, host, None, clock, then))
}

/// The same for one function that has come, and its IOMMU group.
pub fn follow(
    host: &impl Machine,
    line: &[u8],
    focus: Focus,
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    on_stack(line, |room| {
        perform_in(room, host, Some(focus), clock, then)
    })
}

/// [`perform`] or [`follow`] in a room that is given, for all that is asked for or for what has come.
pub fn perform_in(
    room: Room<'_, '_>,
    host: &impl Machine,
    focus: Option<Focus>,
    clock: &dyn Fn() -> u64,
    then: &mut dyn FnMut(&Record<'_>) -> u8,
) -> u8 {
    let run = Run {
        root: host,
        hands: Some(host),
        line: room.line,
        focus,
        extent: Extent::Needed,
    };
    run.run(room, clock, then)
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
    /// As [`sriov::make`].
    fn make_virtual(&self, policy: &Policy<'_>, pf: Address, made: &mut AllMade) -> bool;
    /// As [`bind::apply`], and what comes before and after it where virtual functions are concerned.
    fn apply(
        &self,
        policy: &Policy<'_>,
        found: (&Inventory, &Plan),
        outcomes: &mut Outcomes,
    ) -> Option<Result<(), LoadError>>;
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

    fn make_virtual(&self, policy: &Policy<'_>, pf: Address, made: &mut AllMade) -> bool {
        sriov::make(self, policy, pf, made)
    }

    fn apply(
        &self,
        policy: &Policy<'_>,
        (inventory, plan): (&Inventory, &Plan),
        outcomes: &mut Outcomes,
    ) -> Option<Result<(), LoadError>> {
        if !policy.forbids_binding() {
            sriov::hold_back(self, policy, inventory, plan.focus);
        }
        let emptied = bind::apply(self, policy, inventory, plan, outcomes);
        if let Some(pf) = plan.focus {
            sriov::release_rest(self, (policy, inventory), pf, &outcomes.made);
        }
        emptied
    }
}

/// The list of modules of an image of initramfs-tools, or of a system that makes such images.
fn read_modules<'b>(root: &dyn Root, buffer: &'b mut [u8]) -> &'b [u8] {
    let mut lengths = MODULES
        .into_iter()
        .map(|file| root.read(file, buffer).map(<[u8]>::len));
    // Where there is none, it hands nothing to anybody.
    let length = lengths.find_map(Result::ok).unwrap_or(0);
    buffer.get(..length).unwrap_or_default()
}

/// What a run has to do with.
struct Run<'r, 'a> {
    root: &'r dyn Root,
    /// None where nothing is to be done.
    hands: Option<&'r dyn Hands>,
    line: &'a [u8],
    /// What it is about, where that is one function.
    focus: Option<Focus>,
    extent: Extent,
}

/// What came of loading modules.
#[derive(Default)]
struct Loaded {
    /// The driver of a virtio-iommu.
    iommu: Option<Result<(), LoadError>>,
    /// vfio-pci with an empty list of IDs.
    emptied: Option<Result<(), LoadError>>,
}

impl<'a> Run<'_, 'a> {
    fn run(
        mut self,
        room: Room<'_, 'a>,
        clock: &dyn Fn() -> u64,
        then: &mut dyn FnMut(&Record<'_>) -> u8,
    ) -> u8 {
        let Room {
            texts,
            policy,
            found,
            ..
        } = room;
        self.read(texts, policy);
        found.planning.plan.focus_on(self.focus);
        self.hands = self.hands.filter(|_| !policy.dry_run);
        let mut loaded = Loaded::default();
        let state = self.work(policy, found, &mut loaded);
        let advice = self.advice(state, found, &loaded);
        then(&Record {
            state,
            policy,
            inventory: &found.inventory,
            plan: &found.planning.plan,
            outcomes: &found.outcomes,
            emptied: loaded.emptied,
            iommu: Kind::of(self.root),
            groups: iommu::group_count(self.root),
            advice,
            elapsed_us: clock(),
        })
    }

    /// Reads the policy.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn read(&self, texts: &'a mut Texts, policy: &mut Policy<'a>) {
        let Self { root, line, .. } = *self;
        let protected = root.read(tree::PROTECTED, &mut texts.protected);
        let file = root.read(tree::POLICY, &mut texts.file);
        let modprobe = &mut texts.modprobe;
        modprobe.read(root, &mut texts.part);
        let modules = read_modules(root, &mut texts.modules);
        modprobe.cut |= modules.len() == MODULES_LEN;
        policy.fill(&Sources {
            modprobe: Some(modprobe),
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
    }

    /// Does what the policy asks for; how it ended.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn work(&self, policy: &mut Policy<'_>, found: &mut Found, loaded: &mut Loaded) -> State {
        if self.is_crash_kernel() {
            return State::CrashKernel;
        }
        if policy.off {
            if let Some(hands) = self.hands.filter(|_| policy.handed.any()) {
                loaded.emptied = hands.without_ids(policy);
            }
            return State::Off;
        }
        if !policy.asks() && !policy.handed.any() {
            return State::NothingAsked;
        }
        let Found {
            inventory,
            planning,
            outcomes,
        } = found;
        if self.look(policy, inventory).is_err() || inventory.is_empty() {
            return State::NoPci;
        }
        loaded.iommu = self.hands.and_then(|hands| hands.load_driver(inventory));
        resolve::resolve(policy, self.root, inventory);
        presence::look(policy, inventory);
        self.plan(policy, inventory, planning);
        let made = &mut outcomes.made;
        sriov::look(self.root, (policy, inventory, &planning.plan), made);
        if let (Some(hands), Some(focus)) = (self.hands, self.focus)
            && inventory.has_groups()
            && hands.make_virtual(policy, focus.function, made)
        {
            inventory.clear();
            if self.look(policy, inventory).is_err() {
                return State::NoPci;
            }
            self.plan(policy, inventory, planning);
        }
        let plan = &mut planning.plan;
        if policy.auto {
            driver::choose(self.root, inventory, plan);
            if let Some(hands) = self.hands.filter(|_| inventory.has_groups()) {
                hands.load_variants(plan);
            }
        }
        for step in &plan.steps {
            inventory.find_way(self.root, step.function);
        }
        outcomes.rehearse(inventory, plan);
        if inventory.is_empty() {
            return State::NoPci;
        }
        if !inventory.has_groups() {
            return State::NoIommu;
        }
        match self.hands {
            Some(hands) => {
                loaded.emptied = hands.apply(policy, (inventory, plan), outcomes);
                State::Applied
            }
            None => State::DryRun,
        }
    }

    /// Plans, as often as that makes the kernel tell more.
    fn plan(&self, policy: &Policy<'_>, inventory: &mut Inventory, planning: &mut Planning) {
        if let Some(focus) = self.focus {
            planning.plan.own = Sriov::read(self.root, focus.function);
        }
        loop {
            // One that cannot be read is in no inventory, and has been told of.
            let _ = makers::look(self.root, policy, inventory);
            planning.make(policy, inventory);
            let made = |hands: &dyn Hands| hands.make_groups(inventory, &planning.plan);
            if !self.hands.is_some_and(made) {
                break;
            }
        }
    }

    /// Whether this kernel was started to save the memory of one that crashed: kexec tells it where that is
    /// (`elfcorehdr=`, or the device tree on Arm), and what it shows of it has the name of old.
    fn is_crash_kernel(&self) -> bool {
        parameters(self.line).any(|word| word.is("elfcorehdr")) || self.root.exists("proc/vmcore")
    }

    fn look(&self, policy: &mut Policy<'_>, inventory: &mut Inventory) -> Result<(), Errno> {
        inventory.timing = ready::timing(self.root);
        match self.extent {
            Extent::Needed => reach::look(self.root, policy, inventory),
            Extent::Whole => survey::scan(self.root, inventory),
        }
    }

    /// What would turn an IOMMU on.
    fn advice(&self, state: State, found: &Found, loaded: &Loaded) -> Option<Advice> {
        if state != State::NoIommu {
            return None;
        }
        if loaded.iommu.is_some() {
            return Some(Advice::Virtio(loaded.iommu));
        }
        // There is one; why it is of no use has been told.
        if found.inventory.timing != GroupTiming::AtStart {
            return None;
        }
        if ready::idle_virtio_iommu(&found.inventory).is_some() {
            return Some(Advice::Virtio(None));
        }
        Some(Advice::of(self.root, self.line))
    }
}

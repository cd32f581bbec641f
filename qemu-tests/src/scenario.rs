//! What a scenario is. The tables are in [`crate::scenarios`].

mod run;

use std::borrow::Cow;

use crate::architecture::Architecture;
use crate::machine::{self, Board, Device, Iommu, Machine};
use crate::protocol::{AgentOrder, Orders, Step};
use crate::report::Fate;
pub use run::Run;

/// The label of the snapshot before the agent's first run.
pub const BEFORE: &str = "before the agent";
/// The label of the snapshot after the native drivers came.
pub const NATIVES: &str = "after the native drivers";

/// The kernel that has vfio-pci built in; all others have it as a module.
pub const BUILT_IN: &str = "built-in";
/// The modules of the few native drivers that [`BUILT_IN`] has (qemu-tests/kernel/built-in.config).
const BUILT_IN_NATIVES: [&str; 3] = ["bochs", "snd_hda_intel", "nvme"];
/// Those drivers, and the one that is part of it.
const BUILT_IN_DRIVERS: [&str; 4] = ["bochs-drm", "snd_hda_intel", "nvme", "serial"];

/// The test module whose driver takes `address=` and never returns from its remove function.
pub const STALL: &str = "vfio_bind_stall";
/// The newest kernel that Debian's testing release packages.
pub const NEWEST: &str = "newest";

/// The test module with a vfio driver for the model of [`machine::NVME`]; its driver is called alike.
pub const VARIANT: &str = "vfio_bind_variant";

/// A boot, and what must be true of it.
///
/// What a scenario does not mention must not happen: a device without an outcome ends up with its
/// native driver, the agent's record lists no function that the scenario does not, and nothing
/// but the functions it lists is written to.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// As on `xtask qemu-test`'s command line.
    pub name: Cow<'static, str>,
    /// One sentence.
    pub proves: Cow<'static, str>,
    /// What the owner of the machine added to the kernel's command line.
    pub cmdline: Cow<'static, str>,
    /// What the machine is made of.
    pub board: Board,
    /// The machine's IOMMU.
    pub iommu: Iommu,
    /// Whether EFI firmware starts it.
    pub efi: bool,
    /// On a machine whose slots are those of its root ports.
    pub own_slots: bool,
    /// A test module in the image besides what is preloaded.
    pub test_module: Option<&'static str>,
    /// The driver of what is taken.
    pub driver: &'static str,
    /// Whether all of it happens in the kernel that starts once the first one has crashed.
    pub crashes: bool,
    /// A piece of what the agent said as the first process, where it is seen that it is gone.
    pub said_first: Option<&'static str>,
    /// Modules that are loaded before the agent runs, with their parameters.
    pub preload: Vec<&'static str>,
    /// Modules that are left out of the image.
    pub without: &'static [&'static str],
    /// The kernel that it is about, where it is about one: a packaged version or [`BUILT_IN`].
    pub kernel: Option<&'static str>,
    /// Functions that the kernel itself gave to vfio-pci and that the agent leaves there.
    pub kernels: &'static [&'static str],
    /// Files of the image: place and text.
    pub files: Vec<(&'static str, &'static str)>,
    /// Modules that are loaded after the agent's runs and before the native drivers, with their
    /// parameters.
    pub later: &'static [&'static str],
    /// What the image says that its system boots from; none where it says nothing.
    pub list: Option<&'static str>,
    /// The agent's runs, in order.
    pub runs: Vec<Run>,
    /// Functions that are VFIO's in the end, but in a group that native siblings block.
    pub unusable: &'static [&'static str],
    /// Values of `vfio_pci.ids=` to compare with the kernel, instead of everything else.
    pub ids: Vec<String>,
}

impl Scenario {
    /// A scenario with one run, on a machine whose IOMMU is on.
    #[must_use]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        proves: impl Into<Cow<'static, str>>,
        cmdline: impl Into<Cow<'static, str>>,
        run: Run,
    ) -> Self {
        Self {
            name: name.into(),
            proves: proves.into(),
            cmdline: cmdline.into(),
            board: Board::Pc,
            iommu: Iommu::Intel,
            efi: false,
            own_slots: false,
            test_module: None,
            driver: "vfio-pci",
            crashes: false,
            said_first: None,
            preload: Vec::new(),
            without: &[],
            kernel: None,
            kernels: &[],
            files: Vec::new(),
            later: &[],
            list: Some(""),
            runs: vec![run],
            unusable: &[],
            ids: Vec::new(),
        }
    }

    /// On a machine with another IOMMU.
    #[must_use]
    pub fn iommu(mut self, iommu: Iommu) -> Self {
        self.iommu = iommu;
        self
    }

    /// On a machine whose slots are those of its root ports.
    #[must_use]
    pub fn with_own_slots(mut self) -> Self {
        self.own_slots = true;
        self
    }

    /// With a test module in the image.
    #[must_use]
    pub fn with_module(mut self, module: &'static str) -> Self {
        self.test_module = Some(module);
        self
    }

    /// With another driver than vfio-pci for what is taken.
    #[must_use]
    pub fn driver(mut self, driver: &'static str) -> Self {
        self.driver = driver;
        self
    }

    /// On a machine with two cards more, where bus numbers have moved.
    #[must_use]
    pub fn with_more_cards(mut self) -> Self {
        self.board = Board::PcWithMoreCards;
        self
    }

    /// On a machine with a disk that makes virtual functions.
    #[must_use]
    pub fn with_pf(mut self) -> Self {
        self.board = Board::PcWithPf;
        self
    }

    /// In the kernel that starts once the first one has crashed.
    #[must_use]
    pub fn in_crash_kernel(mut self) -> Self {
        self.crashes = true;
        self
    }

    /// With this said by the agent as the first process, which has left nothing running.
    #[must_use]
    pub fn said_first(mut self, piece: &'static str) -> Self {
        self.said_first = Some(piece);
        self
    }

    /// With modules loaded before the agent runs.
    #[must_use]
    pub fn preload(mut self, modules: &[&'static str]) -> Self {
        self.preload = modules.to_vec();
        self
    }

    /// With modules left out of the image.
    #[must_use]
    pub fn without(mut self, modules: &'static [&'static str]) -> Self {
        self.without = modules;
        self
    }

    /// On an IBM Z, with this packaged kernel.
    #[must_use]
    pub fn on_z(mut self, kernel: &'static str) -> Self {
        (self.board, self.iommu, self.kernel) = (Board::Z, Iommu::Zpci, Some(kernel));
        self
    }

    /// On a machine whose firmware sets up a framebuffer, with this packaged kernel.
    #[must_use]
    pub fn framebuffer(mut self, kernel: &'static str) -> Self {
        (self.board, self.efi, self.kernel) = (Board::PcWithScreen, true, Some(kernel));
        self
    }

    /// With vfio-pci built into the kernel.
    #[must_use]
    pub fn built_in(mut self) -> Self {
        self.kernel = Some(BUILT_IN);
        self
    }

    /// With functions that the kernel itself gave to vfio-pci and that the agent leaves there.
    #[must_use]
    pub fn left_to_kernel(mut self, addresses: &'static [&'static str]) -> Self {
        self.kernels = addresses;
        self
    }

    /// With a file in the image.
    #[must_use]
    pub fn file(mut self, place: &'static str, text: &'static str) -> Self {
        self.files.push((place, text));
        self
    }

    /// With a file in the image's modprobe.d.
    #[must_use]
    pub fn modprobe(self, text: &'static str) -> Self {
        self.file("etc/modprobe.d/scenario.conf", text)
    }

    /// With modules that somebody else loads once the agent is done.
    #[must_use]
    pub fn later(mut self, modules: &'static [&'static str]) -> Self {
        self.later = modules;
        self
    }

    /// In an image that does not say what its system boots from.
    #[must_use]
    pub fn without_list(mut self) -> Self {
        self.list = None;
        self
    }

    /// With functions that are bound but not usable once the native drivers are there.
    #[must_use]
    pub fn unusable(mut self, addresses: &'static [&'static str]) -> Self {
        self.unusable = addresses;
        self
    }

    /// With one more run.
    #[must_use]
    pub fn then(mut self, run: Run) -> Self {
        self.runs.push(run);
        self
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let mut machine = self.board.machine(self.iommu);
        if self.kernel == Some(BUILT_IN) {
            machine.natives = &BUILT_IN_NATIVES;
        }
        if self.own_slots {
            machine.with_own_slots()
        } else {
            machine
        }
    }

    /// What it runs on.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        self.board.architecture()
    }

    /// Whether its kernel makes IOMMU groups only when a driver is first probed: Linux before 6.15,
    /// where tables of the firmware describe the IOMMU.
    #[must_use]
    pub fn has_late_groups(&self) -> bool {
        matches!(self.iommu, Iommu::Smmu | Iommu::Virtio) && self.kernel != Some(NEWEST)
    }

    /// Whether it is looked at who holds the memory of the screen.
    #[must_use]
    pub fn looks_at_memory(&self) -> bool {
        self.board == Board::PcWithScreen
    }

    /// The driver that a device has in the end where nobody else wants it; none where the kernel lacks it.
    #[must_use]
    pub fn native(&self, device: &Device) -> Option<&'static str> {
        let is_there = self.kernel != Some(BUILT_IN) || BUILT_IN_DRIVERS.contains(&device.native);
        (is_there && !device.native.is_empty()).then_some(device.native)
    }

    /// What becomes of the function at `address` in the end, by the last run that says.
    #[must_use]
    pub fn outcome(&self, address: &str) -> Option<Fate> {
        let all = self.runs.iter().flat_map(|run| &run.outcomes);
        all.filter(|(other, _)| *other == address)
            .map(|(_, outcome)| *outcome)
            .next_back()
    }

    /// The functions that are VFIO's in the end, in the machine's order.
    #[must_use]
    pub fn taken(&self) -> Vec<&'static str> {
        let machine = self.machine();
        machine
            .all_devices()
            .map(|device| device.address)
            .filter(|a| self.outcome(a).is_some_and(Fate::is_vfio))
            .collect()
    }

    /// Whether a function that was taken can be used in the end: not beside a native sibling.
    #[must_use]
    pub fn is_usable(&self, address: &str) -> bool {
        !self.unusable.contains(&address)
    }

    /// The test module that it needs, built for the kernel that boots.
    #[must_use]
    pub fn needs(&self) -> Option<&'static str> {
        let stalls = self.preload.iter().any(|module| module.starts_with(STALL));
        self.test_module.or(stalls.then_some(STALL))
    }

    /// What the guest has to do.
    #[must_use]
    pub fn orders(&self) -> Orders {
        let load = |modules: &[&str]| Step::Load(modules.iter().map(|m| (*m).to_owned()).collect());
        let mut steps = Vec::new();
        if !self.preload.is_empty() {
            steps.push(load(&self.preload));
        }
        steps.extend(self.said_first.map(|_| Step::Inherit));
        steps.push(Step::Snapshot(BEFORE.to_owned()));
        if !self.ids.is_empty() {
            steps.push(Step::CompareIds(self.ids.clone()));
        }
        let memory = || {
            self.looks_at_memory()
                .then(|| Step::Memory(machine::GPU.to_owned()))
        };
        steps.extend(memory());
        for run in &self.runs {
            let switches = run.switched.iter();
            steps.extend(switches.map(|(slot, on)| Step::Switch((*slot).to_owned(), *on)));
            steps.extend(run.before().map(Step::Snapshot));
            let (label, cmdline) = (run.label.clone(), run.cmdline.clone());
            let arguments = run.arguments.iter().map(|word| (*word).to_owned());
            steps.push(Step::Agent(AgentOrder {
                label: label.clone(),
                cmdline,
                arguments: arguments.collect(),
                place: run.place,
            }));
            steps.push(Step::Snapshot(label));
        }
        steps.extend(memory());
        if !self.later.is_empty() {
            steps.push(load(self.later));
        }
        if self.ids.is_empty() {
            steps.push(load(self.machine().natives));
            steps.push(Step::Snapshot(NATIVES.to_owned()));
        }
        let taken = self.taken();
        if !taken.is_empty() {
            steps.push(Step::UseFunctions(
                taken.into_iter().map(str::to_owned).collect(),
            ));
        }
        Orders {
            scenario: self.name.clone().into_owned(),
            steps,
        }
    }
}

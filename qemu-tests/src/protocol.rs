//! What the host asks of a guest, and what the guest sends back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::bench::{Measured, Work};
use crate::function::Snapshot;

/// Where a guest finds its [`Orders`]: the host appends a second archive with this one file.
pub const ORDERS_PATH: &str = "/scenario.json";

/// Where a guest that crashes finds the kernel to start then.
pub const CRASH_KERNEL: &str = "/crash/kernel";
/// The image of [`CRASH_KERNEL`], with orders of its own.
pub const CRASH_IMAGE: &str = "/crash/image";

/// How a guest ends its machine: a second sign, which no text on the console can forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every step was carried out.
    Finished,
    /// A step could not be carried out.
    Broken,
}

impl End {
    /// QEMU's exit status after it.
    ///
    /// On x86 the guest writes to a debug-exit port, and on Arm it makes semihosting's exit call:
    /// never 0 or 1, so neither a crash of QEMU nor a reboot of the guest looks like it. An IBM Z
    /// is switched off, which is 0; there a panic makes QEMU fail.
    #[must_use]
    pub const fn status(self, architecture: Architecture) -> u8 {
        match (architecture, self) {
            (Architecture::S390x, Self::Finished) => 0,
            (Architecture::S390x, Self::Broken) => 1,
            (_, Self::Finished) => 0x55,
            (_, Self::Broken) => 0x2b,
        }
    }
}

/// The I/O port of the debug-exit device; QEMU's status is twice what is written to it, and one.
pub const EXIT_PORT: u16 = 0xf4;

/// The steps of one scenario, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The scenario's name, echoed in the verdict.
    pub scenario: String,
    /// What to do.
    pub steps: Vec<Step>,
}

/// One thing the guest does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Load modules with the image's own modprobe, each with the parameters behind its name.
    Load(Vec<String>),
    /// Record every PCI function.
    Snapshot(String),
    /// Record what lies in the memory of a function.
    Memory(String),
    /// Run the agent as an initramfs hook does.
    Agent(AgentOrder),
    /// Record what the initramfs left behind, on the real root file system.
    Inherit,
    /// Look which of these paths there are; at most 5 s for those that are still to come.
    Find(Vec<String>),
    /// Mount the file system that fills the NVMe disk at this address.
    Mount(String),
    /// Give the NIC at this address an IP address, and the default route.
    DefaultRoute(String),
    /// Run a program of the real root with the arguments behind its name.
    Run(String),
    /// Run a script of the real root by its shell, which ends at the first command that fails.
    Script(String),
    /// Switch this slot on or off.
    Switch(String, bool),
    /// Start udev as the init of a real root does, and wait until it has looked at everything.
    Udev,
    /// Have functions come or go, and wait until udev has nothing more to do.
    Change(Change),
    /// Crash, so that [`CRASH_KERNEL`] starts and carries out the rest.
    Crash,
    /// Use each of these functions through VFIO, from group to config region.
    UseFunctions(Vec<String>),
    /// For each `vfio_pci.ids=` value: what vfio-pci takes, and what the agent says it matches.
    CompareIds(Vec<String>),
    /// Measure, or make ready for that.
    Bench(Work),
}

/// Functions that come or go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Names it in the records.
    pub label: String,
    /// What is done.
    pub how: How,
    /// The functions that come of it, or go.
    pub functions: Vec<String>,
}

/// How functions come or go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// The host plugs in the card with this name.
    PlugIn(String),
    /// The host takes it out.
    TakeOut(String),
    /// They are written to their `remove`.
    Remove,
    /// The bus is looked at anew.
    Rescan,
    /// This module, which has some of them, is unloaded and loaded again.
    Reload(String),
    /// This function is told to make no virtual functions any more.
    Unmake(String),
}

/// One run of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOrder {
    /// Names the run in the records.
    pub label: String,
    /// Mounted over `/proc/cmdline` for this run; the kernel's own where absent.
    pub cmdline: Option<String>,
    /// What is given to it.
    pub arguments: Vec<String>,
    /// Where it is started; as a hook is where absent.
    pub place: Option<Place>,
}

/// An odd place to start a program in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// As process 1 of a PID namespace, with everything else as it is: `unshare -pf`.
    Namespace,
    /// The same, with mounts and a /proc of its own: `unshare -mpf --mount-proc`.
    Container,
    /// In a mount namespace where sysfs cannot be written to.
    ReadOnly,
    /// As an ordinary user.
    User,
    /// The same, who may start no process.
    UserAlone,
    /// In a directory with nothing but the agent.
    Chroot,
    /// Without standard descriptors, SIGCHLD ignored, no arguments at all, in a directory that is gone.
    Destitute,
    /// With as many open files as it is given anyway.
    NoFiles,
    /// With room for eight files, and 4 MiB of address space.
    Narrow,
}

/// One thing the guest saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// The guest's first words: the kernel's release.
    Booted(String),
    /// A module was asked for.
    Loaded(Loaded),
    /// Every PCI function at one moment.
    Snapshot(Snapshot),
    /// What lies in the memory of a function.
    Memory(Memory),
    /// A run of the agent.
    AgentRun(AgentRun),
    /// What the initramfs left behind.
    Inherited(Inherited),
    /// Those of the paths that were there.
    Found(Vec<String>),
    /// A run of a program or a script of the real root.
    Ran(Ran),
    /// What came of functions that came or went.
    Changed(Changed),
    /// A function used through VFIO.
    Used(Used),
    /// One `vfio_pci.ids=` value, by kernel and agent.
    IdsCase(IdsCase),
    /// A program, measured.
    Measured(Measured),
    /// The last record, exactly one.
    Verdict(Verdict),
}

/// What lies in the memory of a function, as `/proc/iomem` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The lines below those of the function, as they are: `c0000000-c02fffff : efifb`.
    pub inside: Vec<String>,
    /// The platform devices that are framebuffers, as `efi-framebuffer.0 DRIVER`.
    pub framebuffers: Vec<String>,
}

/// How loading a module went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The name given to modprobe.
    pub module: String,
    /// Empty, or what modprobe said.
    pub error: String,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It exited with this status.
    Exited(i32),
    /// It was ended by this signal.
    Signalled(i32),
    /// It was still running after this many seconds, and was killed.
    TimedOut(u64),
    /// It could not be started.
    NotStarted(String),
}

/// What one run of the agent did, as seen from outside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// From the order.
    pub label: String,
    /// How it ended.
    pub ending: Ending,
    /// Wall-clock milliseconds from spawn to reap.
    pub elapsed_ms: u64,
    /// `/run/vfio-bind/report.json` as found, if this run left one.
    pub report: Option<String>,
    /// Its lines in the kernel log, without the kernel's own prefix.
    pub log: Vec<String>,
    /// What it printed, on both of its outputs.
    pub output: Vec<String>,
    /// Writes into sysfs that inotify saw while it ran, in order, as `ADDRESS/FILE` or
    /// `drivers/NAME/FILE`. Files of drivers that appeared during the run are not watched.
    pub writes: Vec<String>,
    /// The processes of the agent that are there when it has ended and were not before, as `PID STATE`.
    pub left: Vec<String>,
}

/// What an initramfs left behind for the real root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// `/run/vfio-bind/report.json`, where it is there.
    pub report: Option<String>,
    /// What the agent kept of the policy of its image, and behind it of the list of what is protected.
    pub kept: String,
    /// The agent's lines in the kernel log, without the kernel's own prefix.
    pub log: Vec<String>,
    /// The modules in the kernel.
    pub modules: Vec<String>,
    /// The processes of the agent that are still there, as `PID STATE`.
    pub agents: Vec<String>,
}

/// What one run of a program of the real root did, as seen from outside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// From the order.
    pub command: String,
    /// How it ended.
    pub ending: Ending,
    /// What it printed, on both of its outputs.
    pub output: Vec<String>,
    /// Writes into sysfs that inotify saw while it ran, as in [`AgentRun`].
    pub writes: Vec<String>,
    /// Every `report.json` below `/run/vfio-bind` afterwards, by its path from there.
    pub records: BTreeMap<String, String>,
    /// Empty, or why the file system of [`Step::Mount`] stores nothing afterwards.
    pub disk: String,
}

/// What came of functions that came or went, as seen from outside the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// From the order.
    pub label: String,
    /// Programs of ours that others started meanwhile and that have ended, by the kernel's own accounting.
    pub started: usize,
    /// The processes of the agent that are still there, as `PID STATE`.
    pub left: Vec<String>,
    /// The rules that the agent has written for udev, where it has.
    pub rules: Option<String>,
    /// Every `report.json` below `/run/vfio-bind`, by its path from there.
    pub records: BTreeMap<String, String>,
    /// The agent's lines in the kernel log since then, without the kernel's own prefix.
    pub log: Vec<String>,
    /// The functions that nvme was given meanwhile, by its own word in the kernel log.
    pub offered: Vec<String>,
}

/// A function used through VFIO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The function.
    pub address: String,
    /// `group`, `cdev` or `group and cdev`: the interfaces that were used.
    pub through: String,
    /// Vendor and device as read through VFIO's config region, `vvvv:dddd`; empty on error.
    pub ids: String,
    /// Empty, or the call that failed.
    pub error: String,
}

/// One `vfio_pci.ids=` value as the kernel and as the agent understand it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdsCase {
    /// The place of the value in the order.
    pub index: usize,
    /// Empty, or why the kernel refused to load vfio-pci with it.
    pub refused: String,
    /// What vfio-pci took, sorted.
    pub kernel: Vec<String>,
    /// What the agent matched, sorted; or why that could not be told.
    pub agent: Result<Vec<String>, String>,
}

/// The guest's own account of the run. Whether what it saw was right is the host's to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// From the orders.
    pub scenario: String,
    /// Empty, or the step that could not be carried out and why.
    pub broken: String,
}

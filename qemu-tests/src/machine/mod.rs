//! The machines that scenarios run on.

mod board;
mod hotplug;
mod pc;
mod virt;
mod virtual_functions;
mod z;

use crate::architecture::Architecture;
pub use board::Board;
pub use hotplug::{HOT_CARD, HOT_CARD_AUDIO, HOT_DISK, HOT_NIC, HOT_PF, HOT_VF, with_ports};
pub use pc::*;
pub use virtual_functions::{PF, VF};
pub use z::{Z_NET, Z_RANDOM, Z_TWIN};

/// Something that a scenario knows to be in the machine, without asking the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// `0000:42:00.0`, as the firmware of the machine numbers it.
    pub address: &'static str,
    /// What a person would call it.
    pub name: &'static str,
    /// `1234:1111:1af4:1100`: vendor, device, subsystem vendor and device.
    pub ids: &'static str,
    /// `038000`: base class, subclass and interface.
    pub class: &'static str,
    /// The driver that has it once every module of [`Machine::natives`] is loaded; empty where none wants it.
    pub native: &'static str,
}

/// On every kernel command line, for emulation is slow: mitigations cost a third of what user space does, and
/// nearly half of the instructions of a start are tests that the kernel's cryptography makes of itself.
const QUICK: [&str; 2] = ["mitigations=off", "cryptomgr.notests"];

const fn device(
    address: &'static str,
    name: &'static str,
    ids: &'static str,
    class: &'static str,
    native: &'static str,
) -> Device {
    Device {
        address,
        name,
        ids,
        class,
        native,
    }
}

/// The graphics function of a card, which has [`audio`] beside it.
const fn graphics(address: &'static str, name: &'static str) -> Device {
    device(address, name, "1234:1111:1af4:1100", "038000", "bochs-drm")
}

/// The audio function of a card.
const fn audio(address: &'static str) -> Device {
    let ids = "8086:2668:1af4:1100";
    device(address, "its audio", ids, "040300", "snd_hda_intel")
}

/// A disk.
const fn disk(address: &'static str) -> Device {
    device(
        address,
        "NVMe disk",
        "1b36:0010:1af4:1100",
        "010802",
        "nvme",
    )
}

/// A serial card; its driver is part of Debian's kernels.
const fn serial(address: &'static str) -> Device {
    device(
        address,
        "serial card",
        "1b36:0002:1af4:1100",
        "070002",
        "serial",
    )
}

/// A source of random numbers; its driver is part of Debian's kernels since 6.12.
const fn random(address: &'static str) -> Device {
    let ids = "1af4:1005:1af4:0004";
    device(address, "random numbers", ids, "00ff00", "virtio-pci")
}

/// How a machine's IOMMU meets the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Iommu {
    /// Intel's, switched on.
    #[default]
    Intel,
    /// Intel's, there but switched off on the kernel's command line.
    IntelOff,
    /// AMD's, which kernels use by themselves.
    Amd,
    /// That of virtual machines, whose driver is a module.
    Virtio,
    /// Arm's SMMU, version 3.
    Smmu,
    /// IBM Z's: every function that the machine has is behind one.
    Zpci,
    /// None in the machine.
    Absent,
}

/// The parts that the devices of a machine play in the scenarios that run on every machine.
#[derive(Clone, Copy, Debug)]
pub struct CoreDevices {
    /// The functions of a card, which share a group: all that it has but bridges.
    pub card: &'static [&'static str],
    /// Vendor and device of its first function.
    pub ids: &'static str,
    /// The functions of another card of the same make, in another group.
    pub twin: &'static [&'static str],
    /// The native drivers of [`CoreDevices::card`], in its order.
    pub drivers: &'static [&'static str],
    /// Functions whose driver is part of the kernel, at least in newer ones.
    pub in_kernel: &'static [&'static str],
    /// The modules of all these drivers.
    pub modules: &'static [&'static str],
}

/// Who plays what where the cards are [`graphics`] with [`audio`].
const fn with_graphics(
    card: &'static [&'static str],
    twin: &'static [&'static str],
    in_kernel: &'static [&'static str],
) -> CoreDevices {
    CoreDevices {
        card,
        ids: "1234:1111",
        twin,
        drivers: &["bochs-drm", "snd_hda_intel"],
        in_kernel,
        modules: &["bochs", "snd_hda_intel", "virtio_pci"],
    }
}

/// A card that can be plugged into a running machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// How host and guest call it.
    pub name: &'static str,
    /// Each of its functions as the kernel sees it, with the words of QEMU's `-device`. The first is added
    /// last: a slot is looked at when its function 0 comes.
    pub functions: &'static [(Device, &'static str)],
}

/// A machine for QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it runs, and what is emulated.
    pub architecture: Architecture,
    /// Everything but accelerator, kernel, images and console.
    pub arguments: Vec<&'static str>,
    /// What belongs on the kernel's command line on this machine.
    pub kernel_parameters: Vec<&'static str>,
    /// Its endpoints.
    pub devices: Vec<Device>,
    /// The modules of their native drivers.
    pub natives: &'static [&'static str],
    /// What can be plugged in while it runs.
    pub cards: &'static [Card],
    /// Whether it falls asleep, and is woken.
    pub sleeps: bool,
    /// Virtual functions that can be made while it runs.
    pub virtual_functions: &'static [Device],
}

impl Machine {
    /// The same machine without hot-plug by ACPI: its slots are the root ports' own, under the number
    /// in their capability.
    #[must_use]
    pub fn with_own_slots(mut self) -> Self {
        let switch = "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off";
        self.arguments.extend(["-global", switch]);
        self
    }

    /// The card that is called so.
    #[must_use]
    pub fn card(&self, name: &str) -> Option<Card> {
        self.cards.iter().find(|card| card.name == name).copied()
    }

    /// Its devices, those that can be made among them.
    pub fn all_devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().chain(self.virtual_functions)
    }

    /// The device at `address`.
    #[must_use]
    pub fn device(&self, address: &str) -> Option<Device> {
        self.all_devices()
            .find(|device| device.address == address)
            .copied()
    }
}

impl Iommu {
    /// What the agent's record calls it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Intel => "intel",
            Self::Amd => "amd",
            Self::Virtio => "virtio",
            Self::Smmu => "smmuv3",
            Self::Zpci => "s390",
            Self::IntelOff | Self::Absent => "none",
        }
    }
}

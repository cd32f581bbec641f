//! Boots in which functions come and go under a real udev: that of the real root, or of the initramfs.

use crate::machine::{
    GPU, GPU_AUDIO, HOT_CARD, HOT_CARD_AUDIO, HOT_DISK, HOT_NIC, HOT_PF, HOT_VF, Iommu, Machine,
    TWIN, TWIN_AUDIO, with_ports,
};
use crate::protocol::{Change, How, Orders, Step};
use crate::scenario::NATIVES;

/// What has a function that the policy asks for.
const VFIO: &str = "vfio-pci";
/// What a virtual function ends with that nvme is offered and refuses: it has no memory yet, which its owner
/// would have to give it.
pub(crate) const REFUSED: &str = "none";

/// The modules of the real root besides those of VFIO.
pub const MODULES: [&str; 3] = ["e1000e", "nvme", "snd_hda_intel"];
/// What the script in the image finds on the command line: a card and its first function.
pub const EARLY: &str = "test.plug=";
/// The same, for a module that is loaded before.
pub const LOADED: &str = "test.load=";

/// A boot, and what must be true of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// A word for it.
    pub name: &'static str,
    /// One sentence.
    pub proves: &'static str,
    /// What the owner of the machine puts on the kernel's command line.
    pub asked: &'static str,
    /// Whether our module is in the image.
    pub ours: bool,
    /// The card that is plugged in while the udev of the initramfs runs, if one is.
    pub early: Option<&'static str>,
    /// Whether its slots are those of its root ports, as with Thunderbolt, and not ACPI's.
    pub own_slots: bool,
    /// The modules that are loaded before anything comes.
    pub loaded: &'static [&'static str],
    /// Whether no native driver may have touched what is bound.
    pub untouched: bool,
    /// What is done in the real root, in order.
    pub stages: &'static [Stage],
}

/// Functions that come or go, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Names it.
    pub label: &'static str,
    /// What is done.
    pub what: What,
    /// The functions that come, each with its driver in the end; or that go, with none.
    pub ends: &'static [(&'static str, Option<&'static str>)],
    /// The least and the most processes of the agent that are started for it.
    pub started: (usize, usize),
}

/// How functions come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The host plugs in a card.
    PlugIn(&'static str),
    /// The host takes it out.
    TakeOut(&'static str),
    /// They are written to their `remove`.
    Remove,
    /// The bus is looked at anew.
    Rescan,
    /// A native driver is unloaded, and loaded again. nvme leaves the virtual functions where they are.
    Reload(&'static str),
    /// A function unmakes its virtual functions, as most drivers have it do when they are unloaded.
    Unmake(&'static str),
}

const fn stage(
    label: &'static str,
    what: What,
    ends: &'static [(&'static str, Option<&'static str>)],
    started: (usize, usize),
) -> Stage {
    Stage {
        label,
        what,
        ends,
        started,
    }
}

const NONE: (usize, usize) = (0, 0);
const ONE: (usize, usize) = (1, 1);
/// A process for each function of a card, or one for both.
const CARD: (usize, usize) = (1, 2);

/// One for each event of what makes virtual functions: it comes, it has its driver, it has made them.
const MAKER: (usize, usize) = (1, 3);

const NIC_NATIVE: &[(&str, Option<&str>)] = &[(HOT_NIC, Some("e1000e"))];
const NIC_TAKEN: &[(&str, Option<&str>)] = &[(HOT_NIC, Some(VFIO))];
const NIC_GONE: &[(&str, Option<&str>)] = &[(HOT_NIC, None)];
const DISK_NATIVE: &[(&str, Option<&str>)] = &[(HOT_DISK, Some("nvme"))];
const DISK_TAKEN: &[(&str, Option<&str>)] = &[(HOT_DISK, Some(VFIO))];
const DISK_GONE: &[(&str, Option<&str>)] = &[(HOT_DISK, None)];
const CARD_NATIVE: &[(&str, Option<&str>)] = &[
    (HOT_CARD, Some("e1000e")),
    (HOT_CARD_AUDIO, Some("snd_hda_intel")),
];
const CARD_TAKEN: &[(&str, Option<&str>)] = &[(HOT_CARD, Some(VFIO)), (HOT_CARD_AUDIO, Some(VFIO))];
const PARTS_TAKEN: &[(&str, Option<&str>)] = &[
    (HOT_PF, Some("nvme")),
    (HOT_VF[0], Some(VFIO)),
    (HOT_VF[1], Some(VFIO)),
    (HOT_VF[2], Some(VFIO)),
    (HOT_VF[3], Some(VFIO)),
];
const SOME_TAKEN: &[(&str, Option<&str>)] = &[
    (HOT_PF, Some("nvme")),
    (HOT_VF[0], Some(VFIO)),
    (HOT_VF[1], Some(REFUSED)),
    (HOT_VF[2], Some(VFIO)),
    (HOT_VF[3], Some(REFUSED)),
];
const UNMADE: &[(&str, Option<&str>)] = &[
    (HOT_VF[0], None),
    (HOT_VF[1], None),
    (HOT_VF[2], None),
    (HOT_VF[3], None),
];
const PARTS_GONE: &[(&str, Option<&str>)] = &[
    (HOT_PF, None),
    (HOT_VF[0], None),
    (HOT_VF[1], None),
    (HOT_VF[2], None),
    (HOT_VF[3], None),
];
const CARD_GONE: &[(&str, Option<&str>)] = &[(HOT_CARD, None), (HOT_CARD_AUDIO, None)];

/// All of them.
#[rustfmt::skip]
pub const CASES: [Case; 10] = [
    Case {
        name: "without-us",
        proves: "without us the native drivers have all that comes: the test's test",
        asked: "vfio.bind=0000:03:00.0,0000:05:00.0",
        ours: false,
        early: Some("nic"),
        own_slots: false,
        loaded: &[],
        untouched: false,
        stages: &[
            stage("a card", What::PlugIn("card"), CARD_NATIVE, NONE),
            stage("the card is gone", What::TakeOut("card"), CARD_GONE, NONE),
            stage("the card again", What::PlugIn("card"), CARD_NATIVE, NONE),
            stage("a NIC is removed", What::Remove, NIC_GONE, NONE),
            stage("a NIC is found again", What::Rescan, NIC_NATIVE, NONE),
        ],
    },
    Case {
        name: "not-loaded",
        proves: "what comes is bound where no driver is loaded for it, and nobody starts for the rest",
        asked: "vfio.bind=0000:03:00.0",
        ours: true,
        early: None,
        own_slots: false,
        loaded: &[],
        untouched: true,
        stages: &[
            stage("a NIC", What::PlugIn("nic"), NIC_TAKEN, ONE),
            stage("a disk", What::PlugIn("disk"), DISK_NATIVE, NONE),
            stage("a card", What::PlugIn("card"), CARD_NATIVE, NONE),
        ],
    },
    Case {
        name: "loaded",
        proves: "what comes is taken from a driver that is loaded, each time that it comes",
        asked: "vfio.bind=0000:03:00.0,0000:04:00.0",
        ours: true,
        early: None,
        own_slots: false,
        loaded: &["e1000e"],
        untouched: false,
        stages: &[
            stage("a NIC", What::PlugIn("nic"), NIC_TAKEN, ONE),
            stage("a disk", What::PlugIn("disk"), DISK_TAKEN, ONE),
            stage("the NIC is gone", What::TakeOut("nic"), NIC_GONE, NONE),
            stage("the NIC again", What::PlugIn("nic"), NIC_TAKEN, ONE),
            stage("the disk is removed", What::Remove, DISK_GONE, NONE),
            stage("the disk is found again", What::Rescan, DISK_TAKEN, ONE),
        ],
    },
    Case {
        name: "card",
        proves: "a card of two functions that come at once, in a slot of PCI Express, is bound as a whole",
        asked: "vfio.bind=0000:05:00.0",
        ours: true,
        early: None,
        own_slots: true,
        loaded: &[],
        untouched: false,
        stages: &[
            stage("a card", What::PlugIn("card"), CARD_TAKEN, CARD),
            stage("the card is gone", What::TakeOut("card"), CARD_GONE, NONE),
            stage("the card again", What::PlugIn("card"), CARD_TAKEN, CARD),
        ],
    },
    Case {
        name: "by-id",
        proves: "all of an ID is asked for: what comes is bound, and its driver, which is loaded, never has it",
        asked: "vfio.bind=8086:10d3",
        ours: true,
        early: None,
        own_slots: false,
        loaded: &["e1000e"],
        untouched: true,
        stages: &[
            stage("a NIC", What::PlugIn("nic"), NIC_TAKEN, (0, 1)),
            stage("a disk", What::PlugIn("disk"), DISK_NATIVE, NONE),
        ],
    },
    Case {
        name: "virtual",
        proves: "virtual functions are made and bound by runs for what makes them, and start none themselves",
        asked: "vfio.sriov=06:00.0:4 vfio.bind=vf:06:00.0",
        ours: true,
        early: None,
        own_slots: false,
        loaded: &[],
        untouched: true,
        stages: &[
            stage("a maker", What::PlugIn("maker"), PARTS_TAKEN, MAKER),
            stage("the maker is gone", What::TakeOut("maker"), PARTS_GONE, NONE),
            stage("the maker again", What::PlugIn("maker"), PARTS_TAKEN, MAKER),
        ],
    },
    Case {
        name: "reload",
        proves: "virtual functions that are asked for come back when their maker's driver does, the rest is native",
        asked: "vfio.sriov=06:00.0:4 vfio.bind=vf:06:00.0#0,2",
        ours: true,
        early: None,
        own_slots: false,
        loaded: &[],
        untouched: true,
        stages: &[
            stage("a maker", What::PlugIn("maker"), SOME_TAKEN, MAKER),
            stage("its driver again", What::Reload("nvme"), SOME_TAKEN, (0, 3)),
            stage("they are unmade", What::Unmake(HOT_PF), UNMADE, NONE),
            stage("its driver makes them again", What::Reload("nvme"), SOME_TAKEN, MAKER),
        ],
    },
    Case {
        name: "nothing-asked",
        proves: "where nothing is asked for there are no rules, and nobody starts for what comes",
        asked: "",
        ours: true,
        early: None,
        own_slots: false,
        loaded: &[],
        untouched: false,
        stages: &[
            stage("a NIC", What::PlugIn("nic"), NIC_NATIVE, NONE),
            stage("a card", What::PlugIn("card"), CARD_NATIVE, NONE),
        ],
    },
    Case {
        name: "early",
        proves: "what comes under the udev of the initramfs is bound, and stays so in the real root",
        asked: "vfio.bind=0000:03:00.0",
        ours: true,
        early: Some("nic"),
        own_slots: false,
        loaded: &[],
        untouched: true,
        stages: &[stage("a card", What::PlugIn("card"), CARD_NATIVE, NONE)],
    },
    Case {
        name: "early-loaded",
        proves: "the same where its driver is loaded before it comes",
        asked: "vfio.bind=0000:03:00.0",
        ours: true,
        early: Some("nic"),
        own_slots: false,
        loaded: &["e1000e"],
        untouched: false,
        stages: &[stage("a card", What::PlugIn("card"), CARD_NATIVE, NONE)],
    },
];

impl Case {
    /// The machine that boots it.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let machine = with_ports(Iommu::Intel);
        if self.own_slots {
            machine.with_own_slots()
        } else {
            machine
        }
    }

    /// The kernel's parameters of a boot: the owner's, and what the script in the image acts upon.
    #[must_use]
    pub fn cmdline(&self) -> String {
        let mut words = self.asked.to_owned();
        let cards = self.early.and_then(|name| self.machine().card(name));
        if let Some((card, (first, _))) =
            cards.and_then(|card| Some((card, *card.functions.first()?)))
        {
            for module in self.loaded {
                words += &format!(" {LOADED}{module}");
            }
            words += &format!(" {EARLY}{}@{}", card.name, first.address);
        }
        words
    }

    /// The functions that come in the initramfs, each with its driver in the end.
    #[must_use]
    pub fn early_ends(&self) -> Vec<(&'static str, &'static str)> {
        let card = self.early.and_then(|name| self.machine().card(name));
        let functions = card.map_or(&[][..], |card| card.functions);
        let end = |(device, _): &(crate::machine::Device, _)| {
            let taken = self.ours && self.asked.contains(device.address);
            (device.address, if taken { VFIO } else { device.native })
        };
        functions.iter().map(end).collect()
    }

    /// What is there from the start and must have these drivers in the end: nobody asks for it.
    #[must_use]
    pub fn others() -> [(&'static str, &'static str); 4] {
        [
            (GPU, "bochs-drm"),
            (GPU_AUDIO, "snd_hda_intel"),
            (TWIN, "bochs-drm"),
            (TWIN_AUDIO, "snd_hda_intel"),
        ]
    }

    /// The functions that are VFIO's in the end.
    #[must_use]
    pub fn used(&self) -> Vec<&'static str> {
        let early = self.early_ends().into_iter();
        let early = early.map(|(address, driver)| (address, Some(driver)));
        let all: Vec<_> = early
            .chain(
                self.stages
                    .iter()
                    .flat_map(|stage| stage.ends.iter().copied()),
            )
            .collect();
        let mut used: Vec<&str> = Vec::new();
        for (address, driver) in all {
            used.retain(|other| *other != address);
            if driver == Some(VFIO) {
                used.push(address);
            }
        }
        used
    }

    /// What is done in the real root.
    #[must_use]
    pub fn orders(&self, name: &str) -> Orders {
        let mut steps = vec![Step::Inherit, Step::Udev];
        if self.early.is_none() && !self.loaded.is_empty() {
            let modules = self.loaded.iter().map(|module| (*module).to_owned());
            steps.push(Step::Load(modules.collect()));
        }
        steps.push(Step::Snapshot(NATIVES.to_owned()));
        for stage in self.stages {
            let functions = stage.ends.iter().map(|(address, _)| (*address).to_owned());
            steps.push(Step::Change(Change {
                label: stage.label.to_owned(),
                how: stage.what.how(),
                functions: functions.collect(),
            }));
            steps.push(Step::Snapshot(stage.label.to_owned()));
        }
        let used: Vec<_> = self.used().into_iter().map(str::to_owned).collect();
        if !used.is_empty() {
            steps.push(Step::UseFunctions(used));
        }
        Orders {
            scenario: name.to_owned(),
            steps,
        }
    }
}

impl What {
    fn how(self) -> How {
        match self {
            Self::PlugIn(card) => How::PlugIn(card.to_owned()),
            Self::TakeOut(card) => How::TakeOut(card.to_owned()),
            Self::Remove => How::Remove,
            Self::Rescan => How::Rescan,
            Self::Reload(module) => How::Reload(module.to_owned()),
            Self::Unmake(function) => How::Unmake(function.to_owned()),
        }
    }
}

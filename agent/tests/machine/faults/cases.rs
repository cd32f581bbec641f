//! The machines, and what is asked of them.

use crate::support::{Card, FakeMachine, Trouble};

pub(super) const GPU: &str = "0000:42:00.0";
pub(super) const AUDIO: &str = "0000:42:00.1";

pub(super) const DISK: &str = "0000:01:00.0";
pub(super) const GROUP: u32 = 15;
pub(super) const TARGET: &str = "vfio-pci";
pub(super) const NATIVE: [(&str, &str); 2] = [(GPU, "bochs-drm"), (AUDIO, "snd_hda_intel")];

/// Behind the root port of the GPU, in a group of its own; only where groups are not there yet.
pub(super) const NEIGHBOUR: &str = "0000:43:00.0";
pub(super) const NEIGHBOURS_DRIVER: &str = "e1000e";
/// Behind another root port, without a driver; only there, too.
pub(super) const STRANGER: &str = "0000:51:00.0";
pub(super) const GPUS_BRIDGES: &str = "0000:40/0000:40:01.0/0000:41:00.0";

/// A machine and what is asked of it.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The drivers of the GPU and of its audio function; empty for none.
    pub(super) drivers: [&'static str; 2],
    /// Their overrides.
    pub(super) overrides: [&'static str; 2],
    /// Whether vfio-pci is registered from the beginning.
    pub(super) loaded: bool,
    pub(super) trouble: fn() -> Trouble,
    pub(super) options: &'static str,
    pub(super) wanted: &'static [&'static str],
    /// Whether a run without a fault does what is asked.
    pub(super) succeeds: bool,
    pub(super) groups: Groups,
}

/// When the kernel makes the IOMMU groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Groups {
    /// Before the agent looks.
    There,
    /// With the first driver that is probed for a function. The neighbour's native driver is there.
    WithDriver,
    /// The same, but not before the IOMMU has its own driver, and that native driver comes later.
    WithIommu,
}

const PLAIN: Case = Case {
    name: "nothing is bound",
    drivers: ["", ""],
    overrides: ["", ""],
    loaded: false,
    trouble: Trouble::default,
    options: "",
    wanted: &[GPU, AUDIO],
    succeeds: true,
    groups: Groups::There,
};

const NATIVES: [&str; 2] = [NATIVE[0].1, NATIVE[1].1];

pub(super) const CASES: &[Case] = &[
    PLAIN,
    Case {
        name: "native drivers have both",
        drivers: NATIVES,
        ..PLAIN
    },
    Case {
        name: "a native driver has the sibling",
        drivers: ["", NATIVES[1]],
        ..PLAIN
    },
    Case {
        name: "vfio-pci has both",
        drivers: [TARGET; 2],
        overrides: [TARGET; 2],
        loaded: true,
        ..PLAIN
    },
    Case {
        name: "vfio-pci has one, a native driver the other",
        drivers: [TARGET, NATIVES[1]],
        loaded: true,
        ..PLAIN
    },
    Case {
        name: "vfio-pci is loaded and has nothing",
        loaded: true,
        ..PLAIN
    },
    Case {
        name: "somebody else's overrides",
        drivers: ["", NATIVES[1]],
        overrides: ["pci-stub", NATIVES[1]],
        ..PLAIN
    },
    Case {
        name: "vfio-pci is not in the image",
        drivers: NATIVES,
        trouble: Trouble::no_module,
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "vfio-pci is not in the image and nothing is bound",
        trouble: Trouble::no_module,
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "vfio-pci refuses the sibling",
        drivers: NATIVES,
        trouble: || Trouble::probe_refuses(AUDIO),
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "the GPU's driver never lets go",
        drivers: NATIVES,
        trouble: || Trouble::stuck(GPU),
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "only the GPU is listed",
        drivers: [NATIVES[0], ""],
        options: " vfio.group=listed",
        wanted: &[GPU],
        ..PLAIN
    },
];

pub(super) const UNGROUPED: &[Case] = &[
    Case {
        name: "groups come with a driver",
        groups: Groups::WithDriver,
        ..PLAIN
    },
    Case {
        name: "groups come with a driver, which the GPU has, and somebody else's override",
        drivers: [NATIVES[0], ""],
        overrides: ["", NATIVES[1]],
        loaded: true,
        groups: Groups::WithDriver,
        ..PLAIN
    },
    Case {
        name: "the IOMMU waits for its driver",
        groups: Groups::WithIommu,
        ..PLAIN
    },
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnFail {
    Native,
    Hold,
}

pub(super) fn machine_of(case: &Case) -> FakeMachine {
    let [gpu, audio] = case.drivers;
    let on = |card: Card, driver: &str| {
        if driver.is_empty() {
            card
        } else {
            card.on(driver)
        }
    };
    let machine = FakeMachine::new(&[
        Card::new("0000:41:00.0", 0x1b36, 0x000c, 0x06_0400, GROUP)
            .on("pcieport")
            .bridge(),
        on(Card::new(GPU, 0x1234, 0x1111, 0x03_0000, GROUP), gpu),
        on(Card::new(AUDIO, 0x8086, 0x2668, 0x04_0300, GROUP), audio),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 3).on("nvme"),
    ])
    .with((case.trouble)());
    for (address, value) in [GPU, AUDIO].into_iter().zip(case.overrides) {
        if !value.is_empty() {
            machine.set_override(address, value);
        }
    }
    let machine = if case.groups == Groups::There {
        machine
    } else {
        without_groups(machine, case.groups)
    };
    if case.loaded {
        machine.with_vfio_pci()
    } else {
        machine
    }
}

fn without_groups(machine: FakeMachine, groups: Groups) -> FakeMachine {
    for card in [
        Card::new("0000:00:07.0", 0x1af4, 0x1057, 0x00_ff00, 7).on("virtio-pci"),
        Card::new(NEIGHBOUR, 0x8086, 0x10d3, 0x02_0000, 16),
        Card::new(STRANGER, 0x8086, 0x100e, 0x02_0000, 17),
    ] {
        machine.insert(&card);
    }
    for (address, bridges) in [
        (GPU, GPUS_BRIDGES),
        (AUDIO, GPUS_BRIDGES),
        (NEIGHBOUR, "0000:40/0000:40:01.0/0000:41:01.0"),
        (STRANGER, "0000:40/0000:40:02.0"),
    ] {
        machine.put_behind(address, bridges);
    }
    let machine = machine.with_late_groups("0000:00:07.0");
    if groups == Groups::WithIommu {
        return machine.with_idle_iommu();
    }
    machine.expect_native(NEIGHBOUR, NEIGHBOURS_DRIVER);
    machine
}

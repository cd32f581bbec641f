//! A system with systemd whose owner has enabled the units of the real root: what they do, and what
//! `systemctl --failed` shows.
//!
//! It is one Debian, booted in several ways ([`Boot`]) by two images: one has vfio-pci, the other has not.

use crate::machine::{GPU, GPU_AUDIO, Iommu, Machine, NVME, with_twin_disk};
use crate::protocol::{Orders, Step};
use crate::scenario::NATIVES;

/// The row.
pub const NAME: &str = "units";
/// One sentence.
pub const PROVES: &str = "the units of the real root finish what a boot could not, and fail where what is asked for is not so";
/// The units, as their owner enables them.
pub const ENABLED: [&str; 2] = ["vfio-bind-finish.service", "vfio-bind-verify.service"];
/// What is asked for, and what shares a group with it.
pub const ASKED: [&str; 3] = [GPU, GPU_AUDIO, NVME];
/// The script that looks, when both units are done.
const LOOK: &str = "/root/look.sh";

/// A boot of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// All is bound in the image, and stays so.
    Kept,
    /// The same, and the machine was asleep before the units look.
    Slept,
    /// One function is taken back by hand before they look.
    Lost,
    /// The image has no vfio-pci; the system has.
    Finished,
    /// The same, and a process has the display and a disk open.
    Used,
}

impl Boot {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Kept,
        Self::Slept,
        Self::Lost,
        Self::Finished,
        Self::Used,
    ];

    /// A word for it, which is on its kernel command line as well.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Slept => "slept",
            Self::Lost => "lost",
            Self::Finished => "finished",
            Self::Used => "used",
        }
    }

    /// Whether vfio-pci is in its image.
    #[must_use]
    pub fn image_has_vfio(self) -> bool {
        !matches!(self, Self::Finished | Self::Used)
    }

    /// The driver that one of [`ASKED`] has at the end: `none` for none.
    #[must_use]
    pub fn driver(self, address: &str) -> String {
        let native = || {
            let machine = machine();
            let device = machine.device(address);
            device.map_or("", |device| device.native).to_owned()
        };
        match self {
            Self::Used => native(),
            Self::Lost if address == GPU => "none".to_owned(),
            _ => "vfio-pci".to_owned(),
        }
    }

    /// Whether all that was asked for is so, and no unit fails.
    #[must_use]
    pub fn is_good(self) -> bool {
        !matches!(self, Self::Lost | Self::Used)
    }

    /// The kernel's parameters, besides those of the machine.
    #[must_use]
    pub fn cmdline(self) -> String {
        format!(
            "root=LABEL=root ro mitigations=off {SLOW} vfio.bind={GPU},{NVME} vfio.set={GPU}:{SET} \
             {WORD}{}",
            self.name()
        )
    }
}

/// An emulated display is slow to paint a console on: on a busy host the kernel takes that for a lockup.
const SLOW: &str = "drm_kms_helper.fbdev_emulation=0 watchdog_thresh=60";
/// What is made of the display before vfio-pci has it; QEMU's has 0.
const SET: &str = "d3cold_allowed=1";
/// What stands in front of a boot's name on its kernel command line.
const WORD: &str = "units.";

/// Files of the system, by their places.
#[must_use]
pub fn files() -> Vec<(&'static str, String)> {
    let unit = |boot: Boot, order: &str, service: &str| {
        format!(
            "[Unit]\nConditionKernelCommandLine={WORD}{}\n{order}\n\n[Service]\n{service}\n\n\
             [Install]\nWantedBy=multi-user.target\n",
            boot.name()
        )
    };
    let late = "After=multi-user.target\nBefore=vfio-bind-finish.service vfio-bind-verify.service";
    vec![
        (
            "etc/systemd/system/guest.service.d/units.conf",
            format!("[Unit]\nAfter={}\n", ENABLED.join(" ")),
        ),
        (
            "etc/systemd/system/take-back.service",
            unit(
                Boot::Lost,
                late,
                &format!(
                    "Type=oneshot\n\
                     ExecStart=/bin/sh -c 'echo {GPU} >/sys/bus/pci/drivers/vfio-pci/unbind'"
                ),
            ),
        ),
        (
            "etc/systemd/system/sleep.service",
            unit(
                Boot::Slept,
                late,
                "Type=oneshot\nExecStart=/bin/sh -e /root/sleep.sh",
            ),
        ),
        ("root/sleep.sh", SLEEP.to_owned()),
        (
            "etc/systemd/system/hold.service",
            unit(
                Boot::Used,
                "Description=Something that uses a display and a disk",
                "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -e /root/hold.sh",
            ),
        ),
        (
            "root/hold.sh",
            HOLD.replace("GPU", GPU).replace("NVME", NVME),
        ),
        (
            LOOK.trim_start_matches('/'),
            LOOK_TEXT
                .replace("UNITS", &ENABLED.join(" "))
                .replace("FINISH", ENABLED[0])
                .replace("GPU", GPU),
        ),
    ]
}

/// The units of [`files`] that are enabled as well.
pub const HELPERS: [&str; 3] = ["take-back.service", "sleep.service", "hold.service"];

/// The kernel's own tests of suspend, each of which takes all devices down and up again, in 5 s
/// (Documentation/power/basic-pm-debugging.rst). From a real `mem` this machine does not wake.
const SLEEP: &str = "\
for test in freezer devices platform; do
    echo $test >/sys/power/pm_test
    echo freeze >/sys/power/state
done
echo devices >/sys/power/pm_test
echo mem >/sys/power/state
echo none >/sys/power/pm_test
";

/// Opens a display and a disk, and stays.
const HOLD: &str = "\
for _ in $(seq 300); do
    card=$(ls /sys/bus/pci/devices/GPU/drm 2>/dev/null | grep '^card' || :)
    disk=$(ls /sys/bus/pci/devices/NVME/nvme/*/ 2>/dev/null | grep '^nvme.*n1$' || :)
    [ -n \"$card\" ] && [ -c \"/dev/dri/$card\" ] && [ -n \"$disk\" ] && [ -b \"/dev/$disk\" ] && break
    sleep 0.2
done
exec 3<\"/dev/dri/$card\" 4<\"/dev/$disk\"
systemd-notify --ready
exec sleep infinity
";

/// Prints `UNIT: PROPERTY=VALUE ...` of both units, what failed, and what the first one said.
const LOOK_TEXT: &str = "\
for unit in UNITS; do
    echo \"$unit: $(systemctl show -p ConditionResult -p Result $unit | sort | tr '\\n' ' ')\"
done
systemctl list-units --failed --plain --no-legend | while read -r unit rest; do echo \"failed: $unit\"; done
up=$(systemctl show -p ActiveEnterTimestampMonotonic --value multi-user.target)
began=$(systemctl show -p InactiveExitTimestampMonotonic --value FINISH)
[ \"$up\" -gt 0 ] && [ \"$up\" -le \"$began\" ] && echo 'delayed nothing'
echo \"d3cold_allowed: $(cat /sys/bus/pci/devices/GPU/d3cold_allowed)\"
echo \"suspended: $(cat /sys/power/suspend_stats/success)\"
journalctl --sync
journalctl -b -o cat -u FINISH | sed 's/^/said: /'
";

/// What is looked at in each boot.
#[must_use]
pub fn orders() -> Orders {
    Orders {
        scenario: NAME.to_owned(),
        steps: vec![
            Step::Inherit,
            Step::Snapshot(NATIVES.to_owned()),
            Step::Script(LOOK.to_owned()),
        ],
    }
}

/// The machine.
#[must_use]
pub fn machine() -> Machine {
    with_twin_disk(Iommu::Intel)
}

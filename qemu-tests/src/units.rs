//! A system with systemd whose owner has enabled the units of the real root: what they do, and what
//! `systemctl --failed` shows.
//!
//! It is one Debian, booted in several ways ([`Boot`]) by two images: one has vfio-pci, the other has not.

use crate::machine::{GPU, GPU_AUDIO, Iommu, Machine, NVME, with_twin_disk};
use crate::plug::Ask;
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
/// What tells the state of the functions.
const STATE: &str = "/root/state.sh";
/// Where vfio-bind-metrics.service writes. The system's disk is mounted for reading only, and this is not.
const METRICS: &str = "/var/lib/prometheus/node-exporter";
/// What makes the folder.
const METRICS_FOLDER: &str = "var/lib/prometheus/node-exporter/.keep";

/// A boot of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// All is bound in the image, and stays so.
    Kept,
    /// The same, and the machine was asleep before the units look: first as the kernel tests it, then in earnest.
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
            let machine = self.machine();
            let device = machine.device(address);
            device.map_or("", |device| device.native).to_owned()
        };
        match self {
            Self::Used => native(),
            Self::Lost if address == GPU => "none".to_owned(),
            _ => "vfio-pci".to_owned(),
        }
    }

    /// The override of one of [`ASKED`] at the end: `(null)` for none, as the kernel shows it.
    fn driver_override(self) -> &'static str {
        match self {
            Self::Used => "(null)",
            _ => "vfio-pci",
        }
    }

    /// What the script says of one of [`ASKED`]: [`SET`] counts where it is bound.
    #[must_use]
    pub fn state(self, address: &str) -> String {
        let (reset_method, d3cold_allowed) = match (address, self) {
            (NVME, Self::Used) => ("flr bus", 1),
            (NVME, _) => ("bus", 1),
            (GPU, Self::Used) => ("bus", 0),
            (GPU, _) => ("bus", 1),
            _ => ("none", 0),
        };
        format!(
            "{address}: {}, driver_override {}, reset_method {reset_method}, d3cold_allowed {d3cold_allowed}",
            self.driver(address),
            self.driver_override()
        )
    }

    /// How often it was asleep, by the kernel's count, and how often in earnest.
    #[must_use]
    pub fn slept(self) -> (usize, usize) {
        match self {
            Self::Slept => (5, 1),
            _ => (0, 0),
        }
    }

    /// The machine.
    #[must_use]
    pub fn machine(self) -> Machine {
        Machine {
            sleeps: self == Self::Slept,
            ..with_twin_disk(Iommu::Intel)
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
            "root=LABEL=root ro {SLOW} vfio.bind={GPU},{NVME} {} {WORD}{}",
            SET.map(|(function, value)| format!("vfio.set={function}:{value}"))
                .join(" "),
            self.name()
        )
    }
}

/// An emulated display is slow to paint a console on: on a busy host the kernel takes that for a lockup.
const SLOW: &str = "drm_kms_helper.fbdev_emulation=0 watchdog_thresh=60";
/// What is made of functions before vfio-pci has them; QEMU's display has 0, its disk `flr bus`.
const SET: [(&str, &str); 2] = [(GPU, "d3cold_allowed=1"), (NVME, "reset_method=bus")];
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
        (
            STATE.trim_start_matches('/'),
            STATE_TEXT.replace("ASKED", &ASKED.join(" ")),
        ),
        (
            "root/sleep.sh",
            SLEEP
                .replace("STATE", STATE)
                .replace("WAKE", &Ask::Wake.to_string()),
        ),
        (
            "etc/systemd/system/hold.service",
            unit(
                Boot::Used,
                "Description=Something that uses a display and a disk",
                "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -e /root/hold.sh",
            ),
        ),
        (METRICS_FOLDER, String::new()),
        (
            "root/hold.sh",
            HOLD.replace("GPU", GPU).replace("NVME", NVME),
        ),
        (
            LOOK.trim_start_matches('/'),
            LOOK_TEXT
                .replace("UNITS", &ENABLED.join(" "))
                .replace("FINISH", ENABLED[0])
                .replace("METRICS", METRICS)
                .replace("STATE", STATE),
        ),
    ]
}

/// The units of [`files`] that are enabled as well.
pub const HELPERS: [&str; 3] = ["take-back.service", "sleep.service", "hold.service"];

/// The kernel's own tests of suspend, each of which takes all devices down and up again, in 5 s
/// (Documentation/power/basic-pm-debugging.rst); and then suspend to RAM, until the host wakes the machine.
const SLEEP: &str = "\
sh -e STATE 'before sleep' >/run/slept
for test in freezer devices platform; do
    echo $test >/sys/power/pm_test
    echo freeze >/sys/power/state
done
echo devices >/sys/power/pm_test
echo mem >/sys/power/state
echo none >/sys/power/pm_test
echo deep >/sys/power/mem_sleep
echo '<1>WAKE' >/dev/kmsg
echo mem >/sys/power/state
sh -e STATE 'after sleep' >>/run/slept
";

/// Prints the state of each function that is asked for, with a word in front.
const STATE_TEXT: &str = "\
for function in ASKED; do
    cd /sys/bus/pci/devices/$function
    driver=$(readlink driver || echo none)
    reset=$([ ! -e reset_method ] || cat reset_method)
    echo \"$1: $function: ${driver##*/}, driver_override $(cat driver_override),\" \
        \"reset_method ${reset:-none}, d3cold_allowed $(cat d3cold_allowed)\"
done
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

/// Prints `UNIT: PROPERTY=VALUE ...` of both units, what failed, what became of the functions, what Prometheus is told
/// of them, how often the machine was asleep, and what the first unit said.
const LOOK_TEXT: &str = "\
for unit in UNITS; do
    echo \"$unit: $(systemctl show -p ConditionResult -p Result $unit | sort | tr '\\n' ' ')\"
done
systemctl list-units --failed --plain --no-legend | while read -r unit rest; do echo \"failed: $unit\"; done
up=$(systemctl show -p ActiveEnterTimestampMonotonic --value multi-user.target)
began=$(systemctl show -p InactiveExitTimestampMonotonic --value FINISH)
[ \"$up\" -gt 0 ] && [ \"$up\" -le \"$began\" ] && echo 'delayed nothing'
sh -e STATE 'in the end'
mount -t tmpfs metrics METRICS
systemctl start vfio-bind-metrics.service
sed -n 's/^vfio_bind_function_bound{address=\"\\([^\"]*\\)\".* \\([01]\\)$/metric: \\1 \\2/p' METRICS/vfio-bind.prom
[ ! -e /run/slept ] || cat /run/slept
echo \"suspended: $(cat /sys/power/suspend_stats/success)\"
echo \"woken: $(dmesg | grep -c 'Waking up from system sleep state S3')\"
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
            Step::UseFunctions(ASKED.map(str::to_owned).to_vec()),
        ],
    }
}

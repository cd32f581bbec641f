//! Every source that can hand IDs to vfio-pci, and a twin with those IDs that is to be left alone.

use crate::machine::{GPU, GPU_AUDIO, NVME};
use crate::scenario::{Run, Scenario};

/// The second card, by a word.
const NO_TWIN: &str = "vfio.bind=!0000:43:00.0";
const EMPTY: &str = "vfio-pci is loaded with an empty list, because its ids= would take 0000:4";

pub(super) fn scenarios() -> Vec<Scenario> {
    let card = || Run::new("agent").bound(&[GPU, GPU_AUDIO]).says(EMPTY);
    vec![
        Scenario::new(
            "ids-of-modprobe-split",
            "a list in modprobe.d that goes on in the middle of a word takes no excluded twin",
            NO_TWIN,
            card().bound(&[NVME]),
        )
        .modprobe("options vfio-pci ids=1b36:0010,12\\\n34:1111\n"),
        Scenario::new(
            "ids-of-modprobe-in-quotes",
            "nor does one in quotes, beside an install line whose script is not in the image",
            NO_TWIN,
            card().warning("`install vfio-pci /sbin/gpus.sh`: this is not run"),
        )
        .modprobe("options vfio-pci \"ids=1234:1111\"\ninstall vfio-pci /sbin/gpus.sh\n"),
        Scenario::new(
            "ids-behind-dashes",
            "nor does one behind `--`, where kmod reads on",
            "vfio.bind=0000:42:00.0 -- vfio_pci.ids=1234:1111",
            card().warning("`--`"),
        ),
        Scenario::new(
            "ids-of-modprobe-replaced",
            "nor does one that the policy file of the image replaces",
            "quiet",
            Run::new("agent").bound(&[NVME]).says(EMPTY),
        )
        .modprobe("options vfio-pci ids=1234:1111\n")
        .file("etc/vfio-bind/policy.conf", "vfio_pci.ids=1b36:0010\n"),
        Scenario::new(
            "ids-all-refused",
            "where nothing is bound, whoever loads vfio-pci next gives it no IDs",
            "vfio_pci.ids=1234:1111 vfio.bind=!1234:1111",
            Run::new("agent").empties(),
        )
        .later(&["vfio_pci"]),
        Scenario::new(
            "ids-of-initramfs-tools",
            "a list of modules with IDs counts, and initramfs-tools itself gives them to nobody then",
            NO_TWIN,
            card(),
        )
        .file("conf/modules", "vfio\nvfio_pci ids=1234:1111\n")
        .later(&["vfio", "vfio_pci ids=1234:1111"]),
    ]
}

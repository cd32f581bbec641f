//! A kernel with vfio-pci in it: `vfio_pci.ids=` is obeyed before any initramfs runs, and modprobe has
//! nothing to load.

use crate::machine::{GPU, GPU_AUDIO, NVME, SERIAL, TWIN, TWIN_AUDIO};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let without_twin = || {
        Run::new("agent")
            .outcome(Fate::Already, &[GPU])
            .bound(&[GPU_AUDIO])
            .refused(&[TWIN])
            .exit(1)
            .says("0000:43:00.0: refused: the policy leaves it alone, but vfio-pci had it before")
    };
    let all = vec![
        Scenario::new(
            "built-in-ids",
            "what the kernel itself gave to its built-in vfio-pci is kept, and gets its siblings",
            "vfio_pci.ids=1234:1111",
            Run::new("agent")
                .outcome(Fate::Already, &[GPU, TWIN])
                .bound(&[GPU_AUDIO, TWIN_AUDIO])
                .says("0000:42:00.0: on vfio-pci already")
                .says("0000:42:00.1: (none) -> vfio-pci"),
        ),
        Scenario::new(
            "built-in-card",
            "with vfio-pci built in a card and a function of a built-in driver are taken, a twin is not",
            "vfio.bind=0000:42:00.0,0000:00:02.0",
            Run::new("agent")
                .bound(&[GPU, GPU_AUDIO, SERIAL])
                .says("0000:00:02.0: serial -> vfio-pci"),
        ),
        Scenario::new(
            "built-in-modprobe",
            "ids= in modprobe.d counts although no kmod can hand it to a driver of the kernel",
            "",
            Run::new("agent").bound(&[NVME]),
        )
        .modprobe("options vfio-pci ids=1b36:0010\n"),
        Scenario::new(
            "built-in-off",
            "`off` leaves what the kernel itself gave to vfio-pci, and nothing else is done",
            "vfio_pci.ids=1234:1111 vfio.bind=off",
            Run::new("agent").state("off").says("off"),
        )
        .left_to_kernel(&[GPU, TWIN]),
        Scenario::new(
            "built-in-exclusion",
            "what the kernel itself gave to vfio-pci and the policy excludes stays there, and is told",
            "vfio_pci.ids=1234:1111 vfio.bind=!0000:43:00.0",
            without_twin(),
        )
        .left_to_kernel(&[TWIN]),
        Scenario::new(
            "built-in-protected",
            "so does what is protected",
            "vfio_pci.ids=1234:1111 vfio.protect=0000:43:00.0",
            without_twin(),
        )
        .left_to_kernel(&[TWIN]),
    ];
    all.into_iter().map(Scenario::built_in).collect()
}

//! Devices that already have a driver when the agent comes.

use crate::machine::{GPU, GPU_AUDIO, NVME, SERIAL};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let card = || Run::new("agent").bound(&[GPU, GPU_AUDIO]);
    vec![
        Scenario::new(
            "native-first",
            "functions that their native drivers already have are taken over",
            "vfio.bind=0000:42:00.0,0000:02:00.0",
            card()
                .bound(&[NVME])
                .says("bochs-drm")
                .says("snd_hda_intel"),
        )
        .preload(&["bochs", "snd_hda_intel", "nvme"]),
        Scenario::new(
            "native-in-kernel",
            "so is one whose driver is part of the kernel and came before any initramfs",
            "vfio.bind=0000:00:02.0",
            Run::new("agent").bound(&[SERIAL]).says("serial"),
        ),
        Scenario::new(
            "vfio-first",
            "vfio-pci may be loaded already, by the image's own configuration",
            "vfio.bind=0000:42:00.0",
            card(),
        )
        .preload(&["vfio_pci"]),
        Scenario::new(
            "repeated",
            "a second run finds everything done and writes nothing",
            "vfio.bind=0000:42:00.0",
            card(),
        )
        .then(Run {
            viable: vec![(GPU, true)],
            ..Run::new("second run")
                .outcome(Fate::Already, &[GPU, GPU_AUDIO])
                .quiet()
        }),
    ]
}

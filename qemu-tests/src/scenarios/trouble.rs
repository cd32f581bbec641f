//! Machines and images on which VFIO cannot be had.

use crate::machine::{GPU, GPU_AUDIO, Iommu};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let no_iommu = || Run::new("agent").state("no-iommu").refused(&[GPU]).exit(1);
    vec![
        Scenario::new(
            "iommu-off",
            "with the IOMMU off nothing is overridden, and the log names the parameter",
            "vfio.bind=0000:42:00.0",
            no_iommu().says("intel_iommu=off"),
        )
        .iommu(Iommu::IntelOff),
        Scenario::new(
            "iommu-absent",
            "nor on a machine without one: the log names the firmware's word and the parameter",
            "vfio.bind=0000:42:00.0 vfio.onfail=hold",
            no_iommu().says("VT-d").says("intel_iommu=on"),
        )
        .iommu(Iommu::Absent),
        Scenario::new(
            "no-vfio-native",
            "without vfio-pci in the image the native drivers get the card back",
            "vfio.bind=0000:42:00.0",
            Run::new("agent")
                .outcome(Fate::Returned, &[GPU, GPU_AUDIO])
                .exit(1)
                .says("vfio-pci"),
        )
        .without(&["vfio_pci"]),
        Scenario::new(
            "no-vfio-taken-native",
            "they get it back, too, where they had it already",
            "vfio.bind=0000:42:00.0",
            Run::new("agent")
                .outcome(Fate::Returned, &[GPU, GPU_AUDIO])
                .exit(1)
                .says("bochs-drm"),
        )
        .preload(&["bochs", "snd_hda_intel"])
        .without(&["vfio_pci"]),
        Scenario::new(
            "no-vfio-hold",
            "without vfio-pci and with `hold` no driver ever gets the card",
            "vfio.bind=0000:42:00.0 vfio.onfail=hold",
            Run::new("agent")
                .outcome(Fate::Held, &[GPU, GPU_AUDIO])
                .exit(1)
                .says("0000:42:00.0"),
        )
        .without(&["vfio_pci"]),
    ]
}

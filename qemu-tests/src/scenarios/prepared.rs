//! Functions that are made ready before they are lent.

use crate::machine::{GPU, GPU_AUDIO, NVME};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "prepared",
            "vfio.set= is so before vfio-pci comes, whether a driver had the function or not",
            "vfio.bind=0000:02:00.0,0000:42:00.0 vfio.set=0000:02:00.0:reset_method=bus,d3cold_allowed=0 \
             vfio.set=0000:42:00.*:d3cold_allowed=0",
            Run::new("agent")
                .bound(&[NVME, GPU, GPU_AUDIO])
                .sets(NVME, "reset_method", "bus")
                .sets(NVME, "d3cold_allowed", "0")
                .sets(GPU, "d3cold_allowed", "0")
                .sets(GPU_AUDIO, "d3cold_allowed", "0")
                .says("0000:02:00.0: reset_method is bus, was flr bus"),
        )
        .preload(&["nvme"]),
        Scenario::new(
            "prepared-in-vain",
            "what cannot be made ready goes back to its native driver, as it was",
            "vfio.bind=0000:02:00.0 vfio.set=0000:02:00.0:d3cold_allowed=0,reset_method=pm",
            Run::new("agent")
                .outcome(Fate::Returned, &[NVME])
                .exit(1)
                .says("0000:02:00.0: reset_method=pm: EINVAL; the kernel offers `flr bus`")
                .says("nvme has it again"),
        )
        .preload(&["nvme"]),
    ]
}

//! A driver that never lets go of its function.

use crate::machine::{GPU, GPU_AUDIO, TWIN, TWIN_AUDIO};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    // Five seconds for all the rest, in an emulated machine on a busy host.
    let stalled = || {
        Run::new("agent")
            .outcome(Fate::Failed, &[GPU])
            .exit(1)
            .time(10_000, 15_000)
            .says("0000:42:00.0: not bound: its driver did not let go within 10 s")
    };
    let preload = &["snd_hda_intel", "vfio_bind_stall address=0000:42:00.0"];
    vec![
        Scenario::new(
            "stalled-unbind",
            "a driver that never lets go costs 10 s: its group stays native, the boot goes on",
            "vfio.bind=0000:42:00.0",
            stalled().outcome(Fate::Returned, &[GPU_AUDIO]),
        )
        .preload(preload),
        Scenario::new(
            "stalled-unbind-hold",
            "nor does it cost more with `hold`, which takes the rest of the group nevertheless",
            "vfio.bind=0000:42:00.0 vfio.onfail=hold",
            stalled().outcome(Fate::Bound, &[GPU_AUDIO]),
        )
        .preload(preload)
        .unusable(&[GPU_AUDIO]),
        Scenario::new(
            "stalled-deadline",
            "a run that has less time than that gives everything back within it, and says so",
            "vfio.bind=0000:42:00.0,0000:43:00.0",
            Run::new("agent")
                .given(&["apply", "--within", "2"])
                .outcome(Fate::Failed, &[GPU])
                .outcome(Fate::Returned, &[GPU_AUDIO, TWIN, TWIN_AUDIO])
                .exit(1)
                .time(2_000, 7_000)
                .says("0000:43:00.0: not bound: no time was left"),
        )
        .preload(preload),
    ]
}

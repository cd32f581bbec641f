//! The agent as the first process of an image that knows nothing of it.

use crate::machine::{GPU, GPU_AUDIO};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let second = || Run {
        viable: vec![(GPU, true)],
        ..Run::new("agent")
            .outcome(Fate::Already, &[GPU, GPU_AUDIO])
            .quiet()
    };
    vec![
        Scenario::new(
            "first-process",
            "by rdinit= the work is done when the image's own init starts, which finds nothing mounted",
            "vfio.bind=0000:42:00.0 rdinit=/usr/bin/vfio-bind-agent",
            second(),
        ),
        Scenario::new(
            "first-process-stuck",
            "work that hangs there is ended after 90 s, before its /sys goes, and the boot goes on",
            "vfio.bind=0000:42:00.0 rdinit=/usr/bin/vfio-bind-agent sysctl.kernel.modprobe=/init",
            Run::new("agent").bound(&[GPU, GPU_AUDIO]),
        )
        .said_first("gave up after 90 s; what was set stays so"),
    ]
}

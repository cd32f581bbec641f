//! What is different on an IBM Z: no bridges, slots by function ID, power for each slot.

use crate::machine::{Z_NET, Z_RANDOM, Z_TWIN};
use crate::scenario::{Run, Scenario};

/// The slot of [`Z_NET`], which is called after its function ID.
const SLOT: &str = "00000008";
/// The slot of [`Z_RANDOM`].
const RANDOM_SLOT: &str = "0000000a";

pub(super) fn scenarios() -> Vec<Scenario> {
    let net = || Run::new("agent").bound(&[Z_NET]);
    let again = Run::new("run again")
        .bound(&[Z_NET])
        .after_switching(SLOT, false)
        .after_switching(SLOT, true);
    vec![
        Scenario::new(
            "z-slot",
            "a function ID, which is the name of a slot, names a function",
            "vfio.bind=slot:00000008",
            net(),
        ),
        Scenario::new(
            "z-power",
            "a slot that was switched off and on lost its override; another run takes it again",
            "vfio.bind=0001:00:00.0",
            net(),
        )
        .then(again.says("0001:00:00.0: virtio-pci -> vfio-pci")),
        Scenario::new(
            "z-off",
            "a slot that is off has no function, and the log says how to switch it on",
            "vfio.bind=slot:00000008,0002:00:00.0",
            Run::new("agent")
                .after_switching(SLOT, false)
                .bound(&[Z_TWIN])
                .exit(1)
                .warning("slot 00000008 is off")
                .says("echo 1 > /sys/bus/pci/slots/00000008/power"),
        ),
        Scenario::new(
            "z-late",
            "a slot that is switched on under a policy: what udev starts takes its function from a driver",
            "vfio.bind=0001:00:00.0,0003:00:00.0",
            Run::new("agent")
                .after_switching(RANDOM_SLOT, false)
                .bound(&[Z_NET])
                .exit(1)
                .says("0003:00:00.0 matches no function of this machine"),
        )
        .then(
            Run::new("udev")
                .given(&["udev", Z_RANDOM])
                .after_switching(RANDOM_SLOT, true)
                .bound(&[Z_RANDOM])
                .says("0003:00:00.0: virtio-pci -> vfio-pci"),
        ),
        Scenario::new(
            "z-path",
            "a path through bridges matches nothing where there are none, and is told",
            "vfio.bind=0000:00:01.0/00.0,0002:00:00.0",
            Run::new("agent")
                .bound(&[Z_TWIN])
                .exit(1)
                .says("0000:00:01.0/00.0 matches no function of this machine"),
        ),
        Scenario::new(
            "z-other-domain",
            "an address without its domain means domain 0, which nothing is in, and is told",
            "vfio.bind=00:00.0",
            Run::new("agent")
                .exit(1)
                .quiet()
                .says("vfio.bind=00:00.0 matches no function of this machine"),
        ),
    ]
    .into_iter()
    .map(|scenario| scenario.on_z("6.12"))
    .collect()
}

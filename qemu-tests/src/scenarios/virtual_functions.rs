//! Virtual functions, made while their maker keeps its native driver.

use crate::machine::{PF, VF};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let waits = "0000:03:00.0: 4 virtual functions are made once its native driver is there";
    let boot = || Run::new("agent").quiet();
    let late = || Run::new("for the disk").given(&["udev", PF]);
    let on = |name, proves, cmdline, first| {
        Scenario::new(name, proves, cmdline, first)
            .with_pf()
            .preload(&["nvme"])
    };
    vec![
        on(
            "vf-by-index",
            "virtual functions are made once their maker has its driver, and those of some indexes are bound",
            "vfio.sriov=03:00.0:4 vfio.bind=vf:03:00.0#0-1,3",
            boot().says(waits),
        )
        .then(
            late()
                .makes(PF)
                .bound(&[VF[0], VF[1], VF[3]])
                .says("0000:03:00.0: 4 virtual functions are made"),
        )
        .then(Run::new("once more").given(&["udev", PF]).traceless()),
        on(
            "vf-of-others",
            "what somebody else makes waits for a look at it, and none is made by itself",
            "vfio.bind=vf:slot:3",
            Run::new("agent").makes(PF),
        )
        .with_own_slots(),
        on(
            "vf-too-many",
            "more virtual functions than there can be are told, and none is made",
            "vfio.sriov=0000:00:06.0/00.0:5 vfio.bind=vf:03:00.0",
            boot().exit(1).says("are not made: it makes 4 at most"),
        )
        .then(
            late()
                .exit(1)
                .quiet()
                .says("are not made: it makes 4 at most"),
        ),
        on(
            "vf-maker-asked-for",
            "an ID that means the maker as well binds it, and so it makes none, which is told",
            "vfio.sriov=03:00.0:4 vfio.bind=03:00.*",
            Run::new("agent")
                .bound(&[PF])
                .exit(1)
                .says("are not made: it is asked for itself"),
        ),
        on(
            "vf-by-id",
            "an ID that virtual functions share with their maker takes them alone where that is protected",
            "vfio.sriov=03:00.0:2 vfio.bind=1b36:0010 vfio.protect=03:00.0,02:00.0",
            boot()
                .exit(1)
                .refused(&[crate::machine::NVME, PF])
                .says("2 virtual functions are made once its native driver is there"),
        )
        .then(
            late()
                .makes(PF)
                .exit(1)
                .refused(&[PF])
                .outcome(Fate::Bound, &[VF[0], VF[1]]),
        ),
    ]
}

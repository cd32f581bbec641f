//! Odd places that the agent is started in, by mistake or by somebody who only wants its help.

use crate::machine::{GPU, GPU_AUDIO};
use crate::protocol::Place;
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

/// What is asked there, with the exit status and a piece of the answer.
const ASKED: [(&[&str], i32, &str); 5] = [
    (&["plan"], 0, "2 functions would go to vfio-pci"),
    (&["--version"], 0, "vfio-bind-agent "),
    (&["--help"], 0, "usage: vfio-bind-agent"),
    (&["init"], 2, "init is for the first process of an image"),
    (&["what"], 2, "unknown argument `what`"),
];

/// What it says where it does nothing.
const NOT_OURS: &str = "this is not the machine's own root";

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut runs = Vec::new();
    for place in [Place::Namespace, Place::Container] {
        for (arguments, status, piece) in ASKED {
            let run = Run::new(&format!("{place:?}, {}", arguments.join(" ")));
            let run = run.given(arguments).from(place).exit(status);
            runs.push(run.prints(piece).recordless());
        }
        runs.push(refused(place).prints(NOT_OURS));
    }
    runs.push(refused(Place::Chroot).prints(NOT_OURS));
    runs.push(refused(Place::User).prints(NOT_OURS));
    runs.push(refused(Place::NoFiles).prints("open(/): EMFILE"));
    for place in [Place::User, Place::UserAlone] {
        let run = Run::new(&format!("{place:?}, plan")).given(&["plan"]);
        runs.push(run.from(place).prints(ASKED[0].2).recordless());
    }
    runs.push(
        Run::new("ReadOnly")
            .from(Place::ReadOnly)
            .outcome(Fate::Returned, &[GPU, GPU_AUDIO])
            .exit(1)
            .quiet()
            .says("EROFS"),
    );
    let bound = |place| Run::new(&format!("{place:?}")).from(place);
    runs.push(bound(Place::Destitute).bound(&[GPU, GPU_AUDIO]));
    let already = bound(Place::Narrow).outcome(Fate::Already, &[GPU, GPU_AUDIO]);
    runs.push(already.quiet());

    let first = runs.remove(0);
    let scenario = Scenario::new(
        "places",
        "as process 1 of a container, in a chroot, as a user it does nothing; poor and narrow it works",
        "vfio.bind=0000:42:00.0",
        first,
    );
    vec![
        runs.into_iter().fold(scenario, Scenario::then),
        Scenario::new(
            "crash-kernel",
            "in the kernel that saves the memory of one that crashed nothing is done",
            "vfio.bind=0000:42:00.0",
            Run::new("agent")
                .state("crash-kernel")
                .says("this kernel saves the memory of one that crashed"),
        )
        .in_crash_kernel(),
    ]
}

fn refused(place: Place) -> Run {
    Run::new(&format!("{place:?}"))
        .from(place)
        .exit(1)
        .recordless()
}

//! Runs in the real root, where disks are mounted and routes lead out: what each must do and leave.

use crate::machine::{GPU, GPU_AUDIO, Iommu, MOUNTED, Machine, NIC, NVME, with_twin_disk};
use crate::protocol::Step;
use crate::report::Fate::{self, Already, Bound, Refused};

/// What the boot was asked for: a card, and both disks by their ID. Its image has no list of what the
/// system boots from, so that no disk is taken then.
pub const ASKED: &str = "vfio.bind=0000:42:00.0,1b36:0010";
/// What the owner asks for later, in the policy file of the real root: the NIC that leads out by then.
pub const POLICY: &str = "vfio.bind=0000:01:01.0\n";
/// The modules of the real root besides those of VFIO: the drivers of the disks and of the NIC.
pub const MODULES: [&str; 2] = ["nvme", "e1000"];

/// A program with its arguments, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub struct Rerun {
    /// The words, and its name in the records.
    pub command: &'static str,
    /// The exit status.
    pub exit: i32,
    /// Pieces of what it must print, each anywhere in one line.
    pub says: &'static [&'static str],
    /// The functions that are VFIO's afterwards and were not before.
    pub takes: &'static [&'static str],
    /// What the record of its own says; nothing where it leaves none.
    pub outcomes: &'static [(&'static str, Fate)],
}

/// In this order, each after the last.
#[rustfmt::skip]
pub const RERUNS: [Rerun; 5] = [
    Rerun {
        command: "vfio-bind-agent",
        exit: 1,
        says: &["nothing is done; run `vfio-bind bind`"],
        takes: &[],
        outcomes: &[],
    },
    Rerun {
        command: "vfio-bind verify",
        exit: 1,
        says: &[
            "0000:42:00.0: on vfio-pci (vfio.bind=0000:42:00.0)",
            "WRONG: 0000:02:00.0: not on vfio-pci (vfio.bind=1b36:0010): nvme has it",
            "WRONG: 0000:01:01.0: refused (vfio.bind=0000:01:01.0)",
        ],
        takes: &[],
        outcomes: &[],
    },
    Rerun {
        command: "vfio-bind bind --dry-run",
        exit: 1,
        says: &[
            "-> vfio-pci (vfio.bind=1b36:0010)",
            "refused: 0000:03:00.0",
            "refused: 0000:01:01.0",
            "nothing was written",
        ],
        takes: &[],
        outcomes: &[],
    },
    Rerun {
        command: "vfio-bind bind",
        exit: 1,
        says: &["the record of this run is /run/vfio-bind/run-1/report.json"],
        takes: &[NVME],
        outcomes: &[
            (GPU, Already), (GPU_AUDIO, Already),
            (NVME, Bound), (MOUNTED, Refused),
            (NIC, Refused),
        ],
    },
    Rerun {
        command: "vfio-bind verify --root /",
        exit: 1,
        says: &[
            "0000:02:00.0: on vfio-pci (vfio.bind=1b36:0010)",
            "WRONG: 0000:03:00.0: refused (vfio.bind=1b36:0010)",
        ],
        takes: &[],
        outcomes: &[],
    },
];

/// The label of the snapshot before the first of them.
pub const IN_USE: &str = "disk and NIC in use";

/// The machine that they run on.
#[must_use]
pub fn machine() -> Machine {
    with_twin_disk(Iommu::Intel)
}

/// Puts disk and NIC to use, then runs all of them.
#[must_use]
pub fn steps() -> Vec<Step> {
    let modules = MODULES.map(str::to_owned).to_vec();
    let mut steps = vec![
        Step::Load(modules),
        Step::Mount(MOUNTED.to_owned()),
        Step::DefaultRoute(NIC.to_owned()),
        Step::Snapshot(IN_USE.to_owned()),
    ];
    for rerun in RERUNS {
        steps.push(Step::Run(rerun.command.to_owned()));
        steps.push(Step::Snapshot(rerun.command.to_owned()));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_speak_of_what_the_machine_has_and_what_was_asked() {
        let machine = machine();
        let twins = [NVME, MOUNTED].map(|address| machine.device(address).map(|disk| disk.ids));
        assert_eq!(twins, [Some("1b36:0010:1af4:1100"); 2]);
        assert!(ASKED.contains("1b36:0010") && POLICY.contains(NIC));
        for rerun in RERUNS {
            let bound = rerun
                .outcomes
                .iter()
                .filter(|(_, outcome)| *outcome == Bound);
            let bound: Vec<_> = bound.map(|(address, _)| *address).collect();
            assert_eq!(bound, rerun.takes, "{}", rerun.command);
        }
    }
}

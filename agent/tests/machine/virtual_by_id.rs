//! Virtual functions (VFs) by what makes them, where that is known by its ID or its class.

use crate::support::{Card, FakeMachine, Virtual, network};
use crate::taken::{Taken, follow, plan, take};

/// A NIC with two ports that make VFs of another ID, between one another's; a disk whose VFs have its ID and
/// its slot; a NIC that makes none.
const PORTS: [&str; 2] = ["0000:03:00.0", "0000:03:00.1"];
const DISK: &str = "0000:06:00.0";
const PLAIN: &str = "0000:05:00.0";

fn machine() -> FakeMachine {
    let disk = Virtual {
        offset: 1,
        stride: 1,
        ids: [0x1b36, 0x0010],
        class: 0x01_0802,
        native: Some("nvme"),
        ..network()
    };
    FakeMachine::new(&[
        Card::new(PORTS[0], 0x8086, 0x10c9, 0x02_0000, 7).on("igb"),
        Card::new(PORTS[1], 0x8086, 0x10c9, 0x02_0000, 8).on("igb"),
        Card::new(PLAIN, 0x8086, 0x10d3, 0x02_0000, 9).on("e1000e"),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 10).on("nvme"),
    ])
    .with_vfio_pci()
    .with_virtual(PORTS[0], network())
    .with_virtual(PORTS[1], network())
    .with_virtual(DISK, disk)
}

/// The runs that the events of the PFs start, in their order; all that they bound.
fn follow_all(machine: &FakeMachine, line: &str) -> (Vec<String>, Vec<Taken>) {
    let runs: Vec<_> = [PORTS[0], PORTS[1], DISK]
        .iter()
        .map(|pf| follow(machine, line, pf, true))
        .collect();
    let mut bound: Vec<_> = runs.iter().flat_map(|run| run.bound.clone()).collect();
    bound.sort();
    (bound, runs)
}

#[test]
fn those_of_every_pf_are_meant_and_never_a_pf() {
    const ALL: [&str; 6] = [
        "0000:04:10.0",
        "0000:04:10.1",
        "0000:04:10.2",
        "0000:04:10.3",
        "0000:06:00.1",
        "0000:06:00.2",
    ];
    for (bind, bound) in [
        ("vf:8086:10c9", &ALL[..4]),
        ("vf:8086:10c9#0", &ALL[..2]),
        ("vf:8086:*#1-7", &ALL[2..4]),
        ("vf:class:0200", &ALL[..4]),
        ("vf:1b36:0010", &ALL[4..]),
        ("vf:class:01#1", &ALL[5..]),
        ("vf:*:*", &ALL),
        ("vf:class:02#1,vf:1b36:0010#0", &ALL[2..5]),
        ("vf:8086:10c9,!vf:03:00.1", &[ALL[0], ALL[2]]),
        ("vf:03:00,!vf:8086:10c9#0", &ALL[2..4]),
        ("vf:class:02,!vf:class:02#0", &ALL[2..4]),
        // Behind an ID, an ID narrows: it is that of the PF, too.
        ("vf:class:02@8086:10c9#0", &ALL[..2]),
        ("vf:class:02@8086:10ca", &[]),
        // The ID of the VFs is that of no PF.
        ("vf:8086:10ca", &[]),
        ("vf:8086:10d3", &[]),
        // An exclusion that matches nothing may have meant anything.
        ("vf:8086:10c9,!vf:10de:1b80", &[]),
    ] {
        let machine = machine();
        let line = format!("vfio.sriov=8086:10c9:2 vfio.sriov=class:0108:2 vfio.bind={bind}");
        let (taken, runs) = follow_all(&machine, &line);
        assert_eq!(taken, bound, "{bind}: {}", runs[0].messages);
        for pf in [PORTS[0], PORTS[1], DISK, PLAIN] {
            assert_ne!(machine.driver(pf).as_deref(), Some("vfio-pci"), "{bind}");
        }
        for vf in ALL {
            let native = if vf.starts_with("0000:04") {
                "igbvf"
            } else {
                "nvme"
            };
            let expected = if bound.contains(&vf) {
                "vfio-pci"
            } else {
                native
            };
            assert_eq!(machine.driver(vf).as_deref(), Some(expected), "{bind} {vf}");
        }
        // Of all that is made each event of a PF finds its own done.
        machine.take_events();
        let (again, runs) = follow_all(&machine, &line);
        assert_eq!((again, machine.take_events()), (vec![], vec![]), "{bind}");
        assert!(runs.iter().all(|run| run.faults.is_empty()), "{bind}");
    }
}

/// What can be made is no mistake at boot, and what cannot is told.
#[test]
fn at_boot_they_wait_where_any_can_be_made() {
    for (bind, exit) in [
        ("vf:8086:10c9", 0),
        ("vf:class:02#7", 0),
        ("vf:*:*@1b36:0010", 0),
        // One of eight, no PF, a NIC that makes none, a PF of another ID.
        ("vf:class:02#8", 1),
        ("vf:10de:1b80", 1),
        ("vf:8086:10d3", 1),
        ("vf:class:02@1b36:0010", 1),
    ] {
        let machine = machine();
        let line = format!("vfio.bind={bind}");
        for taken in [plan(&machine, &line), take(&machine, &line)] {
            assert_eq!(taken.exit, exit, "{bind}: {}", taken.messages);
            let text = format!("vfio.bind={bind} matches no function of this machine");
            assert_eq!(taken.says(&text), exit == 1, "{bind}: {}", taken.messages);
            assert_eq!(taken.bound, [""; 0], "{bind}");
        }
    }
}

/// What others make is held back of those PFs alone that are meant.
#[test]
fn drivers_are_kept_off_what_is_meant() {
    for (line, held) in [
        ("vfio.bind=vf:8086:10c9", [true, true, false]),
        ("vfio.bind=vf:class:0108#3", [false, false, true]),
        ("vfio.bind=vf:class:02#8", [false; 3]),
        ("vfio.bind=vf:class:02@1b36:0010", [false; 3]),
        ("vfio.bind=8086:10d3,!vf:8086:10c9", [false; 3]),
        // What is made by this policy is held back when it is made.
        (
            "vfio.bind=vf:8086:10c9 vfio.sriov=03:00.1:2",
            [true, false, false],
        ),
    ] {
        let machine = machine();
        take(&machine, line);
        let is_held = |pf: &&str| machine.attribute(pf, "sriov_drivers_autoprobe") == "0";
        let seen = [PORTS[0], PORTS[1], DISK].map(|pf| is_held(&pf));
        assert_eq!(seen, held, "{line}");
    }
    let machine = machine();
    let line = "vfio.bind=vf:8086:10c9#1";
    take(&machine, line);
    machine.make_virtual(PORTS[1], 2);
    assert_eq!(machine.driver("0000:04:10.1"), None);
    assert_eq!(
        follow(&machine, line, PORTS[1], true).bound,
        ["0000:04:10.3"]
    );
    assert_eq!(machine.driver("0000:04:10.1").as_deref(), Some("igbvf"));
}

#[test]
fn what_is_protected_stays_and_what_is_set_is_set() {
    let machine = machine();
    let line = "vfio.sriov=03:00.0:3 vfio.bind=04:10.* vfio.protect=vf:8086:10c9#1 \
                vfio.set=vf:class:02#0,2:d3cold_allowed=0";
    let taken = follow(&machine, line, PORTS[0], true);
    // No attribute of that name is there, which shows that it was asked for.
    assert!(taken.says("0000:04:10.0: d3cold_allowed=0: there is no d3cold_allowed"));
    assert!(taken.says("0000:04:10.4: d3cold_allowed=0: there is no d3cold_allowed"));
    assert!(taken.says("0000:04:10.2: refused: 0000:04:10.2 of its IOMMU group is protected"));
    assert_eq!((&*taken.bound, taken.exit), (&[][..], 1));
}

/// udev starts a run for each PF that has the ID, and none for a VF; vfio-pci is never given the ID of a PF.
#[test]
fn rules_speak_of_what_makes_them() {
    let machine = machine();
    let line = "vfio.bind=vf:8086:10c9,vf:class:02@8086:*#0-3,7";
    let taken = take(&machine, line);
    for rule in [
        "ACTION==\"add|bind|change\", ENV{MODALIAS}==\"pci:v00008086d000010C9sv*sd*bc??sc??i??\", \
         TEST==\"sriov_totalvfs\", ENV{.vfio_bind}=\"1\"\nACTION",
        "ACTION==\"add|bind|change\", ENV{MODALIAS}==\"pci:v*d*sv*sd*bc02sc??i??\", \
         ENV{MODALIAS}==\"pci:v00008086d*sv*sd*bc??sc??i??\", TEST==\"sriov_totalvfs\", \
         ENV{.vfio_bind}=\"1\"\nACTION!=\"add\", GOTO=\"vfio_bind_run\"\nLABEL=\"vfio_bind_run\"\n",
    ] {
        assert!(taken.rules.contains(rule), "{rule}\n{}", taken.rules);
    }
    let events = machine.take_events();
    assert!(
        !events.iter().any(|event| event.contains("new_id")),
        "{events:?}"
    );
    // What shares the group of a lent VF would start one; that of its PF sees to all of them.
    machine.make_virtual(PORTS[0], 2);
    let taken = follow(&machine, line, PORTS[0], true);
    assert_eq!(taken.bound, ["0000:04:10.0", "0000:04:10.2"]);
    assert!(!taken.rules.contains("iommu_group"), "{}", taken.rules);
}

/// Where the kernel makes groups at the first probe, the machine is looked at anew in between.
#[test]
fn groups_that_come_late_are_no_hindrance() {
    let [port, ..] = PORTS;
    let machine = FakeMachine::new(&[
        Card::new("0000:00:07.0", 0x1af4, 0x1057, 0x08_0600, 1).on("virtio-pci"),
        Card::new(port, 0x8086, 0x10c9, 0x02_0000, 7).on("igb"),
    ])
    .with_vfio_pci()
    .with_virtual(
        port,
        Virtual {
            native: None,
            ..network()
        },
    );
    machine.make_virtual(port, 3);
    let machine = machine.with_late_groups("0000:00:07.0");
    let taken = take(&machine, "vfio.bind=vf:8086:10c9#0,2");
    assert_eq!(
        (&*taken.bound, taken.exit),
        (
            &["0000:04:10.0".to_owned(), "0000:04:10.4".to_owned()][..],
            0
        ),
        "{}",
        taken.messages
    );
    assert_eq!(machine.driver("0000:04:10.2"), None);
}

//! What is protected, a bridge as well, and what is behind one.

use crate::support::{Card, FakeMachine};
use crate::taken::{expect_untouched, take};

const BRIDGE: &str = "0000:03:08.0";
pub const NIC: &str = "0000:09:00.0";
pub const USB: &str = "0000:09:00.1";
pub const DISK: &str = "0000:05:00.0";
pub const TWIN: &str = "0000:06:00.0";
const OTHER: &str = "0000:07:00.0";

/// Two equal disks and another one, each behind a root port, and a switch of which one port shares
/// its group with what is behind it.
pub fn cards() -> Vec<Card> {
    vec![
        Card::new("0000:00:1c.0", 0x8086, 0x2000, 0x06_0400, 1).bridge_to(5, 5),
        Card::new("0000:00:1d.0", 0x8086, 0x2000, 0x06_0400, 2).bridge_to(6, 6),
        Card::new("0000:00:1e.0", 0x8086, 0x2000, 0x06_0400, 3).bridge_to(7, 7),
        Card::new(BRIDGE, 0x1022, 0x57a3, 0x06_0400, 21).bridge_to(9, 9),
        Card::new(DISK, 0x144d, 0xa808, 0x01_0802, 5).on("nvme"),
        Card::new(TWIN, 0x144d, 0xa808, 0x01_0802, 6).on("nvme"),
        Card::new(OTHER, 0x15b7, 0x5006, 0x01_0802, 7),
        Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 21),
        Card::new(USB, 0x1022, 0x149c, 0x0c_0330, 21),
    ]
}

pub fn machine_of(cards: &[Card]) -> FakeMachine {
    let machine = FakeMachine::new(cards);
    for (address, port) in [(DISK, "1c.0"), (TWIN, "1d.0"), (OTHER, "1e.0")] {
        machine.put_behind(address, &format!("0000:00/0000:00:{port}"));
    }
    machine
}

pub fn machine() -> FakeMachine {
    machine_of(&cards())
}

#[test]
fn a_protected_bridge_refuses_its_group_and_keeps_what_is_behind_it() {
    for line in [
        "vfio.bind=09:00.1 vfio.protect=03:08.0",
        "vfio.bind=09:00.1 vfio.group=listed vfio.protect=03:08.0",
        "vfio.bind=09:00.0,09:00.1 vfio.group=strict vfio.protect=1022:57a3",
        "vfio_pci.ids=1022:149c vfio.protect=class:0604",
        "vfio.bind=05:00.0 vfio.protect=00:1c.0",
        "vfio.bind=144d:a808,!06:00.0 vfio.protect=00:1c.0",
    ] {
        let machine = machine();
        let taken = take(&machine, line);
        assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{line}");
        expect_untouched(&machine, line);
        let forced = take(&machine, &format!("{line} vfio.force"));
        assert!(!forced.bound.is_empty(), "{line}");
    }
    let taken = take(&machine(), "vfio.bind=05:00.0,06:00.0 vfio.protect=00:1c.0");
    assert_eq!(taken.bound, [TWIN]);
    assert!(
        taken.says(
            "0000:05:00.0: refused: it is behind 0000:00:1c.0, which is protected; vfio.force takes \
             it all the same"
        ),
        "{}",
        taken.messages
    );
}

#[test]
fn behind_a_protected_bridge_means_at_any_depth_and_in_its_domain_alone() {
    let card = |address: &str, group| Card::new(address, 0x8086, 0x1572, 0x02_0000, group);
    let bridge = |address: &str, group| Card::new(address, 0x8086, 0x2000, 0x06_0400, group);
    let cards = [
        bridge("0000:00:01.0", 1).bridge_to(1, 3),
        bridge("0000:01:00.0", 2).bridge_to(2, 3),
        bridge("0000:02:00.0", 3).bridge_to(3, 3),
        // Nobody has set it up: it leads nowhere, and not to bus 0.
        bridge("0000:00:02.0", 4).bridge_to(0, 0),
        card("0000:00:1f.6", 5),
        card("0000:03:00.0", 6),
        card("0000:04:00.0", 7),
        card("0001:03:00.0", 8),
    ];
    for (line, bound) in [
        (
            "vfio.bind=class:02 vfio.protect=00:01.0",
            &["0000:00:1f.6", "0000:04:00.0", "0001:03:00.0"][..],
        ),
        ("vfio.bind=0000:03:00.0 vfio.protect=02:00.0", &[]),
        ("vfio.bind=00:1f.6 vfio.protect=00:02.0", &["0000:00:1f.6"]),
    ] {
        let taken = take(&FakeMachine::new(&cards), line);
        assert_eq!(taken.bound, bound, "{line}");
    }
}

#[test]
fn an_excluded_bridge_refuses_its_group() {
    let taken = take(&machine(), "vfio.bind=09:00.1,!03:08.0");
    assert_eq!((taken.bound.len(), taken.exit), (0, 1));
    let taken = take(&machine(), "vfio.bind=09:00.1,!03:08.0 vfio.group=listed");
    assert_eq!(taken.bound, [USB]);
    // What is behind it is another matter.
    let taken = take(&machine(), "vfio.bind=05:00.0,!00:1c.0");
    assert_eq!((taken.bound, taken.exit), (vec![DISK.to_owned()], 0));
}

#[test]
fn what_is_excluded_and_protected_is_protected() {
    for line in [
        "vfio.bind=09:00.1,!09:00.0 vfio.protect=09:00.0",
        "vfio.bind=09:00.1,!09:00.0 vfio.protect=09:00.0 vfio.group=listed",
        "vfio.protect=09:00.0 vfio.bind=09:00.0,09:00.1,!09:00.0 vfio.group=listed",
        "vfio.bind=09:00.1,!03:08.0 vfio.protect=03:08.0 vfio.group=listed",
    ] {
        let machine = machine();
        let taken = take(&machine, line);
        assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{line}");
        assert_eq!(machine.take_events(), [""; 0], "{line}");
        assert!(
            taken.says("protected; vfio.force takes"),
            "{line}: {}",
            taken.messages
        );
    }
}

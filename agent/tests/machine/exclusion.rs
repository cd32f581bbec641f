//! Exclusions that name nothing: the most dangerous of typing errors.

use crate::support::{Card, FakeMachine, write};
use crate::taken::{expect_untouched, take};

const NIC: &str = "0000:01:00.0";

/// Four NICs of two models, and a disk.
fn machine() -> FakeMachine {
    let nic = |address: &str, device, group| Card::new(address, 0x8086, device, 0x02_0000, group);
    FakeMachine::new(&[
        nic(NIC, 0x1572, 1),
        nic("0000:01:00.1", 0x1572, 2),
        nic("0000:02:00.0", 0x10d3, 3),
        nic("0000:03:00.0", 0x10d3, 4),
        Card::new("0000:05:00.0", 0x144d, 0xa808, 0x01_0802, 5).on("nvme"),
    ])
}

#[test]
fn an_exclusion_that_matches_nothing_binds_nothing() {
    for selector in [
        "01:00.3",
        "0b:00",
        "8086:1573",
        "8086:1572:1458:0001",
        "class:12",
        "slot:9",
        "label:LAN",
        "acpi:\\_SB_.PCI0",
        "dsn:00-11-22-ff-ff-33-44-55",
        "00:1c.0/00.0",
        "10000:e1:00.0",
    ] {
        for line in [
            format!("vfio.bind=class:02,!{selector}"),
            format!("vfio.bind=01:00.0 vfio.bind=!{selector}"),
            format!("vfio_pci.ids=8086:10d3 vfio.bind=!{selector} vfio.group=listed"),
        ] {
            let machine = machine();
            let taken = take(&machine, &line);
            assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{line}");
            expect_untouched(&machine, &line);
            let told = format!("vfio.bind=!{selector} matches no function of this machine");
            let error = taken.errors.iter().find(|error| error.starts_with(&told));
            let error = error.unwrap_or_else(|| panic!("{line}: {:?}", taken.errors));
            assert!(error.contains("so nothing is bound"), "{line}: {error}");
        }
        // With nothing to bind it is an error of the policy alone.
        let taken = take(&machine(), &format!("vfio.bind=!{selector}"));
        assert_eq!(taken.exit, 2, "{selector}");
    }
}

#[test]
fn what_may_have_been_meant_is_named() {
    let taken = take(&machine(), "vfio.bind=class:02,!01:00.3");
    let told = "vfio.bind=!01:00.3 matches no function of this machine; nearest is 0000:01:00.0 (8086:1572); \
         what it excludes is unknown, so nothing is bound; give it its ID (@10de:1b80) where it may be \
         missing";
    assert!(taken.errors.iter().any(|e| e == told), "{:?}", taken.errors);
}

#[test]
fn with_an_id_it_excludes_what_has_that_id() {
    for (selector, there, bound) in [
        // The address has another ID: the one that is meant has moved.
        (
            "02:00.0@8086:1572",
            "8086:10d3 is there now",
            &["0000:03:00.0"][..],
        ),
        (
            "01:00.3@8086:10d3",
            "nothing is there now",
            &[NIC, "0000:01:00.1"],
        ),
        (
            "slot:9@8086:10d3",
            "nothing is there now",
            &[NIC, "0000:01:00.1"],
        ),
        // It is not in this machine at all: a policy of many machines.
        (
            "09:00.0@10de:1b80",
            "nothing is there now",
            &[NIC, "0000:01:00.1", "0000:02:00.0", "0000:03:00.0"],
        ),
    ] {
        let line = format!("vfio.bind=class:02,!{selector}");
        let taken = take(&machine(), &line);
        assert_eq!(taken.bound, bound, "{line}");
        assert_eq!(taken.exit, 2, "{line}");
        let id = selector.split('@').nth(1).unwrap();
        let told =
            format!("vfio.bind=!{selector}: {there}; every {id} of this machine is left alone");
        assert!(taken.errors.contains(&told), "{line}: {:?}", taken.errors);
    }
    // What is where it is said to be excludes no twin of it.
    let taken = take(&machine(), "vfio.bind=class:02,!01:00.0@8086:1572");
    assert_eq!(
        (taken.bound.len(), taken.exit, taken.errors.len()),
        (3, 0, 0)
    );
}

#[test]
fn a_slot_with_an_id_is_no_other_place() {
    for (slot, selector, there, bound) in [
        // Another card sits there: the one that is meant has moved.
        (
            "0000:02:00",
            "slot:4@8086:1572",
            "8086:10d3 is there now",
            &["0000:03:00.0"][..],
        ),
        (
            "0000:09:00",
            "slot:4@8086:10d3",
            "nothing is there now",
            &[NIC, "0000:01:00.1"],
        ),
    ] {
        let told = |word: &str| {
            let (_, id) = selector.split_once('@').unwrap();
            format!("{word}{selector}: {there}; every {id} of this machine is left alone")
        };
        let with_slot = || {
            let machine = machine();
            let file = "sys/bus/pci/slots/4/address";
            write(&machine, file, format!("{slot}\n"));
            machine
        };
        for word in ["vfio.bind=!", "vfio.protect="] {
            let taken = take(
                &with_slot(),
                &format!("vfio.bind=class:02 {word}{selector}"),
            );
            assert_eq!(taken.bound, bound, "{word}{selector}");
            let errors = taken.errors;
            assert!(errors.contains(&told(word)), "{word}{selector}: {errors:?}");
        }
        let machine = with_slot();
        machine.record(&format!("vfio.protect={selector}  # /\n"));
        let taken = take(&machine, "vfio.bind=class:02");
        assert_eq!(taken.bound, bound, "recorded {selector}");
        let told = format!("{}; build the image anew", told("protected.conf: "));
        assert!(taken.warnings.contains(&told), "{:?}", taken.warnings);
    }
}

#[test]
fn what_is_known_to_be_empty_is_no_mistake() {
    let machine = machine();
    write(&machine, "sys/bus/pci/slots/9/address", "0000:09:00\n");
    let taken = take(&machine, "vfio.bind=class:02,!slot:9");
    assert_eq!((taken.bound.len(), taken.exit), (4, 0));
    // What is behind a VMD controller comes with its driver.
    let cards = [
        Card::new("0000:00:0e.0", 0x8086, 0x467f, 0x01_0400, 1),
        Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 2),
    ];
    let taken = take(
        &FakeMachine::new(&cards),
        "vfio.bind=class:02,!10000:e1:00.0",
    );
    assert_eq!((taken.bound, taken.exit), (vec![NIC.to_owned()], 0));
}

#[test]
fn without_an_iommu_it_is_told_as_well() {
    let mut card = Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 1);
    card.group = None;
    let taken = take(&FakeMachine::new(&[card]), "vfio.bind=class:02,!01:00.3");
    assert!(
        taken.says("vfio.bind=!01:00.3 matches no function"),
        "{}",
        taken.messages
    );
}

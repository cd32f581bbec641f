//! What is protected by its place, and is no longer there.

use crate::protection::{DISK, NIC, TWIN, USB, cards, machine, machine_of};
use crate::support::{Card, write};
use crate::taken::{Taken, take};

/// Runs with a recorded list.
fn with_list(list: &str, line: &str) -> Taken {
    let machine = machine();
    machine.record(list);
    take(&machine, line)
}

#[test]
fn what_is_recorded_and_no_longer_there_protects_all_that_is_like_it() {
    for (place, there) in [
        // The firmware has given the root bus another number.
        ("0000:20:1c.0/00.0", "nothing is there now"),
        ("0000:00:1c.7/00.0", "nothing is there now"),
        ("0000:15:00.0", "nothing is there now"),
        ("0000:00:1e.0/00.0", "15b7:5006 is there now"),
    ] {
        let list = format!("vfio.protect={place}@144d:a808  # /: nvme0n1p2\n");
        let told = format!(
            "protected.conf: {place}@144d:a808: {there}; every 144d:a808 of this machine is left \
             alone; build the image anew"
        );
        for line in ["vfio.bind=144d:a808", "vfio.bind=05:00.0,06:00.0"] {
            let taken = with_list(&list, line);
            assert_eq!(taken.bound, [""; 0], "{place}: {line}");
            assert_eq!(taken.exit, 1, "{place}: {line}");
            assert!(taken.says(&told), "{place}: {line}: {}", taken.messages);
        }
        let forced = with_list(&list, "vfio.bind=144d:a808 vfio.force");
        assert_eq!(forced.bound, [DISK, TWIN], "{place}");
        // Other functions are free, and what moved is told all the same.
        let taken = with_list(&list, "vfio.bind=09:00.0");
        assert_eq!((taken.bound, taken.exit), (vec![NIC.into(), USB.into()], 0));
        assert!(taken.warnings.contains(&told), "{:?}", taken.warnings);
        // What took the place is protected, too.
        let taken = with_list(&list, "vfio.bind=07:00.0");
        assert_eq!(taken.bound.is_empty(), place.contains("1e.0"), "{place}");
    }
}

#[test]
fn what_is_where_it_was_recorded_protects_nothing_else() {
    let taken = with_list("vfio.protect=00:1c.0/00.0@144d:a808\n", "vfio.bind=06:00.0");
    assert_eq!((taken.bound, taken.exit), (vec![TWIN.to_owned()], 0));
    assert_eq!(taken.warnings, [""; 0]);
}

#[test]
fn a_recorded_place_without_an_id_leaves_no_list_when_it_is_empty() {
    let list = "vfio.protect=0000:20:1c.0/00.0  # /\n";
    let taken = with_list(list, "vfio.bind=144d:a808");
    assert_eq!((taken.bound.len(), taken.exit), (0, 1));
    assert_eq!(
        taken.warnings,
        [
            "protected.conf: 0000:20:1c.0/00.0: nothing is there now, and what was is not known: what \
             stores is taken only where it is named one by one; build the image anew"
        ]
    );
    let taken = with_list(list, "vfio.bind=09:00.0");
    assert_eq!((taken.bound.len(), taken.exit), (2, 0));
}

#[test]
fn a_domain_that_vmd_brings_later_is_no_news() {
    let list = "vfio.protect=0000:00:0e.0@8086:9a0b  # /\n\
                vfio.protect=10000:e0:06.0/00.0@144d:a808  # /: nvme0n1\n";
    let with_vmd = |driver: Option<&str>| {
        let mut cards = cards();
        let vmd = Card::new("0000:00:0e.0", 0x8086, 0x9a0b, 0x01_0400, 9);
        cards.push(match driver {
            Some(driver) => vmd.on(driver),
            None => vmd,
        });
        let machine = machine_of(&cards);
        machine.record(list);
        machine
    };
    let taken = take(&with_vmd(None), "vfio.bind=05:00.0");
    assert_eq!(taken.bound, [DISK]);
    assert_eq!((taken.exit, taken.warnings), (0, vec![]));
    let taken = take(&with_vmd(None), "vfio.bind=00:0e.0");
    assert_eq!((taken.exit, taken.bound), (1, vec![]));
    // VMD was turned off in the firmware setup: the disk is somewhere in domain 0.
    let taken = with_list(list, "vfio.bind=05:00.0");
    assert_eq!((taken.exit, taken.bound), (1, vec![]));
    assert!(taken.warnings.len() > 1, "{:?}", taken.warnings);
}

#[test]
fn what_the_owner_protects_in_vain_is_told_as_loudly_as_what_is_asked_for_in_vain() {
    for selector in [
        "05:00.7",
        "slot:9",
        "10de:1b80",
        "class:12",
        "10000:e1:00.0",
    ] {
        let taken = take(
            &machine(),
            &format!("vfio.bind=09:00.0 vfio.protect={selector}"),
        );
        assert_eq!((taken.bound.len(), taken.exit), (2, 1), "{selector}");
        let told = format!("vfio.protect={selector} matches no function of this machine");
        assert!(
            taken.errors.iter().any(|e| e.starts_with(&told)),
            "{:?}",
            taken.errors
        );
    }
    // In the policy file it is the owner's as well.
    let machine = machine();
    write(
        &machine,
        "etc/vfio-bind/policy.conf",
        "vfio.protect=05:00.7\n",
    );
    assert_eq!(take(&machine, "vfio.bind=09:00.0").exit, 1);
}

#[test]
fn what_the_owner_protects_by_place_and_id_is_protected_by_id_where_the_place_has_another() {
    for (place, there) in [
        ("15:00.0", "nothing is there now"),
        ("07:00.0", "15b7:5006 is there now"),
    ] {
        let line = format!("vfio.protect={place}@144d:a808 vfio.bind=144d:a808,09:00.0");
        let taken = take(&machine(), &line);
        assert_eq!((taken.bound.len(), taken.exit), (2, 1), "{line}");
        let told = format!(
            "vfio.protect={place}@144d:a808: {there}; every 144d:a808 of this machine is left alone"
        );
        assert!(taken.errors.contains(&told), "{:?}", taken.errors);
    }
    let taken = take(
        &machine(),
        "vfio.protect=07:00.0@144d:a808 vfio.bind=09:00.0",
    );
    assert_eq!((taken.bound.len(), taken.exit), (2, 2));
}

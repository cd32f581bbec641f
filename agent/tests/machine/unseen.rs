//! Members of a bound group that the scan did not see.

use std::fs;

use crate::support::{Card, FakeMachine};
use crate::taken::take;
use vfio_bind_agent::machine::inventory::MAX_FUNCTIONS;

const NIC: &str = "0000:01:00.0";

/// Puts a function into the kernel's own list of a group.
fn enlist(machine: &FakeMachine, group: u32, address: &str) {
    let list = format!("sys/kernel/iommu_groups/{group}/devices");
    crate::support::write(machine, &format!("{list}/{address}"), "");
}

#[test]
fn a_member_that_could_not_be_read_is_told_as_that() {
    let machine = FakeMachine::new(&[
        Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 9),
        Card::new("0000:01:00.1", 0x8086, 0x1572, 0x02_0000, 9),
    ]);
    let modalias = machine.path("sys/bus/pci/devices/0000:01:00.1/modalias");
    fs::remove_file(&modalias).unwrap();
    // Reading a directory answers EISDIR.
    fs::create_dir(&modalias).unwrap();
    for address in [NIC, "0000:01:00.1"] {
        enlist(&machine, 9, address);
    }
    let taken = take(&machine, "vfio.bind=01:00.0");
    assert_eq!((&taken.bound[..], taken.exit), (&[NIC.to_owned()][..], 1));
    assert!(
        taken.says(
            "group 9: 0000:01:00.1 could not be read, as was told, and is not bound with the others"
        ),
        "{}",
        taken.messages
    );
    assert!(!taken.says("appeared"), "{}", taken.messages);
}

#[test]
fn a_member_beyond_the_limit_is_told_as_that() {
    let address = |at: usize| {
        format!(
            "{:04x}:{:02x}:{:02x}.0",
            at >> 13,
            (at >> 5) & 0xff,
            at & 0x1f
        )
    };
    let cards: Vec<_> = (0..MAX_FUNCTIONS + 5)
        .map(|at| Card::new(&address(at), 0x8086, 0x1572, 0x02_0000, 9))
        .collect();
    let machine = FakeMachine::new(&cards);
    for card in &cards {
        enlist(&machine, 9, &card.address);
    }
    // Whichever are listed last are beyond it.
    let taken = take(&machine, "vfio.bind=8086:1572");
    assert_eq!((taken.bound.len(), taken.exit), (MAX_FUNCTIONS, 1));
    assert!(
        taken
            .says("lies beyond the functions that are looked at, and is not bound with the others"),
        "{}",
        taken.messages
    );
    assert!(!taken.says("appeared"), "{}", taken.messages);
}

//! Images that do not know what their system boots from.

use std::fs;

use crate::support::{Card, FakeMachine, write};
use crate::taken::{expect_untouched, take};
use vfio_bind_agent::machine::tree::PROTECTED;

const DISK: &str = "0000:05:00.0";
const TWIN: &str = "0000:06:00.0";
const SATA: &str = "0000:02:00.1";
const NIC: &str = "0000:02:00.0";

/// Two equal disks, and a NIC in the group of a disk controller.
fn machine() -> FakeMachine {
    let machine = FakeMachine::new(&[
        Card::new(NIC, 0x10ec, 0x8125, 0x02_0000, 2),
        Card::new(SATA, 0x1022, 0x43eb, 0x01_0601, 2).on("ahci"),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 5).on("nvme"),
        Card::new(TWIN, 0x1b36, 0x0010, 0x01_0802, 6).on("nvme"),
    ]);
    machine.put_behind(DISK, "0000:00/0000:00:1c.0");
    machine.put_behind(TWIN, "0000:00/0000:00:1d.0");
    for (address, serial) in [(DISK, 0x55), (TWIN, 0x56)] {
        let mut config = vec![0; 0x110];
        config[0x100..0x104].copy_from_slice(&0x0001_0003u32.to_le_bytes());
        config[0x104] = serial;
        write(
            &machine,
            &format!("sys/bus/pci/devices/{address}/config"),
            config,
        );
        let file = format!("sys/bus/pci/devices/{address}/label");
        write(&machine, &file, format!("Disk {serial}\n"));
    }
    write(&machine, "sys/bus/pci/slots/4/address", "0000:05:00\n");
    machine
}

/// The same in an image without a list.
fn without_list() -> FakeMachine {
    let machine = machine();
    fs::remove_file(machine.path(PROTECTED)).unwrap();
    machine
}

#[test]
fn without_a_list_what_stores_is_not_taken_by_id_class_or_as_a_sibling() {
    for (line, member) in [
        ("vfio.bind=1b36:0010", DISK),
        ("vfio.bind=1b36:*", DISK),
        ("vfio.bind=1b36:0010 vfio.group=listed", DISK),
        ("vfio.bind=class:01", SATA),
        ("vfio.bind=*:*:*:*:010802", DISK),
        ("vfio_pci.ids=1b36:10", DISK),
        ("vfio.bind=02:00.0", SATA),
        ("vfio.bind=02:00.0 vfio_pci.ids=1022:43eb", SATA),
        ("vfio_pci.ids=10ec:8125", SATA),
    ] {
        let machine = without_list();
        let taken = take(&machine, line);
        assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{line}");
        expect_untouched(&machine, line);
        let told = format!(
            "{member} stores, and this image does not know what its system boots from; name it by \
             address, path, slot or serial number to take it, or build the image where \
             `vfio-bind protected` knows"
        );
        assert!(taken.messages.contains(&told), "{line}: {}", taken.messages);
        let forced = take(&machine, &format!("{line} vfio.force"));
        assert!(!forced.bound.is_empty(), "{line}");
    }
}

#[test]
fn without_a_list_what_stores_is_taken_where_it_is_named_one_by_one() {
    for (line, bound) in [
        ("vfio.bind=05:00.0", &[DISK][..]),
        ("vfio.bind=05:00", &[DISK]),
        ("vfio.bind=00:1c.0/00.0", &[DISK]),
        ("vfio.bind=slot:4", &[DISK]),
        ("vfio.bind=label:Disk 86", &[TWIN]),
        ("vfio.bind=dsn:00-00-00-00-00-00-00-56", &[TWIN]),
        // Who names it may say more of it.
        ("vfio.bind=05:00.0 vfio_pci.ids=1b36:10", &[DISK]),
        ("vfio.bind=02:00.0,02:00.1", &[NIC, SATA]),
        ("vfio.bind=02:00.0 vfio.group=listed", &[NIC]),
    ] {
        let line = line.replace("label:Disk 86", "\"label:Disk 86\"");
        let machine = without_list();
        assert_eq!(take(&machine, &line).bound, bound, "{line}");
    }
}

#[test]
fn what_vfio_pci_has_already_is_no_disk_to_boot_from() {
    let disk = Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 5).on("vfio-pci");
    let machine = FakeMachine::new(&[disk]).with_vfio_pci();
    fs::remove_file(machine.path(PROTECTED)).unwrap();
    assert_eq!(take(&machine, "vfio_pci.ids=1b36:10").exit, 0);
}

#[test]
fn a_list_is_one_even_if_it_is_empty() {
    for list in ["", "# nothing\n", "vfio.protect=06:00.0@1b36:0010\n"] {
        let machine = machine();
        machine.record(list);
        let bound = take(&machine, "vfio.bind=1b36:0010").bound;
        assert!(bound.contains(&DISK.to_owned()), "{list:?}");
        assert_eq!(
            bound.contains(&TWIN.to_owned()),
            !list.contains("06:00.0"),
            "{list:?}"
        );
    }
}

#[test]
fn a_list_that_says_it_is_not_whole_is_none() {
    let list = "vfio.protect=06:00.0@1b36:0010\nvfio.unprotected=\"/: a network\"\n";
    let machine = machine();
    machine.record(list);
    for line in ["vfio.bind=1b36:0010", "vfio.bind=02:00.0"] {
        let taken = take(&machine, line);
        assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{line}");
    }
    // The owner may say so as well.
    let taken = take(
        &crate::unlisted::machine(),
        "vfio.bind=1b36:0010 vfio.unprotected=/srv",
    );
    assert_eq!((taken.bound.len(), taken.exit), (0, 1));
}

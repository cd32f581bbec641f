//! A boot that does not find its root file system gets back what may carry it.

use std::fs;
use std::time::Duration;

use crate::snapshots::leveled;
use crate::support::{Card, FakeMachine, Trouble, open};
use serde_json::{Value, json};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::journal::Journal;
use vfio_bind_agent::record::report;
use vfio_bind_agent::run;
use vfio_bind_agent::run::release;
use vfio_bind_agent::text::name;

const DISK: &str = "0000:01:00.0";
const USB: &str = "0000:02:00.0";
const NIC: &str = "0000:03:00.0";
const GPU: &str = "0000:42:00.0";

const ALL: &str = "vfio.bind=01:00.0,02:00.0,03:00.0,42:00.0";

/// A machine whose agent has taken all of it, and written its report.
fn taken(line: &str, trouble: Trouble) -> FakeMachine {
    let machine = FakeMachine::new(&[
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 1),
        Card::new(USB, 0x1b36, 0x000d, 0x0c_0330, 2),
        Card::new(NIC, 0x8086, 0x10d3, 0x02_0000, 3),
        Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 4),
    ])
    .with(trouble);
    run::perform(&machine, line.as_bytes(), &|| 0, &mut |record| {
        let written = open(machine.root()).replace(report::DIRECTORY, report::FILE, &|output| {
            report::write(record, b"6.1", &Journal::new(), output);
        });
        written.unwrap();
        record.exit()
    });
    for (address, driver) in [
        (DISK, "nvme"),
        (USB, "xhci_hcd"),
        (NIC, "e1000e"),
        (GPU, "bochs"),
    ] {
        assert_eq!(
            machine.driver(address).as_deref(),
            Some("vfio-pci"),
            "{address}"
        );
        machine.expect_native(address, driver);
    }
    machine.take_events();
    machine
}

/// What is given back on a machine that boots with `line`, and what is said.
fn given(machine: &FakeMachine, line: &str) -> (Vec<String>, String) {
    let mut all = Vec::new();
    let said = leveled(|| {
        release::give_back(machine, line.as_bytes(), &mut |address, driver| {
            all.push(format!("{address} {driver}"));
        });
    });
    let said: Vec<_> = said.into_iter().map(|(_, text)| text).collect();
    all.sort();
    (all, said.concat())
}

#[test]
fn what_the_root_may_be_behind_goes_back_once() {
    let machine = taken(ALL, Trouble::default());
    let (all, said) = given(&machine, "root=/dev/sda1 quiet");
    assert_eq!(all, [format!("{DISK} nvme"), format!("{USB} xhci_hcd")]);
    for address in [DISK, USB] {
        assert_eq!(machine.driver_override(address), "");
        assert!(said.contains(&format!("vfio.protect={address}")), "{said}");
    }
    for address in [NIC, GPU] {
        assert_eq!(
            machine.driver(address).as_deref(),
            Some("vfio-pci"),
            "{address}"
        );
        assert_eq!(machine.driver_override(address), "vfio-pci");
    }
    machine.take_events();
    assert_eq!(given(&machine, "root=/dev/sda1").0, [""; 0]);
    assert!(machine.take_events().is_empty());
}

#[test]
fn a_root_on_a_network_gets_its_cards_back() {
    for line in [
        "quiet ip=dhcp",
        "root=/dev/nfs nfsroot=a:/b",
        "netroot=iscsi:a",
        "root=nfs:a",
    ] {
        let machine = taken(ALL, Trouble::default());
        let (all, _) = given(&machine, line);
        assert!(all.contains(&format!("{NIC} e1000e")), "{line}: {all:?}");
        assert_eq!(machine.driver(GPU).as_deref(), Some("vfio-pci"));
    }
}

#[test]
fn hold_keeps_it_off() {
    let machine = taken(&format!("{ALL} vfio.onfail=hold"), Trouble::default());
    assert_eq!(given(&machine, "root=/dev/sda1").0, [""; 0]);
    assert!(machine.take_events().is_empty());
}

#[test]
fn without_a_record_nothing_is_given_back() {
    let machine = taken(ALL, Trouble::default());
    fs::remove_file(machine.path("run/vfio-bind/report.json")).unwrap();
    assert_eq!(given(&machine, "root=/dev/sda1").0, [""; 0]);
    assert!(machine.take_events().is_empty());
}

#[test]
fn vfio_pci_that_has_ids_of_its_own_does_not_get_it_again() {
    let trouble = Trouble {
        by_ids: vec![DISK.to_owned()],
        ids_first: true,
        ..Trouble::default()
    };
    let machine = taken(&format!("{ALL} vfio_pci.ids=1b36:0010"), trouble);
    let (all, _) = given(&machine, "root=/dev/sda1");
    assert!(all.contains(&format!("{DISK} nvme")), "{all:?}");
}

#[test]
fn one_that_is_stuck_is_told_and_the_rest_goes_back() {
    let machine = taken(ALL, Trouble::default());
    machine.lock(DISK);
    let (all, _) = given(&machine, "root=/dev/sda1");
    assert_eq!(all, [format!("{DISK} vfio-pci"), format!("{USB} xhci_hcd")]);
    assert!(
        machine.waited() < Duration::from_secs(3),
        "{:?}",
        machine.waited()
    );
}

#[test]
fn the_record_says_it() {
    let machine = taken(ALL, Trouble::default());
    let tree = open(machine.root());
    let path = machine.path("run/vfio-bind/report.json");
    let before: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut expected = Vec::new();
    for (address, driver) in [(DISK, "nvme"), (USB, "")] {
        let function = Address::parse(address.as_bytes()).unwrap();
        release::add(&tree, function, &name(driver.as_bytes())).unwrap();
        expected.insert(0, format!("{address} {driver}"));
        let text = fs::read_to_string(&path).unwrap();
        let mut now: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let given = now.as_object_mut().unwrap().remove("given_back");
        assert_eq!(given, Some(json!(expected)));
        assert_eq!(now, before, "{text}");
    }
}

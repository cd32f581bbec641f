//! Selectors that only a machine can resolve, and what is protected.

use std::fs;

use crate::support::{Card, FakeMachine, bound, problems, unmatched, write};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY};
use vfio_bind_agent::run;

const NIC: &str = "0000:03:00.0";
const SECOND: &str = "0000:03:00.1";
const TWIN: &str = "0000:04:00.0";
const DISK: &str = "0000:05:00.0";

/// A NIC with two functions and its twin, each behind a root port, and a disk in a group with an
/// encoder that nobody needs.
fn machine() -> FakeMachine {
    let machine = FakeMachine::new(&[
        Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 3),
        Card::new(SECOND, 0x8086, 0x1572, 0x02_0000, 4),
        Card::new(TWIN, 0x8086, 0x1572, 0x02_0000, 5),
        Card::new(DISK, 0x144d, 0xa808, 0x01_0802, 6).on("nvme"),
        Card::new("0000:05:00.1", 0x144d, 0xa809, 0x12_0000, 6),
    ]);
    for (address, port) in [
        (NIC, "0000:00:1c.0"),
        (SECOND, "0000:00:1c.0"),
        (TWIN, "0000:00:1d.0"),
        (DISK, "0000:00:1e.0"),
    ] {
        machine.put_behind(address, &format!("0000:00/{port}"));
    }
    machine
}

/// A configuration space with a serial number behind another extended capability.
fn config(serial: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[0x100..0x104].copy_from_slice(&0x1401_0001u32.to_le_bytes());
    bytes[0x140..0x144].copy_from_slice(&0x0001_0003u32.to_le_bytes());
    bytes[0x144..0x14c].copy_from_slice(&serial.to_le_bytes());
    bytes
}

fn write_config(machine: &FakeMachine, address: &str, bytes: Vec<u8>) {
    write(
        machine,
        &format!("sys/bus/pci/devices/{address}/config"),
        bytes,
    );
}

struct Result {
    exit: u8,
    bound: Vec<String>,
    refusals: Vec<Refusal>,
    unmatched: Vec<String>,
    problems: Vec<String>,
}

fn run(machine: &FakeMachine, line: &str) -> Result {
    let mut result = None;
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
        let steps = || record.plan.steps.iter().zip(&record.outcomes.steps);
        result = Some(Result {
            exit: record.exit(),
            bound: bound(record),
            refusals: steps()
                .filter_map(|(step, _)| match step.decision {
                    Decision::Refuse(refusal) => Some(refusal),
                    _ => None,
                })
                .collect(),
            unmatched: unmatched(record),
            problems: problems(record),
        });
        record.exit()
    });
    result.unwrap()
}

#[test]
fn every_name_finds_its_place() {
    for (selector, expected) in [
        ("00:1c.0/00.0", &[NIC][..]),
        ("0000:00:1c.0/00.1", &[SECOND]),
        ("00:1d.0/00.0@8086:1572", &[TWIN]),
        ("dsn:00-11-22-ff-ff-33-44-55", &[NIC, SECOND]),
        ("dsn:00-11-22-ff-ff-33-44-56", &[TWIN]),
        ("slot:4", &[NIC, SECOND]),
        ("label:Onboard", &[TWIN]),
        ("acpi:\\_SB_.PCI0.RP05.PXSX", &[NIC]),
        ("class:02", &[NIC, SECOND, TWIN]),
        ("class:02,!slot:4", &[TWIN]),
    ] {
        let machine = machine();
        let devices = "sys/bus/pci/devices";
        write_config(&machine, NIC, config(0x0011_22ff_ff33_4455));
        write_config(&machine, SECOND, config(0x0011_22ff_ff33_4455));
        write_config(&machine, TWIN, config(0x0011_22ff_ff33_4456));
        write(&machine, "sys/bus/pci/slots/4/address", "0000:03:00\n");
        write(&machine, "sys/bus/pci/slots/5/address", "0000:04\n");
        write(&machine, &format!("{devices}/{TWIN}/label"), "Onboard\n");
        write(
            &machine,
            &format!("{devices}/{NIC}/firmware_node/path"),
            "\\_SB_.PCI0.RP05.PXSX\n",
        );
        let result = run(&machine, &format!("vfio.bind={selector}"));
        assert_eq!(result.bound, expected, "{selector}");
        assert_eq!(result.exit, EXIT_DONE, "{selector}");
    }
}

#[test]
fn a_path_may_begin_at_any_bridge_of_the_way() {
    for (path, found) in [
        ("00:1c.0/00.0/00.0", true),
        ("02:00.0/00.0", true),
        ("02:00.0/00.1", false),
        ("02:01.0/00.0", false),
        ("00:1c.0/00.0", false),
        ("00:1c.0/02:00.0/00.0", false),
    ] {
        let machine = FakeMachine::new(&[Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 3)]);
        machine.put_behind(NIC, "0000:00/0000:00:1c.0/0000:02:00.0");
        let result = run(&machine, &format!("vfio.bind={path}"));
        assert_eq!(result.bound.len(), usize::from(found), "{path}");
    }
}

#[test]
fn a_name_of_two_devices_means_neither() {
    let line = "vfio.bind=dsn:00-11-22-ff-ff-33-44-55,0000:05:00.1";
    let both = |line: &str| {
        let machine = machine();
        for address in [NIC, TWIN] {
            write_config(&machine, address, config(0x0011_22ff_ff33_4455));
        }
        run(&machine, line)
    };
    let result = both(line);
    assert_eq!(result.bound, [DISK, "0000:05:00.1"]);
    assert_eq!(
        result.problems,
        [
            "`dsn:00-11-22-ff-ff-33-44-55` is the name of more than one device of this machine; \
             use an address"
        ]
    );
    assert_eq!(result.exit, EXIT_NOT_BOUND);
    // What is to be left alone is not known: nothing may be taken.
    let result = both("vfio.bind=class:02,!dsn:00-11-22-ff-ff-33-44-55");
    assert_eq!(result.bound, [""; 0]);
    assert_eq!(result.refusals, [Refusal::UnclearPolicy; 3]);
}

#[test]
fn a_list_of_capabilities_ends_ahead_of_what_only_looks_like_one() {
    // The vendor 0003 at the beginning, and behind it what would be a serial number.
    let mut bytes = config(0x0011_22ff_ff33_4456);
    bytes[..4].copy_from_slice(&0x0001_0003u32.to_le_bytes());
    bytes[4..12].copy_from_slice(&0x0011_22ff_ff33_4455u64.to_le_bytes());
    bytes[0x100..0x104].copy_from_slice(&0x0001_0001u32.to_le_bytes());
    let machine = machine();
    write_config(&machine, NIC, bytes);
    let result = run(&machine, "vfio.bind=dsn:00-11-22-ff-ff-33-44-55");
    assert_eq!((result.bound.len(), result.exit), (0, EXIT_NOT_BOUND));
}

#[test]
fn a_list_of_capabilities_in_a_circle_comes_to_an_end() {
    let machine = machine();
    let mut circle = vec![0; 4096];
    circle[0x100..0x104].copy_from_slice(&0x1001_0001u32.to_le_bytes());
    for (address, bytes) in [
        (NIC, circle),
        (SECOND, vec![0xff; 64]),
        (TWIN, vec![0xff; 4096]),
    ] {
        write_config(&machine, address, bytes);
    }
    let result = run(&machine, "vfio.bind=dsn:00-11-22-ff-ff-33-44-55");
    assert_eq!((result.bound.len(), result.exit), (0, EXIT_NOT_BOUND));
}

#[test]
fn what_matches_nothing_is_told_with_what_comes_nearest() {
    for (selector, told) in [
        ("03:00.7", "; nearest is 0000:03:00.0 (8086:1572)"),
        (
            "8086:1572:1458:0001",
            "; nearest is 0000:03:00.0 (8086:1572)",
        ),
        ("0a:00.0@144d:a808", "; nearest is 0000:05:00.0 (144d:a808)"),
        ("0a:00.0", ""),
        ("0002:03:00.1", "; nearest is 0000:03:00.0 (8086:1572)"),
        ("0002:04:00.7", "; nearest is 0000:04:00.0 (8086:1572)"),
        ("0a:00.0@144d:*", ""),
        ("slot:9", ""),
        ("slot:8", ""),
        ("slot:8@8086:*", ""),
        ("00:1c.0/01.0", ""),
    ] {
        let machine = machine();
        write(&machine, "sys/bus/pci/slots/8/address", "0000:0b:00\n");
        let result = run(&machine, &format!("vfio.bind={selector}"));
        let expected = format!("vfio.bind={selector} matches no function of this machine{told}");
        assert_eq!(result.unmatched, [expected]);
        assert_eq!(result.exit, EXIT_NOT_BOUND);
    }
}

#[test]
fn something_else_in_its_place_is_refused_with_both_ids() {
    let machine = machine();
    let result = run(&machine, "vfio.bind=04:00.0@10de:1b80");
    assert_eq!(result.refusals, [Refusal::OtherId(0x8086, 0x1572)]);
    assert_eq!(
        result.refusals[0].to_string(),
        "8086:1572 sits there now, which is not what the selector names"
    );
    assert_eq!(result.unmatched, [""; 0], "one row says it all");
    let moved = run(&machine, "vfio.bind=04:00.0@144d:a808");
    assert_eq!(
        moved.unmatched,
        ["vfio.bind=04:00.0@144d:a808: 0000:05:00.0 is 144d:a808 now"]
    );
    assert_eq!(result.exit, EXIT_NOT_BOUND);
    assert_eq!(machine.take_events(), [""; 0]);

    // It is protected as well: that has a row, too.
    let result = run(&machine, "vfio.bind=04:00.0@10de:1b80 vfio.protect=04:00.0");
    let twin = Address::parse(TWIN.as_bytes()).unwrap();
    assert_eq!(result.refusals, [Refusal::Protected(twin)]);
    assert_eq!(result.unmatched, [""; 0]);
}

#[test]
fn an_id_behind_a_device_asks_whether_one_of_its_functions_has_it() {
    for device in [
        "05:00",
        "0000:05:00.*",
        "slot:7",
        "dsn:00-11-22-ff-ff-33-44-55",
    ] {
        let machine = || {
            let machine = machine();
            write(&machine, "sys/bus/pci/slots/7/address", "0000:05:00\n");
            let file = format!("sys/bus/pci/devices/{DISK}/config");
            write(&machine, &file, config(0x0011_22ff_ff33_4455));
            machine
        };
        for id in ["144d:a808", "144d:a809", "144d:*"] {
            let line = format!("vfio.bind={device}@{id} vfio.group=listed");
            let result = run(&machine(), &line);
            assert_eq!(result.bound, [DISK, "0000:05:00.1"], "{line}");
            assert_eq!(result.exit, EXIT_DONE, "{line}");
        }
        let line = format!("vfio.bind={device}@10de:1b80,03:00.0 vfio.group=listed");
        let machine = machine();
        let result = run(&machine, &line);
        assert_eq!(result.bound, [NIC], "{line}");
        let others = [0xa808, 0xa809].map(|id| Refusal::OtherId(0x144d, id));
        assert_eq!(result.refusals, others, "{line}");
        assert_eq!(result.exit, EXIT_NOT_BOUND, "{line}");
    }
    // Who names one of them without an ID gets none of them as a sibling: half a group is of no use.
    let result = run(&machine(), "vfio.bind=05:00@10de:1b80,05:00.1");
    assert_eq!(result.bound, [""; 0]);
    // A class and an ID are no place: the ID behind them only narrows.
    for (line, bound) in [
        (
            "vfio.bind=class:02@144d:a808,05:00.1",
            &[DISK, "0000:05:00.1"][..],
        ),
        ("vfio.bind=8086:*@8086:1572,!03:00", &[TWIN]),
    ] {
        assert_eq!(run(&machine(), line).bound, bound, "{line}");
    }
}

#[test]
fn what_is_protected_keeps_its_whole_group() {
    let conf = "etc/vfio-bind/protected.conf";
    let other: vfio_bind_agent::pci::address::Address =
        vfio_bind_agent::pci::address::Address::parse(DISK.as_bytes()).unwrap();
    for line in [
        "vfio.bind=05:00.1",
        "vfio.bind=05:00.1 vfio.group=listed",
        "vfio.bind=05:00.0,05:00.1",
        "vfio_pci.ids=144d:a809",
    ] {
        let machine = machine();
        // In the place of the disk sits another one by now: it is left alone all the same.
        write(&machine, conf, "vfio.protect=00:1e.0/00.0@144d:ffff # /\n");
        let result = run(&machine, line);
        assert!(!result.refusals.is_empty(), "{line}");
        assert!(
            result
                .refusals
                .iter()
                .all(|r| *r == Refusal::Protected(other)),
            "{line}"
        );
        assert_eq!(result.exit, EXIT_NOT_BOUND, "{line}");
        // Nobody else gives the IDs to vfio-pci later.
        let loads = line
            .starts_with("vfio_pci.ids=")
            .then_some("modprobe vfio-pci ids=");
        assert_eq!(machine.take_events(), Vec::from_iter(loads), "{line}");

        let result = run(&machine, &format!("{line} vfio.force"));
        // The disk alone keeps its driver there, and the group is not viable.
        let exit = if line.ends_with("listed") {
            EXIT_NOT_BOUND
        } else {
            EXIT_DONE
        };
        assert_eq!(result.exit, exit, "{line}");
        assert!(result.bound.contains(&"0000:05:00.1".to_owned()), "{line}");
    }
}

#[test]
fn what_is_protected_is_no_reason_to_do_anything() {
    let machine = machine();
    write(
        &machine,
        "etc/vfio-bind/protected.conf",
        "vfio.protect=00:1e.0/00.0\n",
    );
    let mut quiet = false;
    run::perform(&machine, b"quiet", &|| 0, &mut |record| {
        quiet = record.policy.is_empty();
        record.exit()
    });
    assert!(quiet);
    // Nor to look at the machine, so that nobody knows whether it is there.
    for line in ["vfio.protect=05:00.0", "vfio.protect=144d:a808 vfio.force"] {
        assert_eq!(run(&machine, line).exit, EXIT_DONE, "{line}");
    }
    // A typing error in it may hide the disk.
    write(
        &machine,
        "etc/vfio-bind/protected.conf",
        "vfio.protect=00:1e.0/00\n",
    );
    let result = run(&machine, "vfio.bind=03:00.0");
    assert_eq!(result.refusals, [Refusal::UnclearPolicy]);
    assert_eq!(run(&machine, "vfio.force").exit, EXIT_POLICY);
}

#[test]
fn a_policy_that_cannot_be_read_may_hide_what_must_be_left_alone() {
    for file in ["policy.conf", "protected.conf"] {
        let machine = machine();
        // Reading a directory answers EISDIR.
        let _ = fs::remove_file(machine.path("etc/vfio-bind").join(file));
        fs::create_dir_all(machine.path("etc/vfio-bind").join(file)).unwrap();
        let result = run(&machine, "vfio.bind=03:00.0");
        assert_eq!(
            result.problems,
            [format!("etc/vfio-bind/{file}: EISDIR; nothing is bound")]
        );
        assert_eq!(result.refusals, [Refusal::UnclearPolicy]);
        assert_eq!(machine.take_events(), [""; 0]);
    }
}

#[test]
fn what_vfio_pci_had_before_by_its_ids_is_told_where_the_policy_leaves_it_alone() {
    let machine = FakeMachine::new(&[
        Card::new(NIC, 0x8086, 0x1572, 0x02_0000, 3).on("vfio-pci"),
        Card::new(TWIN, 0x8086, 0x1572, 0x02_0000, 5).on("vfio-pci"),
        Card::new(DISK, 0x144d, 0xa808, 0x01_0802, 6).on("vfio-pci"),
    ])
    .with_vfio_pci();
    for word in ["vfio.bind=!0000:04:00.0", "vfio.protect=0000:04:00.0"] {
        let result = run(&machine, &format!("vfio_pci.ids=8086:1572 {word}"));
        assert_eq!(result.refusals, [Refusal::KernelHasIt], "{word}");
        assert_eq!(result.exit, EXIT_NOT_BOUND, "{word}");
        assert_eq!(machine.driver(TWIN).as_deref(), Some("vfio-pci"));
    }
    // Whoever gave the disk to it, the policy has no say in that.
    let result = run(&machine, "vfio_pci.ids=8086:1572 vfio.bind=!0000:05:00.0");
    assert_eq!((result.refusals, result.exit), (vec![], EXIT_DONE));
}

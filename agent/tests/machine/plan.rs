//! Plans for real machines, whose trees are in tests/topologies.

use std::collections::BTreeSet;

use crate::support::{Card, FakeMachine, address, topology};
use vfio_bind_agent::machine::inventory::{Inventory, MAX_FUNCTIONS};
use vfio_bind_agent::machine::survey;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::record::Record;
use vfio_bind_agent::run;

/// Every machine, and a check that a new file is not forgotten.
pub const MACHINES: [&str; 12] = [
    "amd-apu-laptop-picasso",
    "amd-ryzen-b550-desktop",
    "arm64-ampere-altra-multidomain",
    "dual-socket-xeon-server-r720",
    "intel-vmd-laptop-tigerlake",
    "intel-z390-desktop-peg-group",
    "iommu-off-laptop-hybrid-vmd",
    "nvme-same-model-threadripper-trx40",
    "threadripper-two-gpu-vendors-trx40",
    "thunderbolt-hybrid-laptop-xps15",
    "two-identical-gpus-threadripper-x399",
    "xeon-server-sriov-nic-legacy-pci-group",
];

fn with_plan<T>(machine: &FakeMachine, line: &str, mut then: impl FnMut(&Record<'_>) -> T) -> T {
    let mut result = None;
    run::rehearse(
        machine,
        line.as_bytes(),
        run::Extent::Whole,
        &mut |record| {
            result = Some(then(record));
            record.exit()
        },
    );
    result.unwrap()
}

/// The addresses a plan binds.
fn bound(machine: &FakeMachine, line: &str) -> BTreeSet<String> {
    with_plan(machine, line, |record| {
        let bound = record.plan.bound();
        bound.map(|step| address(record, step)).collect()
    })
}

/// The reasons for which a plan refuses what was asked for.
fn refusals(machine: &FakeMachine, line: &str) -> Vec<String> {
    with_plan(machine, line, |record| {
        let refusal = |step: &vfio_bind_agent::plan::decision::Step| match step.decision {
            Decision::Refuse(refusal) => {
                let address = record.inventory.get(step.function).unwrap().address;
                Some(format!("{address}: {refusal}"))
            }
            _ => None,
        };
        record.plan.steps.iter().filter_map(refusal).collect()
    })
}

fn set(addresses: &[&str]) -> BTreeSet<String> {
    addresses
        .iter()
        .map(|&address| address.to_owned())
        .collect()
}

#[test]
fn every_topology_is_read_whole() {
    for name in MACHINES {
        let cards = topology(name);
        let machine = FakeMachine::new(&cards);
        let mut inventory = Inventory::default();
        survey::scan(&machine, &mut inventory).unwrap();
        assert_eq!(inventory.len(), cards.len(), "{name}");
        for ((_, function), card) in inventory.iter().zip(&cards) {
            assert_eq!(function.address.to_string(), card.address, "{name}");
            assert_eq!(function.group, card.group, "{name} {}", card.address);
            assert_eq!(function.bridge, card.bridge, "{name} {}", card.address);
            assert_eq!(function.driver.as_deref(), card.driver.as_deref(), "{name}");
        }
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/topologies"));
    let tables = files
        .unwrap()
        .filter(|file| file.as_ref().unwrap().path().extension() == Some("tsv".as_ref()));
    assert_eq!(tables.count(), MACHINES.len());
}

#[test]
fn one_of_two_identical_gpus() {
    let machine = FakeMachine::from_topology("two-identical-gpus-threadripper-x399");
    let first = set(&["0000:08:00.0", "0000:08:00.1"]);
    assert_eq!(bound(&machine, "vfio.bind=0000:08:00.0"), first);
    // The twin sits where the kernel made no groups: vfio-pci would leave it dead.
    assert_eq!(bound(&machine, "vfio.bind=0000:42:00.0"), set(&[]));
    assert_eq!(
        refusals(&machine, "vfio.bind=0000:42:00.0"),
        [
            "0000:42:00.0: the kernel gave it no IOMMU group, although other functions have one; \
          vfio-pci would not take it"
        ]
    );
    assert_eq!(bound(&machine, "vfio_pci.ids=10de:2204"), first);
    assert_eq!(bound(&machine, "vfio.bind=10de:2204,!08:00.0"), set(&[]));
}

#[test]
fn a_nic_in_the_group_of_the_chipset() {
    let machine = FakeMachine::from_topology("amd-ryzen-b550-desktop");
    let nic = topology("amd-ryzen-b550-desktop")
        .into_iter()
        .find(|card| card.class >> 8 == 0x0200)
        .unwrap();
    let line = format!("vfio.bind={}", nic.address);
    assert!(
        bound(&machine, &line).len() > 1,
        "SATA and USB of the chipset come along"
    );
    assert_eq!(
        bound(&machine, &format!("{line} vfio.group=listed")),
        set(&[&nic.address])
    );
    assert_eq!(
        bound(&machine, &format!("{line} vfio.group=strict")),
        set(&[])
    );
}

#[test]
fn a_disk_behind_vmd_in_a_domain_of_five_digits() {
    let machine = FakeMachine::from_topology("intel-vmd-laptop-tigerlake");
    let disk = "vfio.bind=10000:e1:00.0";
    // Taking the controller from its driver would take the disk away with it.
    assert_eq!(
        refusals(&machine, disk),
        [
            "10000:e1:00.0: it shares its IOMMU group with the VMD controller 0000:00:0e.0; turn VMD \
          off in the firmware setup, or select the controller with all that is behind it"
        ]
    );
    assert_eq!(bound(&machine, disk), set(&[]));
    assert_eq!(
        bound(&machine, &format!("{disk} vfio.group=listed")),
        set(&[])
    );
    let whole = set(&["0000:00:0e.0", "10000:e1:00.0"]);
    assert_eq!(bound(&machine, "vfio.bind=0000:00:0e.0"), whole);
}

#[test]
fn without_an_iommu_nothing_is_planned() {
    let machine = FakeMachine::from_topology("iommu-off-laptop-hybrid-vmd");
    assert_eq!(bound(&machine, "vfio.bind=*:*"), set(&[]));
    let refusals = refusals(&machine, "vfio_pci.ids=ffffffff:ffffffff");
    assert!(!refusals.is_empty());
    assert!(
        refusals
            .iter()
            .all(|refusal| refusal.ends_with("the kernel uses no IOMMU")
                || refusal.contains("bridges are never bound")),
        "{refusals:?}"
    );
}

#[test]
fn a_machine_beyond_the_limit_is_told_of() {
    let cards: Vec<_> = (0..MAX_FUNCTIONS + 5)
        .map(|at| {
            let address = format!(
                "{:04x}:{:02x}:{:02x}.0",
                at >> 13,
                (at >> 5) & 0xff,
                at & 0x1f
            );
            Card::new(
                &address,
                0x8086,
                0x1572,
                0x02_0000,
                u32::try_from(at).unwrap(),
            )
        })
        .collect();
    let machine = FakeMachine::new(&cards);
    let (beyond, exit) = with_plan(&machine, "vfio.bind=0000:00:00.0", |record| {
        (record.inventory.beyond_limit, record.exit())
    });
    assert_eq!((beyond, exit), (5, 1));
}

#[test]
fn what_belongs_to_the_machine_is_taken_where_it_is_named_and_never_swept_up() {
    // In one group with the audio controller, the SMBus and the SPI controller.
    const ISA: &str = "0000:00:1f.0";
    let machine = FakeMachine::from_topology("intel-z390-desktop-peg-group");
    for selector in [
        "class:06",
        "class:060100",
        "*:*:*:*:060100",
        "8086:*:*:*:060100",
        "*:a305",
        "8086:*:1458:*:060100:ffff00",
    ] {
        let line = format!("vfio.bind={selector}");
        assert!(!bound(&machine, &line).contains(ISA), "{line}");
        let told = format!(
            "{ISA}: it belongs to the machine itself; name it by address or whole ID to take it"
        );
        assert!(refusals(&machine, &line).contains(&told), "{line}");
    }
    for word in [
        "vfio.bind=00:1f.0",
        "vfio.bind=8086:a305",
        "vfio.bind=8086:a305:*:*:060100",
        "vfio_pci.ids=8086:a305",
    ] {
        let line = format!("{word} vfio.group=listed");
        assert_eq!(bound(&machine, &line), set(&[ISA]), "{line}");
    }
}

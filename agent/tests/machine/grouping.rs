//! Machines on which the kernel has not made its IOMMU groups when the agent looks.

use std::time::Duration;

use crate::support::{Card, FakeMachine, Trouble};
use rustix::io::Errno;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, Record, State};
use vfio_bind_agent::run;

const GPU: &str = "0000:42:00.0";
const AUDIO: &str = "0000:42:00.1";
/// Behind the same root port as [`GPU`], but in a group of its own.
const DISK: &str = "0000:43:00.0";
/// Behind another root port.
const NIC: &str = "0000:51:00.0";

fn cards() -> Vec<Card> {
    vec![
        Card::new("0000:00:07.0", 0x1af4, 0x1057, 0x00_ff00, 7).on("virtio-pci"),
        Card::new("0000:41:00.0", 0x1b36, 0x000c, 0x06_0400, 1)
            .on("pcieport")
            .bridge(),
        Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 15),
        Card::new(AUDIO, 0x8086, 0x2668, 0x04_0300, 15),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 16),
        Card::new(NIC, 0x8086, 0x100e, 0x02_0000, 17),
    ]
}

fn machine() -> FakeMachine {
    let machine = FakeMachine::new(&cards());
    for (address, bridges) in [
        (GPU, "0000:41/0000:41:00.0"),
        (AUDIO, "0000:41/0000:41:00.0"),
        (DISK, "0000:41/0000:41:00.0/0000:43:01.0"),
        (NIC, "0000:41/0000:41:01.0"),
    ] {
        machine.put_behind(address, bridges);
    }
    machine
}

/// What a record says.
#[derive(Debug)]
struct Told {
    exit: u8,
    state: State,
    iommu: String,
    advice: String,
    steps: Vec<String>,
    refusals: Vec<Refusal>,
}

fn told(record: &Record<'_>) -> Told {
    let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
    let steps = steps.map(|(step, outcome)| {
        let address = record.inventory.get(step.function).unwrap().address;
        format!("{address} {}", outcome.fate)
    });
    Told {
        exit: record.exit(),
        state: record.state,
        iommu: record.iommu.to_string(),
        advice: record.advice.map(|a| a.to_string()).unwrap_or_default(),
        steps: steps.collect(),
        refusals: (record.plan.steps.iter())
            .filter_map(|step| match step.decision {
                Decision::Refuse(refusal) => Some(refusal),
                _ => None,
            })
            .collect(),
    }
}

fn run(machine: &FakeMachine, line: &str) -> Told {
    let mut result = None;
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
        result = Some(told(record));
        record.exit()
    });
    result.unwrap()
}

/// What wakes a function and leaves it as it was.
fn woken(address: &str) -> Vec<String> {
    vec![
        format!("{address}/driver_override = pci-stub"),
        format!("drivers_probe = {address}"),
        format!("{address}/driver_override = \\n"),
        format!("drivers/pci-stub/unbind = {address}"),
        format!("drivers_probe = {address}"),
    ]
}

#[test]
fn the_driver_of_a_virtio_iommu_is_loaded_first() {
    let machine = machine().with_idle_iommu();
    let told = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(told.exit, EXIT_DONE, "{told:?}");
    assert_eq!(told.steps, [GPU, AUDIO].map(|a| format!("{a} bound")));
    assert_eq!(told.iommu, "virtio");
    assert_eq!(
        machine.take_events(),
        [
            "modprobe virtio_iommu",
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "modprobe vfio-pci",
        ]
    );
}

#[test]
fn a_virtio_iommu_that_is_no_virtio_device_yet_gets_both_drivers() {
    let mut cards = cards();
    cards[0].driver = None;
    let machine = FakeMachine::new(&cards).with_idle_iommu();
    assert_eq!(run(&machine, "vfio.bind=42:00.0").exit, EXIT_DONE);
    let events = machine.take_events();
    assert_eq!(
        events[..2],
        ["modprobe virtio_pci", "modprobe virtio_iommu"]
    );
}

#[test]
fn where_that_driver_does_not_help_nothing_else_is_done() {
    let missing = || Trouble {
        missing: vec!["virtio_iommu"],
        ..Trouble::default()
    };
    let without_groups = cards().into_iter().map(|card| Card {
        group: None,
        ..card
    });
    let without_groups = FakeMachine::new(&without_groups.collect::<Vec<_>>());
    for (machine, advice) in [
        (
            machine().with(missing()).with_idle_iommu(),
            "virtio_iommu, the driver of its virtio-iommu, is not there: modprobe ended with status \
             1; the module may be missing from this image; put virtio_iommu into the image, or boot \
             a kernel that has it",
        ),
        (
            without_groups,
            "modprobe virtio_iommu ended well, but no function got an IOMMU group; look for `iommu` \
             in the kernel log",
        ),
    ] {
        let told = run(&machine, "vfio.bind=42:00.0");
        assert_eq!((told.exit, told.state), (EXIT_NOT_BOUND, State::NoIommu));
        assert_eq!(told.advice, advice);
        let events = machine.take_events();
        assert_eq!(events[0], "modprobe virtio_iommu");
        assert!(
            !events.iter().any(|event| event.contains("vfio")),
            "{events:?}"
        );
        assert_eq!(machine.driver_override(GPU), "");
    }
}

#[test]
fn nothing_is_loaded_where_nothing_may_be_done() {
    let waits = "its virtio-iommu has no driver yet; at boot the agent loads virtio_iommu";
    for (line, state, advice) in [
        ("quiet", State::NothingAsked, ""),
        ("vfio.bind=42:00.0 vfio.bind=off", State::Off, ""),
        ("vfio.bind=42:00.0 vfio.dry_run", State::NoIommu, waits),
    ] {
        let machine = machine().with_idle_iommu();
        let told = run(&machine, line);
        assert_eq!(
            (told.state, told.advice.as_str()),
            (state, advice),
            "{line}"
        );
        assert_eq!(machine.take_events(), [""; 0], "{line}");
    }
    let machine = machine().with_idle_iommu();
    let mut told = None;
    run::rehearse(
        &machine,
        b"vfio.bind=42:00.0",
        run::Extent::Whole,
        &mut |record| {
            told = Some(self::told(record));
            record.exit()
        },
    );
    let told = told.unwrap();
    assert_eq!((told.state, told.advice.as_str()), (State::NoIommu, waits));
    assert_eq!(machine.take_events(), [""; 0]);
}

#[test]
fn an_iommu_that_works_needs_no_driver() {
    let machine = machine();
    assert_eq!(run(&machine, "vfio.bind=42:00.0").exit, EXIT_DONE);
    let events = machine.take_events();
    assert!(
        !events.contains(&"modprobe virtio_iommu".to_owned()),
        "{events:?}"
    );
}

#[test]
fn groups_that_come_with_a_driver_are_made_first() {
    for iommu in [
        "0000:00:07.0",
        "smmu3.0x0000000009050000",
        "smmu.0x2b400000",
    ] {
        let machine = machine().with_late_groups(iommu);
        let told = run(&machine, "vfio.bind=42:00.0");
        assert_eq!(told.exit, EXIT_DONE, "{told:?}");
        assert_eq!(told.steps, [GPU, AUDIO].map(|a| format!("{a} bound")));
        let expected: Vec<_> = ["modprobe pci-stub".to_owned()]
            .into_iter()
            .chain([GPU, AUDIO, DISK].into_iter().flat_map(woken))
            .chain(
                [
                    "0000:42:00.0/driver_override = vfio-pci",
                    "0000:42:00.1/driver_override = vfio-pci",
                    "modprobe vfio-pci",
                ]
                .map(str::to_owned),
            )
            .collect();
        assert_eq!(machine.take_events(), expected);
        assert_eq!(machine.driver_override(DISK), "");
    }
}

#[test]
fn what_was_woken_and_is_not_asked_for_gets_its_native_driver() {
    let machine = machine().with_late_groups("0000:00:07.0");
    machine.expect_native(DISK, "nvme");
    assert_eq!(run(&machine, "vfio.bind=42:00.0").exit, EXIT_DONE);
    assert_eq!(machine.driver(DISK).as_deref(), Some("nvme"));
    assert_eq!(machine.driver(AUDIO).as_deref(), Some("vfio-pci"));
    assert_eq!(machine.driver(NIC), None);
}

#[test]
fn a_protected_sibling_is_seen_although_its_group_comes_late() {
    let machine = machine().with_late_groups("0000:00:07.0");
    let told = run(&machine, "vfio.bind=42:00.0 vfio.protect=42:00.1");
    assert_eq!(told.steps, [format!("{GPU} refused")]);
    assert_eq!(machine.driver(GPU), None);
    assert_eq!(machine.driver_override(GPU), "");
}

#[test]
fn without_the_stub_no_group_is_made_and_nothing_bound() {
    let machine = machine()
        .with(Trouble {
            missing: vec!["pci-stub"],
            ..Trouble::default()
        })
        .with_late_groups("0000:00:07.0");
    let told = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(told.exit, EXIT_NOT_BOUND);
    assert_eq!(told.steps, [format!("{GPU} refused")]);
    assert_eq!(told.refusals, [Refusal::NoGroup]);
    assert_eq!(machine.take_events(), ["modprobe pci-stub"]);
}

#[test]
fn a_dry_run_makes_no_group_and_says_so() {
    let machine = machine().with_late_groups("0000:00:07.0");
    let told = run(&machine, "vfio.bind=42:00.0 vfio.dry_run");
    assert_eq!(told.refusals, [Refusal::NoGroupYet]);
    assert_eq!(machine.take_events(), [""; 0]);
}

#[test]
fn a_function_that_cannot_be_woken_keeps_its_override_and_stops_no_boot() {
    for path in [
        format!("{GPU}/driver_override"),
        "pci-stub/unbind".to_owned(),
    ] {
        let machine = machine()
            .with_late_groups("0000:00:07.0")
            .with(Trouble::write_answers(&path, Errno::IO));
        let told = run(&machine, "vfio.bind=42:00.0");
        assert_eq!(told.exit, EXIT_NOT_BOUND, "{path}: {told:?}");
        for address in [GPU, AUDIO, DISK] {
            assert_ne!(machine.driver_override(address), "pci-stub", "{path}");
        }
    }
    let machine = machine().with_late_groups("0000:00:07.0");
    for address in [GPU, AUDIO, DISK] {
        machine.lock(address);
    }
    let told = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(told.exit, EXIT_NOT_BOUND);
    // One that hangs is enough.
    assert_eq!(machine.waited(), Duration::from_secs(2));
}

//! Machines on which the kernel has not made its IOMMU groups when the agent looks.

use std::time::Duration;

use crate::snapshots::messages;
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
        format!("{address}/driver_override = pcieport"),
        format!("drivers_probe = {address}"),
        format!("{address}/driver_override = \\n"),
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
    for iommu in ["0000:00:07.0", "smmu3.0x0000000009050000"] {
        let machine = machine().with_late_groups(iommu);
        let told = run(&machine, "vfio.bind=42:00.0");
        assert_eq!(told.exit, EXIT_DONE, "{told:?}");
        assert_eq!(told.steps, [GPU, AUDIO].map(|a| format!("{a} bound")));
        let expected: Vec<_> = [GPU, AUDIO, DISK]
            .into_iter()
            .flat_map(woken)
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
fn without_a_driver_to_offer_it_to_no_group_is_made_and_nothing_bound() {
    let machine = FakeMachine::new(&[Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 15)])
        .with_late_groups("0000:00:07.0");
    std::fs::remove_dir(machine.path("sys/bus/pci/drivers/pcieport")).unwrap();
    let mut told = None;
    let log = messages(|| told = Some(run(&machine, "vfio.bind=42:00.0")));
    let told = told.unwrap();
    assert_eq!(told.exit, EXIT_NOT_BOUND);
    assert_eq!(told.refusals, [Refusal::InDoubt]);
    assert_eq!(machine.take_events(), [""; 0]);
    assert!(log.contains("the kernel has no driver pcieport"), "{log}");
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
    let machine = machine().with_late_groups("0000:00:07.0");
    for address in [GPU, AUDIO, DISK] {
        machine.lock(address);
    }
    let told = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(told.exit, EXIT_NOT_BOUND);
    // One that hangs is enough.
    assert_eq!(machine.waited(), Duration::from_secs(2));
    machine.let_go();
    for address in [GPU, AUDIO, DISK] {
        assert_eq!(machine.driver_override(address), "", "{address}");
        assert_eq!(machine.driver(address), None, "{address}");
    }
}

/// Asks for all of a machine of whose functions one cannot be woken.
fn run_without(address: &str) -> (FakeMachine, Told, String) {
    let trouble = Trouble::write_answers(&format!("{address}/driver_override"), Errno::IO);
    let machine = machine().with(trouble).with_late_groups("0000:00:07.0");
    let mut told = None;
    let line = "vfio.bind=42:00.0,43:00.0,51:00.0";
    let log = messages(|| told = Some(run(&machine, line)));
    (machine, told.unwrap(), log)
}

#[test]
fn what_may_share_the_group_of_one_that_cannot_be_woken_is_left_alone() {
    for sleeper in [GPU, AUDIO, DISK] {
        let (machine, told, log) = run_without(sleeper);
        assert_eq!(told.exit, EXIT_NOT_BOUND);
        assert_eq!(
            told.steps,
            [
                format!("{GPU} refused"),
                format!("{DISK} refused"),
                // Behind another slot of the root bus.
                format!("{NIC} bound"),
            ],
            "{sleeper}"
        );
        assert_eq!(told.refusals, [Refusal::InDoubt; 2], "{sleeper}");
        for address in [GPU, AUDIO, DISK] {
            assert_eq!(machine.driver(address), None, "{sleeper}");
            assert_eq!(machine.driver_override(address), "", "{sleeper}");
        }
        let expected = format!(
            "{sleeper}: write(driver_override) to undo it: EIO; its override may still be pcieport, and \
             where its IOMMU group is not known nothing is bound that may share it"
        );
        assert!(log.contains(&expected), "{log}");
    }
}

#[test]
fn what_nobody_can_tell_the_place_of_puts_all_in_doubt() {
    let cards: Vec<_> = [(GPU, 15), (NIC, 17)]
        .map(|(address, group)| Card::new(address, 0x8086, 0x1572, 0x02_0000, group))
        .into();
    let trouble = Trouble::write_answers(&format!("{GPU}/driver_override"), Errno::IO);
    let machine = FakeMachine::new(&cards)
        .with(trouble)
        .with_late_groups("0000:00:07.0");
    let told = run(&machine, "vfio.bind=51:00.0");
    assert_eq!(told.steps, [format!("{NIC} refused")]);
}

#[test]
fn a_bridge_without_a_driver_is_woken_and_may_keep_its_group() {
    const BRIDGE: &str = "0000:41:01.0";
    let mut cards = cards();
    cards.push(Card::new(BRIDGE, 0x1b36, 0x000e, 0x06_0400, 16).bridge_to(0x43, 0x43));
    for (word, expected) in [
        ("vfio.bind=!41:01.0", "refused"),
        ("vfio.protect=41:01.0", "refused"),
        ("quiet", "bound"),
    ] {
        let machine = FakeMachine::new(&cards);
        machine.put_behind(DISK, "0000:41/0000:41:00.0/0000:43:01.0");
        machine.put_behind(BRIDGE, "0000:41/0000:41:00.0");
        let machine = machine.with_late_groups("0000:00:07.0");
        let told = run(&machine, &format!("vfio.bind=43:00.0 {word}"));
        assert_eq!(told.steps, [format!("{DISK} {expected}")], "{word}");
        assert_eq!(machine.driver(BRIDGE), None, "{word}");
        assert_eq!(machine.driver_override(BRIDGE), "", "{word}");
    }
}

#[test]
fn groups_that_go_beyond_a_slot_of_the_root_bus_are_seen_whole() {
    // The stream mappings of an older SMMU, or one group for each IOMMU.
    let mut cards = cards();
    cards[5].group = cards[2].group;
    for (iommu, both) in [
        ("smmu.0x2b400000", true),
        ("10bd0000.iommu", true),
        ("smmu3.0x0000000009050000", false),
    ] {
        let machine = FakeMachine::new(&cards);
        for (address, bridges) in [
            (GPU, "0000:41/0000:41:00.0"),
            (AUDIO, "0000:41/0000:41:00.0"),
            (NIC, "0000:41/0000:41:01.0"),
        ] {
            machine.put_behind(address, bridges);
        }
        let machine = machine.with_late_groups(iommu);
        let told = run(&machine, "vfio.bind=42:00.0");
        assert_eq!(
            told.steps.contains(&format!("{NIC} bound")),
            both,
            "{iommu}"
        );
    }
}

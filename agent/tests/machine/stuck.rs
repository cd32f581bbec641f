//! Drivers that do not let go, and the time that a run has for them.

use std::time::Duration;

use crate::one_gpu::{AUDIO, GPU, cards, drivers, native_cards, on, overrides, run};
use crate::snapshots::messages;
use crate::support::{Card, FakeMachine, Trouble};
use rustix::io::Errno;
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::record::EXIT_NOT_BOUND;

fn stalling_cards() -> FakeMachine {
    let trouble = Trouble::stuck(GPU);
    FakeMachine::new(&native_cards()).with(trouble)
}

#[test]
fn a_driver_that_does_not_let_go_is_told_and_left() {
    let machine = stalling_cards();
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "modprobe vfio-pci",
            "0000:42:00.0/driver/unbind = 0000:42:00.0",
            "0000:42:00.1/driver_override = \\n",
        ],
        "its sibling keeps its driver"
    );
    assert_eq!(drivers(&machine), on(["", "snd_hda_intel", "nvme"]));
    assert_eq!(machine.waited(), Duration::from_millis(10_200));
    assert_eq!(
        result.reasons,
        [
            "its driver did not let go within 10 s and may never; keep that driver from loading",
            "0000:42:00.0 of the same IOMMU group could not be bound",
        ]
    );
    assert_eq!(result.fate(GPU), Some(Fate::Failed));
    assert_eq!(result.fate(AUDIO), Some(Fate::Returned));
    assert_eq!(result.exit, EXIT_NOT_BOUND);
    machine.let_go();
    assert_eq!(
        drivers(&machine),
        on(["bochs-drm", "snd_hda_intel", "nvme"]),
        "everything was undone for a driver that is late"
    );
    assert_eq!(overrides(&machine), ["", "", ""]);
}

#[test]
fn hold_waits_no_longer_and_keeps_the_override() {
    let machine = stalling_cards();
    let result = run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold");
    assert_eq!(machine.waited(), Duration::from_secs(10));
    assert_eq!(result.fate(GPU), Some(Fate::Failed), "its driver has it");
    assert_eq!(result.fate(AUDIO), Some(Fate::Bound));
    assert_eq!(drivers(&machine), on(["", "vfio-pci", "nvme"]));
    machine.let_go();
    assert_eq!(overrides(&machine), ["vfio-pci", "vfio-pci", ""]);
}

#[test]
fn a_second_run_does_not_hang_on_a_held_lock() {
    let machine = stalling_cards();
    run(&machine, "vfio.bind=42:00.0");
    let before = machine.waited();
    machine.take_events();
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(
        machine.take_events(),
        [""; 0],
        "its sibling is not even tried"
    );
    assert_eq!(machine.waited() - before, Duration::from_millis(2_100));
    assert_eq!(result.fate(GPU), Some(Fate::Failed));
    assert_eq!(result.fate(AUDIO), Some(Fate::Returned));
}

/// Pairs of functions on a native driver, each in a group of its own; those of the first groups are
/// stuck.
fn many_groups(groups: u8, stuck: u8) -> FakeMachine {
    let address = |bus: u8, function: u8| format!("0000:{bus:02x}:00.{function}");
    let both = |bus| [0, 1].map(|function| address(bus, function));
    let card = |bus: u8, address: &String| {
        Card::new(address, 0x1234, 0x1111, 0x03_0000, bus.into()).on("native")
    };
    let cards = (1..=groups).flat_map(|bus| both(bus).map(|address| card(bus, &address)));
    let cards: Vec<_> = cards.collect();
    FakeMachine::new(&cards).with(Trouble {
        stuck: (1..=stuck).map(|bus| address(bus, 0)).collect(),
        time: Some(Duration::from_secs(60)),
        ..Trouble::default()
    })
}

#[test]
fn the_time_of_a_run_has_an_end_and_what_is_not_done_then_is_undone() {
    let machine = many_groups(20, 13);
    let result = run(&machine, "vfio.bind=1234:1111");
    // Six drivers were waited for, and their locks a moment longer while that was undone.
    let waited = machine.waited();
    assert!(
        (Duration::from_secs(60)..Duration::from_secs(64)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(result.exit, EXIT_NOT_BOUND);
    for bus in 1..=20 {
        let first = format!("0000:{bus:02x}:00.0");
        let second = format!("0000:{bus:02x}:00.1");
        let expected = if bus <= 6 {
            Fate::Failed
        } else {
            Fate::Returned
        };
        assert_eq!(result.fate(&first), Some(expected), "{first}");
        assert_eq!(result.fate(&second), Some(Fate::Returned), "{second}");
        assert_eq!(machine.driver_override(&second), "", "{second}");
        assert_eq!(machine.driver(&second).as_deref(), Some("native"));
    }
    let late = result
        .reasons
        .iter()
        .filter(|reason| reason.starts_with("no time was left; what took so long is told as well"));
    assert!(late.count() >= 14, "{:?}", result.reasons);
    machine.let_go();
    for bus in 1..=20 {
        let address = format!("0000:{bus:02x}:00.0");
        assert_eq!(machine.driver_override(&address), "", "{address}");
        assert_eq!(machine.driver(&address).as_deref(), Some("native"));
    }
}

#[test]
fn a_group_that_is_locked_is_waited_for_once() {
    let machine = many_groups(3, 0);
    for function in ["0000:01:00.0", "0000:01:00.1"] {
        machine.lock(function);
    }
    let result = run(&machine, "vfio.bind=1234:1111");
    assert!(
        machine.waited() < Duration::from_millis(2_500),
        "{:?}",
        machine.waited()
    );
    assert_eq!(result.fate("0000:02:00.0"), Some(Fate::Bound));
    assert_eq!(result.fate("0000:03:00.1"), Some(Fate::Bound));
}

#[test]
fn what_hangs_is_told_once() {
    let refused = Trouble {
        probe_refuses: vec![AUDIO.to_owned()],
        writes: vec![(format!("{GPU}/driver/unbind"), Errno::TIMEDOUT)],
        ..Trouble::default()
    };
    for (machine, expected) in [
        (stalling_cards(), &[][..]),
        (
            FakeMachine::new(&cards()).with(refused),
            &[
                "0000:42:00.0: its driver did not let go within 10 s and may never; keep that driver from \
                 loading",
            ],
        ),
    ] {
        let log = messages(|| drop(run(&machine, "vfio.bind=42:00.0")));
        assert_eq!(log.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_a_call_answered_is_the_reason() {
    for (file, answer, reason) in [
        (
            "drivers_probe",
            Errno::TIMEDOUT,
            "write(drivers_probe): ETIMEDOUT",
        ),
        (
            "0000:42:00.0/driver/unbind",
            Errno::NODEV,
            "write(driver/unbind): ENODEV",
        ),
    ] {
        let machine = FakeMachine::new(&native_cards()).with(Trouble::write_answers(file, answer));
        let result = run(&machine, "vfio.bind=42:00.0");
        let sibling = "0000:42:00.0 of the same IOMMU group could not be bound";
        assert_eq!(result.reasons, [reason, sibling], "{file}");
    }
}

#[test]
fn what_hangs_on_the_way_back_is_waited_for_once() {
    let machine = FakeMachine::new(&cards()).with(Trouble {
        probe_refuses: vec![AUDIO.to_owned()],
        stuck: vec![GPU.to_owned()],
        ..Trouble::default()
    });
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.fate(GPU), Some(Fate::Failed));
    assert_eq!(machine.waited(), Duration::from_millis(10_100));
}

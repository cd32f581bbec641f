//! What is written to a machine, in which order, and what is left behind.

use crate::one_gpu::{AUDIO, GPU, cards, drivers, native_cards, on, overrides, run};
use crate::snapshots::messages;
use crate::support::{Card, FakeMachine, Trouble};
use rustix::io::Errno;
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY, State};

#[test]
fn a_sibling_that_appears_late_is_told() {
    let machine = FakeMachine::new(&cards());
    crate::support::write(
        &machine,
        "sys/kernel/iommu_groups/15/devices/0000:42:00.2",
        "",
    );
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.newcomers, ["0000:42:00.2"]);
    assert_eq!(result.exit, EXIT_NOT_BOUND);
    assert_eq!(drivers(&machine), on(["vfio-pci", "vfio-pci", "nvme"]));
}

#[test]
fn the_container_gets_the_part_that_maps_memory() {
    let machine = FakeMachine::new(&cards());
    std::fs::create_dir_all(machine.path("dev/vfio")).unwrap();
    std::fs::write(machine.path("dev/vfio/vfio"), "").unwrap();
    let modules = |machine: &FakeMachine| {
        let events = machine.take_events();
        let loads = events
            .into_iter()
            .filter(|event| event.starts_with("modprobe"));
        loads.collect::<Vec<_>>()
    };
    assert_eq!(run(&machine, "vfio.bind=42:00.0").exit, EXIT_DONE);
    assert_eq!(
        modules(&machine),
        ["modprobe vfio-pci", "modprobe vfio_iommu_type1"]
    );

    // Built in, or there by vfio's soft dependency.
    std::fs::create_dir_all(machine.path("sys/module/vfio_iommu_type1")).unwrap();
    assert_eq!(run(&machine, "vfio.bind=01:00.0").exit, EXIT_DONE);
    assert_eq!(modules(&machine), [""; 0]);
}

#[test]
fn what_is_written_and_in_which_order() {
    const OVERRIDES: [&str; 2] = [
        "0000:42:00.0/driver_override = vfio-pci",
        "0000:42:00.1/driver_override = vfio-pci",
    ];
    const UNBINDS: [&str; 2] = [
        "0000:42:00.0/driver/unbind = 0000:42:00.0",
        "0000:42:00.1/driver/unbind = 0000:42:00.1",
    ];
    const PROBES: [&str; 2] = [
        "drivers_probe = 0000:42:00.0",
        "drivers_probe = 0000:42:00.1",
    ];
    let both = ["vfio-pci", "vfio-pci", "nvme"];
    for (about, machine, line, writes, after) in [
        (
            "a fresh boot needs two overrides and one module",
            FakeMachine::new(&cards()),
            "vfio.bind=0000:42:00.0",
            [&OVERRIDES[..], &["modprobe vfio-pci"]].concat(),
            both,
        ),
        (
            "what has a driver is taken once the module is there",
            FakeMachine::new(&native_cards()),
            "vfio.bind=0000:42:00.0",
            [&OVERRIDES[..], &["modprobe vfio-pci"], &UNBINDS, &PROBES].concat(),
            both,
        ),
        (
            "a driver that is registered needs no module",
            FakeMachine::new(&cards()).with_vfio_pci(),
            "vfio.bind=0000:42:00",
            [OVERRIDES, PROBES].concat(),
            both,
        ),
        (
            "IDs that would take too much are kept from the module",
            FakeMachine::new(&cards()),
            "vfio_pci.ids=8086:2668,1234:1111 vfio.bind=!0000:42:00.1 vfio.group=listed",
            vec![OVERRIDES[0], "modprobe vfio-pci ids="],
            ["vfio-pci", "", "nvme"],
        ),
    ] {
        let result = run(&machine, line);
        assert_eq!(machine.take_events(), writes, "{about}");
        assert_eq!(drivers(&machine), on(after), "{about}");
        assert_eq!(result.state, State::Applied, "{about}");
        assert_eq!(result.exit, EXIT_DONE, "{about}");
        assert_eq!(result.fate(GPU), Some(Fate::Bound), "{about}");
        assert_eq!(result.viable, [Some(true)], "{about}");
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let machine = FakeMachine::new(&native_cards());
    run(&machine, "vfio.bind=0000:42:00.0");
    machine.take_events();
    let result = run(&machine, "vfio.bind=0000:42:00.0");
    assert_eq!(machine.take_events(), [""; 0]);
    assert_eq!(result.fate(GPU), Some(Fate::Already));
    assert_eq!(result.exit, EXIT_DONE);
}

#[test]
fn nothing_is_written_where_nothing_may_be_done() {
    let no_iommu: Vec<_> = native_cards()
        .into_iter()
        .map(|card| Card {
            group: None,
            ..card
        })
        .collect();
    for (cards, line, exit, state) in [
        (
            no_iommu,
            "vfio.bind=42:00.0",
            EXIT_NOT_BOUND,
            State::NoIommu,
        ),
        (
            cards(),
            "vfio.bind=42:00.0 vfio.bind=off",
            EXIT_DONE,
            State::Off,
        ),
        (
            cards(),
            "vfio.bind=42:00.0 vfio.dry_run",
            EXIT_DONE,
            State::DryRun,
        ),
        (cards(), "quiet", EXIT_DONE, State::NothingAsked),
        (
            cards(),
            "vfio.bind=nonsense",
            EXIT_POLICY,
            State::NothingAsked,
        ),
        (
            cards(),
            "vfio.bind=42:00.0,!42:00.1",
            EXIT_NOT_BOUND,
            State::Applied,
        ),
        (
            cards(),
            "vfio.bind=42:00.0,!nonsense",
            EXIT_NOT_BOUND,
            State::Applied,
        ),
        (
            cards(),
            "vfio.bind=42:00.0 vfio.group=strict",
            EXIT_NOT_BOUND,
            State::Applied,
        ),
        (
            cards(),
            "vfio.bind=0000:99:00.0",
            EXIT_NOT_BOUND,
            State::Applied,
        ),
        (
            cards(),
            "vfio.bind=0000:41:00.0",
            EXIT_NOT_BOUND,
            State::Applied,
        ),
        (vec![], "vfio.bind=42:00.0", EXIT_NOT_BOUND, State::NoPci),
        (vec![], "vfio_pci.ids=1:2", EXIT_NOT_BOUND, State::NoPci),
    ] {
        let machine = FakeMachine::new(&cards);
        let result = run(&machine, line);
        assert_eq!(machine.take_events(), [""; 0], "{line}");
        assert_eq!((result.exit, result.state), (exit, state), "{line}");
    }
}

#[test]
fn what_is_valid_is_done_beside_an_error() {
    let machine = FakeMachine::new(&cards());
    let result = run(&machine, "vfio.bind=42:00.0,4z:00.0");
    assert_eq!(drivers(&machine), on(["vfio-pci", "vfio-pci", "nvme"]));
    assert_eq!(result.exit, EXIT_POLICY);
}

#[test]
fn without_the_module_native_drivers_never_notice() {
    for trouble in [
        Trouble::no_module(),
        Trouble {
            no_modprobe: true,
            ..Trouble::default()
        },
    ] {
        let machine = FakeMachine::new(&native_cards()).with(trouble);
        let result = run(&machine, "vfio.bind=42:00.0");
        assert_eq!(
            drivers(&machine),
            on(["bochs-drm", "snd_hda_intel", "nvme"])
        );
        assert_eq!(overrides(&machine), ["", "", ""]);
        assert_eq!(result.fate(GPU), Some(Fate::Returned));
        assert_eq!(result.exit, EXIT_NOT_BOUND);
        let unbinds = machine
            .take_events()
            .into_iter()
            .filter(|e| e.contains("unbind"));
        assert_eq!(
            unbinds.count(),
            0,
            "nothing was taken before the module was there"
        );
    }
}

#[test]
fn without_the_module_hold_takes_and_keeps() {
    let trouble = Trouble::no_module();
    let machine = FakeMachine::new(&native_cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold");
    assert_eq!(drivers(&machine), on(["", "", "nvme"]));
    assert_eq!(overrides(&machine), ["vfio-pci", "vfio-pci", ""]);
    assert_eq!(result.fate(GPU), Some(Fate::Held));
    assert_eq!(result.exit, EXIT_NOT_BOUND);
}

/// On native drivers, and vfio-pci's probe refuses the audio function.
fn audio_refused() -> FakeMachine {
    FakeMachine::new(&native_cards()).with(Trouble::probe_refuses(AUDIO))
}

#[test]
fn a_group_is_given_back_whole() {
    let machine = audio_refused();
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(
        drivers(&machine),
        on(["bochs-drm", "snd_hda_intel", "nvme"])
    );
    assert_eq!(overrides(&machine), ["", "", ""]);
    assert_eq!(result.fate(GPU), Some(Fate::Returned));
    assert_eq!(result.fate(AUDIO), Some(Fate::Returned));
    assert_eq!(
        result.reasons,
        [
            "0000:42:00.1 of the same IOMMU group could not be bound",
            "vfio-pci did not take it; the kernel log says why above this line",
        ]
    );
    assert_eq!(result.viable, []);
}

#[test]
fn hold_keeps_what_the_driver_refused_and_what_it_took() {
    let machine = audio_refused();
    let result = run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold");
    assert_eq!(drivers(&machine), on(["vfio-pci", "", "nvme"]));
    assert_eq!(result.fate(GPU), Some(Fate::Bound));
    assert_eq!(result.fate(AUDIO), Some(Fate::Held));
}

#[test]
fn hold_does_nothing_twice() {
    let machine = audio_refused();
    run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold");
    let writes = |machine: &FakeMachine, file: &str| {
        let events = machine.take_events();
        events.iter().filter(|event| event.contains(file)).count()
    };
    assert_eq!(writes(&machine, "driver_override"), 2);

    // What its driver was kept by is told once.
    let kept = Trouble::write_answers(&format!("{GPU}/driver/unbind"), Errno::IO);
    let machine = FakeMachine::new(&native_cards()).with(kept);
    let log = messages(|| drop(run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold")));
    assert_eq!(log, "");
    assert_eq!(
        writes(&machine, "driver/unbind"),
        2,
        "one for each function"
    );
}

#[test]
fn hold_leaves_what_vfio_pci_has_all_the_same() {
    let machine = FakeMachine::new(&cards()).with(Trouble {
        writes: vec![(format!("{GPU}/driver_override"), Errno::IO)],
        by_ids: vec![GPU.to_owned()],
        ..Trouble::default()
    });
    run(
        &machine,
        "vfio.bind=42:00.0 vfio_pci.ids=1234:1111 vfio.onfail=hold",
    );
    assert_eq!(drivers(&machine)[0].as_deref(), Some("vfio-pci"));
}

/// Where no native driver is there yet, vfio-pci has what is probed without an override: it has its ID.
#[test]
fn what_goes_back_does_not_end_on_vfio_pci_by_its_ids() {
    let machine = FakeMachine::new(&cards()).with(Trouble {
        by_ids: vec![GPU.to_owned()],
        ..Trouble::probe_refuses(AUDIO)
    });
    let result = run(&machine, "vfio_pci.ids=1234:1111");
    assert_eq!(drivers(&machine), on(["", "", "nvme"]));
    assert_eq!(overrides(&machine), ["", "", ""]);
    assert_eq!(result.fate(GPU), Some(Fate::Returned));
}

#[test]
fn what_somebody_else_unbinds_first_is_bound() {
    let machine = FakeMachine::new(&native_cards()).with(Trouble {
        unbound_first: vec![GPU.to_owned()],
        ..Trouble::default()
    });
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.fate(GPU), Some(Fate::Bound), "{:?}", result.reasons);
}

#[test]
fn a_function_that_vanishes_does_not_hold_up_the_rest() {
    let trouble = Trouble {
        vanishing: vec![AUDIO.to_owned()],
        ..Trouble::default()
    };
    let machine = FakeMachine::new(&cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(machine.driver(GPU).as_deref(), Some("vfio-pci"));
    assert_eq!(result.fate(AUDIO), Some(Fate::Failed));
    assert_eq!(result.reasons, ["it has vanished"]);
}

#[test]
fn an_override_of_somebody_else_comes_back() {
    let trouble = Trouble::no_module();
    let machine = FakeMachine::new(&cards()).with(trouble);
    machine.set_override(GPU, "pci-stub");
    run(&machine, "vfio.bind=42:00.0");
    assert_eq!(overrides(&machine), ["pci-stub", "", ""]);
}

#[test]
fn a_refused_write_names_the_call_and_the_answer() {
    let trouble = Trouble::write_answers("42:00.0/driver_override", Errno::ACCESS);
    let machine = FakeMachine::new(&cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.reasons[0], "write(driver_override): EACCES");
    assert_eq!(drivers(&machine), on(["", "", "nvme"]));
    assert_eq!(overrides(&machine), ["", "", ""]);
}

#[test]
fn one_refused_override_keeps_the_whole_group_from_being_unbound() {
    let trouble = Trouble::write_answers("42:00.1/driver_override", Errno::ACCESS);
    let machine = FakeMachine::new(&native_cards()).with(trouble);
    run(&machine, "vfio.bind=42:00.0");
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "0000:42:00.0/driver_override = \\n",
        ]
    );
    assert_eq!(
        drivers(&machine),
        on(["bochs-drm", "snd_hda_intel", "nvme"])
    );
}

#[test]
fn a_group_that_is_not_viable_is_no_success() {
    let trouble = Trouble {
        not_viable: vec![15],
        ..Trouble::default()
    };
    let machine = FakeMachine::new(&cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.viable, [Some(false)]);
    assert_eq!(result.exit, EXIT_NOT_BOUND);
}

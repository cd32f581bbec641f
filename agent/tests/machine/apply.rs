//! What is written to a machine, in which order, and what is left behind.

use crate::support::{Card, Machine, Trouble};
use rustix::io::Errno;
use vfio_bind::outcome::Fate;
use vfio_bind::record::{EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY, State};
use vfio_bind::run;

const GPU: &str = "0000:42:00.0";
const AUDIO: &str = "0000:42:00.1";
const DISK: &str = "0000:01:00.0";

/// A GPU with its audio function in group 15, behind a bridge, and a disk in a group of its own.
fn cards() -> Vec<Card> {
    vec![
        Card::new("0000:41:00.0", 0x1b36, 0x000c, 0x06_0400, 15)
            .on("pcieport")
            .bridge(),
        Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 15),
        Card::new(AUDIO, 0x8086, 0x2668, 0x04_0300, 15),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 3).on("nvme"),
    ]
}

fn native_cards() -> Vec<Card> {
    cards()
        .into_iter()
        .map(|card| match card.address.as_str() {
            GPU => card.on("bochs-drm"),
            AUDIO => card.on("snd_hda_intel"),
            _ => card,
        })
        .collect()
}

/// What a run left behind, besides the machine itself.
#[derive(Debug)]
struct Result {
    exit: u8,
    state: State,
    fates: Vec<(String, Fate)>,
    reasons: Vec<String>,
    viable: Vec<Option<bool>>,
}

impl Result {
    fn fate(&self, address: &str) -> Option<Fate> {
        let found = self.fates.iter().find(|(other, _)| other == address);
        found.map(|(_, fate)| *fate)
    }
}

fn run(machine: &Machine, line: &str) -> Result {
    let mut result = None;
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
        let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
        let address = |step: &vfio_bind::plan::Step| {
            record
                .inventory
                .get(step.function)
                .unwrap()
                .address
                .to_string()
        };
        result = Some(Result {
            exit: record.exit(),
            state: record.state,
            fates: steps
                .map(|(step, outcome)| (address(step), outcome.fate))
                .collect(),
            reasons: record
                .outcomes
                .steps
                .iter()
                .filter_map(|outcome| {
                    outcome
                        .failure
                        .map(|failure| failure.told("vfio-pci").to_string())
                })
                .collect(),
            viable: record
                .outcomes
                .groups
                .iter()
                .map(|group| group.viable)
                .collect(),
        });
        record.exit()
    });
    result.unwrap()
}

fn overrides(machine: &Machine) -> [String; 3] {
    [GPU, AUDIO, DISK].map(|address| machine.driver_override(address))
}

fn drivers(machine: &Machine) -> [Option<String>; 3] {
    [GPU, AUDIO, DISK].map(|address| machine.driver(address))
}

fn on(names: [&str; 3]) -> [Option<String>; 3] {
    names.map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()))
}

#[test]
fn a_fresh_boot_needs_two_overrides_and_one_module() {
    let machine = Machine::new(&cards());
    let result = run(&machine, "vfio.bind=0000:42:00.0");
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "modprobe vfio-pci",
        ]
    );
    assert_eq!(drivers(&machine), on(["vfio-pci", "vfio-pci", "nvme"]));
    assert_eq!((result.exit, result.state), (EXIT_DONE, State::Applied));
    assert_eq!(result.fate(GPU), Some(Fate::Bound));
    assert_eq!(result.viable, [Some(true)]);
}

#[test]
fn bound_functions_are_taken_after_the_module_is_there() {
    let machine = Machine::new(&native_cards());
    let result = run(&machine, "vfio.bind=0000:42:00.0");
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "modprobe vfio-pci",
            "0000:42:00.0/driver/unbind = 0000:42:00.0",
            "0000:42:00.1/driver/unbind = 0000:42:00.1",
            "drivers_probe = 0000:42:00.0",
            "drivers_probe = 0000:42:00.1",
        ]
    );
    assert_eq!(drivers(&machine), on(["vfio-pci", "vfio-pci", "nvme"]));
    assert_eq!(result.exit, EXIT_DONE);
}

#[test]
fn a_second_run_changes_nothing() {
    let machine = Machine::new(&native_cards());
    run(&machine, "vfio.bind=0000:42:00.0");
    machine.take_events();
    let result = run(&machine, "vfio.bind=0000:42:00.0");
    assert_eq!(machine.take_events(), [""; 0]);
    assert_eq!(result.fate(GPU), Some(Fate::Already));
    assert_eq!(result.exit, EXIT_DONE);
}

#[test]
fn a_driver_that_is_registered_needs_no_module() {
    let machine = Machine::new(&cards()).with_vfio_pci();
    run(&machine, "vfio.bind=0000:42:00");
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "drivers_probe = 0000:42:00.0",
            "drivers_probe = 0000:42:00.1",
        ]
    );
}

#[test]
fn ids_that_would_take_too_much_are_kept_from_the_module() {
    let machine = Machine::new(&cards());
    run(
        &machine,
        "vfio_pci.ids=8086:2668,1234:1111 vfio.bind=!0000:42:00.1 vfio.group=listed",
    );
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "modprobe vfio-pci ids=",
        ]
    );
    assert_eq!(drivers(&machine), on(["vfio-pci", "", "nvme"]));
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
        let machine = Machine::new(&cards);
        let result = run(&machine, line);
        assert_eq!(machine.take_events(), [""; 0], "{line}");
        assert_eq!((result.exit, result.state), (exit, state), "{line}");
    }
}

#[test]
fn what_is_valid_is_done_beside_an_error() {
    let machine = Machine::new(&cards());
    let result = run(&machine, "vfio.bind=42:00.0,4z:00.0");
    assert_eq!(drivers(&machine), on(["vfio-pci", "vfio-pci", "nvme"]));
    assert_eq!(result.exit, EXIT_POLICY);
}

#[test]
fn without_the_module_native_drivers_never_notice() {
    for trouble in [
        Trouble {
            no_module: true,
            ..Trouble::default()
        },
        Trouble {
            no_modprobe: true,
            ..Trouble::default()
        },
    ] {
        let machine = Machine::new(&native_cards()).with(trouble);
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
    let trouble = Trouble {
        no_module: true,
        ..Trouble::default()
    };
    let machine = Machine::new(&native_cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold");
    assert_eq!(drivers(&machine), on(["", "", "nvme"]));
    assert_eq!(overrides(&machine), ["vfio-pci", "vfio-pci", ""]);
    assert_eq!(result.fate(GPU), Some(Fate::Held));
    assert_eq!(result.exit, EXIT_NOT_BOUND);
}

#[test]
fn a_group_is_given_back_whole() {
    let trouble = Trouble {
        probe_refuses: vec![AUDIO.to_owned()],
        ..Trouble::default()
    };
    let machine = Machine::new(&native_cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(
        drivers(&machine),
        on(["bochs-drm", "snd_hda_intel", "nvme"])
    );
    assert_eq!(overrides(&machine), ["", "", ""]);
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
    let trouble = Trouble {
        probe_refuses: vec![AUDIO.to_owned()],
        ..Trouble::default()
    };
    let machine = Machine::new(&native_cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0 vfio.onfail=hold");
    assert_eq!(drivers(&machine), on(["vfio-pci", "", "nvme"]));
    assert_eq!(result.fate(GPU), Some(Fate::Bound));
    assert_eq!(result.fate(AUDIO), Some(Fate::Held));
}

#[test]
fn a_driver_that_does_not_let_go_is_told_and_gets_it_back_when_it_does() {
    let trouble = Trouble {
        stuck: vec![GPU.to_owned()],
        ..Trouble::default()
    };
    let machine = Machine::new(&native_cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    // The kernel removes the link before it calls the driver, which holds the lock from then on.
    assert_eq!(drivers(&machine), on(["", "snd_hda_intel", "nvme"]));
    assert_eq!(result.fate(GPU), Some(Fate::Failed));
    assert_eq!(result.fate(AUDIO), Some(Fate::Returned));
    assert_eq!(
        result.reasons[0],
        "its driver did not let go within 10 s; keep that driver from loading"
    );
    assert_eq!(result.exit, EXIT_NOT_BOUND);
    machine.release(GPU);
    assert_eq!(
        drivers(&machine),
        on(["bochs-drm", "snd_hda_intel", "nvme"])
    );
    assert_eq!(overrides(&machine), ["", "", ""]);
}

#[test]
fn a_function_that_vanishes_does_not_hold_up_the_rest() {
    let trouble = Trouble {
        vanishing: vec![AUDIO.to_owned()],
        ..Trouble::default()
    };
    let machine = Machine::new(&cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(machine.driver(GPU).as_deref(), Some("vfio-pci"));
    assert_eq!(result.fate(AUDIO), Some(Fate::Failed));
    assert_eq!(result.reasons, ["it has vanished"]);
}

#[test]
fn an_override_of_somebody_else_comes_back() {
    let trouble = Trouble {
        no_module: true,
        ..Trouble::default()
    };
    let machine = Machine::new(&cards()).with(trouble);
    machine.set_override(GPU, "pci-stub");
    run(&machine, "vfio.bind=42:00.0");
    assert_eq!(overrides(&machine), ["pci-stub", "", ""]);
}

#[test]
fn a_refused_write_names_the_call_and_the_answer() {
    let trouble = Trouble {
        writes: vec![("42:00.0/driver_override".to_owned(), Errno::ACCESS)],
        ..Trouble::default()
    };
    let machine = Machine::new(&cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.reasons[0], "write(driver_override): EACCES");
    assert_eq!(drivers(&machine), on(["", "", "nvme"]));
    assert_eq!(overrides(&machine), ["", "", ""]);
}

#[test]
fn one_refused_override_keeps_the_whole_group_from_being_unbound() {
    let trouble = Trouble {
        writes: vec![("42:00.1/driver_override".to_owned(), Errno::ACCESS)],
        ..Trouble::default()
    };
    let machine = Machine::new(&native_cards()).with(trouble);
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
    let machine = Machine::new(&cards()).with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.viable, [Some(false)]);
    assert_eq!(result.exit, EXIT_NOT_BOUND);
}

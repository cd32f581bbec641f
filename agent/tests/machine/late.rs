//! Functions that come after the first look: a run for one of them, and the rules that udev gets.

use crate::one_gpu::{AUDIO, DISK, GPU, cards, drivers, native_cards, on};
use crate::support::{Card, FakeMachine, Trouble, write};
use crate::taken::{Taken, follow, take};
use vfio_bind_agent::machine::tree::{PROTECTED, Tree};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::report;

const SECOND: &str = "0000:43:00.0";
const SECOND_AUDIO: &str = "0000:43:00.1";

/// A card that was not there at the first look, with the drivers that were faster.
fn insert_second(machine: &FakeMachine) {
    for (address, device, class, driver) in [
        (SECOND, 0x1111, 0x03_0000, "bochs-drm"),
        (SECOND_AUDIO, 0x2668, 0x04_0300, "snd_hda_intel"),
    ] {
        let vendor = if device == 0x1111 { 0x1234 } else { 0x8086 };
        machine.insert(&Card::new(address, vendor, device, class, 16).on(driver));
    }
}

#[track_caller]
fn expect_no_news(taken: &Taken, machine: &FakeMachine) {
    assert!(taken.is_no_news && taken.messages.is_empty(), "{taken:?}");
    assert_eq!(machine.take_events(), [""; 0]);
}

#[test]
fn what_has_come_is_taken_with_its_group_and_nothing_else() {
    let machine = FakeMachine::new(&native_cards()).with_vfio_pci();
    insert_second(&machine);
    // The first card is asked for as well, and is not what has come.
    let taken = follow(&machine, "vfio.bind=1234:1111", SECOND, true);
    assert_eq!(
        (taken.bound.as_slice(), taken.exit),
        (&[SECOND.to_owned(), SECOND_AUDIO.to_owned()][..], 0),
        "{}",
        taken.messages
    );
    assert_eq!(
        machine.take_events(),
        [
            "0000:43:00.0/driver_override = vfio-pci",
            "0000:43:00.1/driver_override = vfio-pci",
            "0000:43:00.0/driver/unbind = 0000:43:00.0",
            "0000:43:00.1/driver/unbind = 0000:43:00.1",
            "drivers_probe = 0000:43:00.0",
            "drivers_probe = 0000:43:00.1",
        ]
    );
    assert_eq!(
        drivers(&machine),
        on(["bochs-drm", "snd_hda_intel", "nvme"])
    );
    // udev tells of each function by itself.
    let again = follow(&machine, "vfio.bind=1234:1111", SECOND_AUDIO, true);
    expect_no_news(&again, &machine);
}

/// A run for one function has vfio-pci loaded, which has the ID of the other as well.
#[test]
fn what_has_an_id_that_is_asked_for_is_not_given_back() {
    let machine = FakeMachine::new(&cards()).with(Trouble {
        by_ids: [GPU, SECOND].map(str::to_owned).into(),
        ..Trouble::default()
    });
    machine.insert(&Card::new(SECOND, 0x1234, 0x1111, 0x03_0000, 16));
    let taken = follow(&machine, "vfio_pci.ids=1234:1111", GPU, true);
    assert_eq!(
        (taken.bound.len(), taken.exit),
        (2, 0),
        "{}",
        taken.messages
    );
    assert_eq!(machine.driver(SECOND).as_deref(), Some("vfio-pci"));
    assert!(!taken.says(SECOND), "{}", taken.messages);
}

#[test]
fn what_nobody_asks_for_is_left_without_a_word() {
    let machine = FakeMachine::new(&native_cards()).with_vfio_pci();
    for line in [
        "vfio.bind=42:00.0 vfio.bind=nonsense",
        "vfio.bind=off",
        "",
        "vfio.bind=44:00.0",
    ] {
        for address in [DISK, "0000:55:00.0"] {
            expect_no_news(&follow(&machine, line, address, true), &machine);
        }
    }
}

/// What is still missing is told by the first run, and what is wrong in the policy as well.
#[test]
fn a_run_for_one_function_tells_of_that_alone() {
    let machine = FakeMachine::new(&native_cards()).with_vfio_pci();
    let line =
        "vfio.bind=42:00.0,44:00.0,4z:00.0 vfio.set=45:00.0:reset_method=bus vfio.protect=01:00.0";
    let first = take(&machine, line);
    assert!(
        first.says("44:00.0") && first.says("4z:00.0") && first.says("protected"),
        "{first:?}"
    );
    let machine = FakeMachine::new(&native_cards()).with_vfio_pci();
    let taken = follow(&machine, line, GPU, true);
    assert_eq!(taken.bound.len(), 2);
    for word in ["44:00.0", "4z:00.0", "45:00.0", "protected"] {
        assert!(!taken.says(word), "{word}: {}", taken.messages);
    }
}

#[test]
fn a_protected_member_keeps_a_late_group_native() {
    let machine = FakeMachine::new(&native_cards()).with_vfio_pci();
    machine.record(&format!("vfio.protect={AUDIO}\n"));
    let taken = follow(&machine, "vfio.bind=42:00.0", GPU, true);
    assert_eq!((taken.exit, taken.is_no_news), (1, false));
    assert!(
        taken.says("0000:42:00.1 of its IOMMU group is protected"),
        "{}",
        taken.messages
    );
    assert_eq!(machine.take_events(), [""; 0]);
}

/// In an image nobody knows whether a file system or a route is on what a driver has by now.
#[test]
fn in_an_image_what_may_be_in_use_is_left_to_the_running_system() {
    let disk = || FakeMachine::new(&native_cards()).with_vfio_pci();
    let line = format!("vfio.bind={DISK}");
    let taken = follow(&disk(), &line, DISK, false);
    assert_eq!((taken.exit, taken.bound.len()), (1, 0));
    assert!(
        taken.says("the running system, which knows, decides"),
        "{}",
        taken.messages
    );
    assert_eq!(follow(&disk(), &line, DISK, true).bound, [DISK]);
    // A display has no file system on it.
    assert_eq!(
        follow(&disk(), "vfio.bind=42:00.0", GPU, false).bound.len(),
        2
    );
    // Nor has what no driver has had yet.
    let free = FakeMachine::new(&cards()).with_vfio_pci();
    free.insert(&Card::new(SECOND, 0x1b36, 0x0010, 0x01_0802, 16));
    let line = format!("vfio.bind={SECOND}");
    assert_eq!(follow(&free, &line, SECOND, false).bound, [SECOND]);
    // Its group goes with it, listed or not.
    let both = disk();
    both.insert(&Card::new(SECOND, 0x10de, 0x2204, 0x03_0000, 3));
    let line = format!("vfio.bind={SECOND}");
    assert_eq!(follow(&both, &line, SECOND, false).bound, [""; 0]);
    let line = format!("vfio.bind={SECOND},{DISK} vfio.group=listed");
    assert_eq!(follow(&both, &line, SECOND, false).bound, [SECOND]);
}

/// A group of which one function is lent already gets its newcomer.
#[test]
fn a_group_that_grows_ends_as_if_all_had_been_there() {
    let [bridge, gpu, audio, disk] = &native_cards()[..] else {
        unreachable!()
    };
    let machine = FakeMachine::new(&[bridge.clone(), gpu.clone(), disk.clone()]);
    let first = take(&machine, "vfio.bind=42:00.0");
    assert_eq!(first.bound, [GPU]);
    for line in [
        "KERNEL==\"0000:42:00.*\", ENV{.vfio_bind}=\"1\"\n",
        "TEST==\"iommu_group/devices/0000:42:00.0\", ENV{.vfio_bind}=\"1\"\n",
    ] {
        assert!(first.rules.contains(line), "{}", first.rules);
    }
    machine.take_events();
    machine.insert(audio);
    let taken = follow(&machine, "vfio.bind=42:00.0", AUDIO, true);
    assert_eq!(taken.bound, [AUDIO]);
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.1/driver_override = vfio-pci",
            "0000:42:00.1/driver/unbind = 0000:42:00.1",
            "drivers_probe = 0000:42:00.1",
        ]
    );
    assert!(
        taken.rules.contains("devices/0000:42:00.1\""),
        "{}",
        taken.rules
    );
}

#[test]
fn a_policy_has_a_line_for_each_selector_that_takes() {
    let machine = FakeMachine::new(&[]);
    let taken = take(
        &machine,
        "vfio.bind=42:00.0,43:00,!44:00.0,0000:00:1c.0/00.0/1f.7,slot:4,class:0302,10de:2204@10de:* \
         vfio_pci.ids=1002:ab30:ffffffff:ffffffff:040300:fffff0 vfio.protect=45:00.0",
    );
    assert_eq!(
        taken.rules,
        "# Of this boot's policy, by vfio-bind-agent.\n\
         SUBSYSTEM!=\"pci\", GOTO=\"vfio_bind_end\"\n\
         ACTION!=\"add\", GOTO=\"vfio_bind_run\"\n\
         KERNEL==\"0000:42:00.0\", ENV{.vfio_bind}=\"1\"\n\
         KERNEL==\"0000:43:00.*\", ENV{.vfio_bind}=\"1\"\n\
         KERNEL==\"0000:*:1f.7\", ENV{.vfio_bind}=\"1\"\n\
         KERNEL==\"*\", ENV{.vfio_bind}=\"1\"\n\
         ENV{MODALIAS}==\"pci:v*d*sv*sd*bc03sc02i??\", ENV{.vfio_bind}=\"1\"\n\
         ENV{MODALIAS}==\"pci:v000010DEd00002204sv*sd*bc??sc??i??\", \
         ENV{MODALIAS}==\"pci:v000010DEd*sv*sd*bc??sc??i??\", ENV{.vfio_bind}=\"1\"\n\
         ENV{MODALIAS}==\"pci:v00001002d0000AB30sv*sd*bc04sc03i0?\", ENV{.vfio_bind}=\"1\"\n\
         LABEL=\"vfio_bind_run\"\n\
         ENV{.vfio_bind}!=\"1\", GOTO=\"vfio_bind_end\"\n\
         ENV{SYNTH_UUID}!=\"?*\", RUN+=\"/usr/bin/vfio-bind-agent udev $kernel\"\n\
         ENV{SYNTH_UUID}==\"?*\", DRIVER!=\"*vfio*\", RUN+=\"/usr/bin/vfio-bind-agent udev --replayed $kernel\"\n\
         LABEL=\"vfio_bind_end\"\n"
    );
}

#[test]
fn where_nothing_can_be_taken_there_are_no_rules() {
    for line in [
        "",
        "vfio.protect=42:00.0",
        "vfio.bind=off vfio.bind=42:00.0",
        "vfio.bind=42:00.0 vfio.dry_run",
        "vfio.bind=42:00.0 elfcorehdr=0x1",
        "vfio.bind=42:00.0,!4z:00.0",
    ] {
        assert_eq!(take(&FakeMachine::new(&cards()), line).rules, "", "{line}");
    }
    // A run for one function that takes nothing has nothing to add.
    let machine = FakeMachine::new(&cards()).with_vfio_pci();
    assert_eq!(follow(&machine, "vfio.bind=42:00.0", DISK, true).rules, "");
    assert_ne!(follow(&machine, "vfio.bind=42:00.0", GPU, true).rules, "");
}

#[test]
fn what_the_first_run_has_decided_is_in_its_record() {
    let machine = FakeMachine::new(&[]);
    let function = |address: &str| {
        format!("{{\"address\":\"{address}\",\"text\":\"\\\"address\\\":\\\"{DISK}\\\"\"}}")
    };
    let tree: &Tree = &crate::support::open(machine.root());
    let has =
        |address: &str| report::has_decided(tree, Address::parse(address.as_bytes()).unwrap());
    assert!(!has(GPU));
    // Wherever it is cut when it is read piece by piece.
    for before in 960..1040 {
        let text = format!(
            "{}{}{}",
            "x".repeat(before),
            function(GPU),
            "y".repeat(1500)
        );
        write(&machine, "run/vfio-bind/report.json", text);
        assert!(has(GPU) && !has(AUDIO) && !has(DISK), "{before}");
    }
}

/// Whoever is first has a new function at once.
#[test]
fn what_all_of_an_id_is_asked_for_no_native_driver_touches() {
    let machine = FakeMachine::new(&native_cards());
    let taken = take(&machine, "vfio.bind=1234:1111");
    assert_eq!(taken.exit, 0, "{}", taken.messages);
    let events = machine.take_events();
    assert_eq!(
        events.last().unwrap(),
        "drivers/vfio-pci/new_id = 1234 1111 ffffffff ffffffff 0000 0000"
    );
    insert_second(&machine);
    assert_eq!(machine.driver(SECOND).as_deref(), Some("vfio-pci"));
    // What shares its group follows when udev tells of either.
    let taken = follow(&machine, "vfio.bind=1234:1111", SECOND, false);
    assert_eq!(
        (taken.bound, taken.exit),
        (vec![SECOND_AUDIO.to_owned()], 0)
    );
    assert!(taken.messages.contains("0000:43:00.0: on vfio-pci already"));
}

#[test]
fn an_id_of_which_something_may_stay_is_not_given_to_vfio_pci() {
    let given = |machine: FakeMachine, line: &str| {
        take(&machine, line);
        let events = machine.take_events();
        events.iter().any(|event| event.contains("new_id"))
    };
    let machine = || FakeMachine::new(&native_cards());
    for line in [
        "vfio.bind=1234:1111",
        "vfio.bind=10de:2204",
        "vfio.bind=1234:1111,!1b36:0010",
        "vfio.bind=1234:1111 vfio.driver=vfio-pci vfio.protect=01:00.0",
    ] {
        assert!(given(machine(), line), "{line}");
    }
    for line in [
        "vfio.bind=42:00.0",
        "vfio.bind=1234:*",
        "vfio.bind=class:03",
        "vfio.bind=1234:1111@1234:*",
        "vfio.bind=vf:1234:1111",
        "vfio.bind=1234:1111,!1234:*",
        "vfio.bind=1234:1111 vfio.bind=!44:00.0@1234:1111",
        "vfio.bind=1234:1111 vfio.protect=44:00.0",
        "vfio.bind=1234:1111 vfio.protect=42:00.1",
        "vfio.bind=1234:1111 vfio.protect=41:00.0",
        "vfio.bind=1234:1111 vfio.group=listed",
        "vfio.bind=1234:1111 vfio.group=strict",
        "vfio.bind=1234:1111 vfio.driver=nvgrace",
        "vfio.bind=1234:1111 vfio.set=1234:1111:d3cold_allowed=0",
        "vfio.bind=1234:1111 vfio.dry_run",
        // Whoever loads it gives it these.
        "vfio_pci.ids=1234:1111",
    ] {
        assert!(!given(machine(), line), "{line}");
    }
    let refusing = machine().with(Trouble::probe_refuses(GPU));
    assert!(!given(refusing, "vfio.bind=1234:1111"));
    // Of an image without a list nobody knows what may come, and be needed.
    let unlisted = machine();
    std::fs::remove_file(unlisted.path(PROTECTED)).unwrap();
    assert!(!given(unlisted, "vfio.bind=1234:1111"));
    // For a list of the kernel's own it is enough that it is there.
    let machine = FakeMachine::new(&native_cards());
    take(&machine, "vfio_pci.ids=10de:2204");
    assert_eq!(machine.take_events(), ["modprobe vfio-pci"]);
}

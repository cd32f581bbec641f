//! `vfio.set=`: functions that are made ready before they are lent.

use crate::one_gpu::{AUDIO, GPU, cards, drivers, native_cards, on};
use crate::support::{FakeMachine, Trouble};
use crate::taken::{Taken, take};

fn machine() -> FakeMachine {
    FakeMachine::new(&native_cards())
        .with_attributes(GPU)
        .with_attributes(AUDIO)
}

#[track_caller]
fn expect_as_before(machine: &FakeMachine) {
    for address in [GPU, AUDIO] {
        assert_eq!(machine.attribute(address, "reset_method"), "flr bus");
        assert_eq!(machine.attribute(address, "d3cold_allowed"), "1");
        assert!(
            machine
                .attribute(address, "resource")
                .contains("0x000000380fffffff")
        );
    }
    assert_eq!(drivers(machine), on(["bochs-drm", "snd_hda_intel", "nvme"]));
}

const LINE: &str = "vfio.bind=42:00.0 vfio.set=42:00.0:reset_method=bus,rebar.0=8G \
                    vfio.set=1234:1111:d3cold_allowed=0";

#[test]
fn what_is_asked_for_is_set_between_the_drivers() {
    let machine = machine();
    let taken = take(&machine, LINE);
    assert_eq!(
        (taken.bound.len(), taken.exit),
        (2, 0),
        "{}",
        taken.messages
    );
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "modprobe vfio-pci",
            "0000:42:00.0/driver/unbind = 0000:42:00.0",
            "0000:42:00.1/driver/unbind = 0000:42:00.1",
            "0000:42:00.0/reset_method = bus",
            "0000:42:00.0/resource0_resize = 13",
            "0000:42:00.0/d3cold_allowed = 0",
            "drivers_probe = 0000:42:00.0",
            "drivers_probe = 0000:42:00.1",
        ]
    );
    for told in [
        "0000:42:00.0: reset_method is bus, was flr bus",
        "0000:42:00.0: rebar.0 is 8G, was 256M",
        "0000:42:00.0: d3cold_allowed is 0, was 1",
    ] {
        assert!(taken.says(told), "{}", taken.messages);
    }
}

/// vfio-pci probes what has no driver as soon as it is loaded.
#[test]
fn what_has_no_driver_is_set_before_the_module_comes() {
    let machine = FakeMachine::new(&cards()).with_attributes(GPU);
    assert_eq!(take(&machine, LINE).exit, 0);
    let events = machine.take_events();
    let place = |event: &str| events.iter().position(|one| one == event);
    let set = place("0000:42:00.0/d3cold_allowed = 0").unwrap();
    assert!(set < place("modprobe vfio-pci").unwrap(), "{events:#?}");
}

#[test]
fn what_is_so_already_is_not_written_and_the_last_word_counts() {
    let machine = machine();
    let line = "vfio.bind=42:00.0 vfio.set=42:00.0:reset_method=bus,d3cold_allowed=1 \
                vfio.set=42:00:reset_method=flr";
    assert_eq!(take(&machine, line).exit, 0);
    let events = machine.take_events();
    let sets = events
        .iter()
        .filter(|event| event.contains("reset") || event.contains("d3cold"));
    assert_eq!(
        sets.collect::<Vec<_>>(),
        [
            "0000:42:00.0/reset_method = flr",
            "0000:42:00.1/reset_method = flr"
        ]
    );
    // A second run finds all of it done.
    assert_eq!(take(&machine, line).exit, 0);
    assert_eq!(machine.take_events(), [""; 0]);
}

/// What cannot be had as asked for is not had at all, and nothing stays set.
#[test]
fn what_cannot_be_set_goes_back_as_it_was() {
    for (value, told) in [
        (
            "reset_method=pm",
            "reset_method=pm: EINVAL; the kernel offers `flr bus`",
        ),
        (
            "reset_method=bus,rebar.0=4M",
            "rebar.0=4M: its sizes are 256M, 512M, 1G, 2G, 4G, 8G, 16G",
        ),
        (
            "rebar.0=16G",
            "rebar.0=16G: ENOSPC; what is above it has no room for that",
        ),
        (
            "d3cold_allowed=0,rebar.1=1G",
            "rebar.1=1G: there is no rebar.1: it has no such BAR",
        ),
    ] {
        let machine = machine();
        let taken = take(
            &machine,
            &format!(
                "vfio.bind=42:00.0 vfio.set=42:00.1:d3cold_allowed=0 vfio.set=42:00.0:{value}"
            ),
        );
        assert!(
            taken.says(&format!("0000:42:00.0: {told}"))
                && taken.says("0000:42:00.0: not bound: it cannot be made ready as vfio.set= asks"),
            "{}",
            taken.messages
        );
        assert_eq!(taken.exit, 1, "{value}");
        expect_as_before(&machine);
    }
}

#[test]
fn where_the_driver_does_not_come_nothing_stays_set() {
    for trouble in [Trouble::probe_refuses(GPU), Trouble::no_module()] {
        let machine = machine().with(trouble);
        assert_eq!(take(&machine, LINE).exit, 1);
        expect_as_before(&machine);
    }
}

#[test]
fn what_is_bound_already_is_asked_and_kept() {
    let machine = machine();
    assert_eq!(take(&machine, "vfio.bind=42:00.0").exit, 0);
    machine.take_events();
    let taken = take(
        &machine,
        "vfio.bind=42:00.0 vfio.set=42:00.0:reset_method=bus",
    );
    assert_eq!((taken.exit, machine.take_events().len()), (0, 1));
    let taken = take(&machine, "vfio.bind=42:00.0 vfio.set=42:00.0:rebar.0=1G");
    assert_eq!(taken.exit, 1);
    for told in [
        "0000:42:00.0: rebar.0=1G: EBUSY; a driver has it already",
        "0000:42:00.0: on vfio-pci already: it cannot be made ready as vfio.set= asks",
    ] {
        assert!(taken.says(told), "{}", taken.messages);
    }
    assert_eq!(drivers(&machine), on(["vfio-pci", "vfio-pci", "nvme"]));
}

#[test]
fn a_word_that_is_wrong_or_means_nothing_is_told() {
    let refused = |line| -> Taken {
        let machine = machine();
        let taken = take(&machine, line);
        expect_as_before(&machine);
        assert_eq!(taken.bound.len(), 0, "{line}");
        taken
    };
    let taken = refused("vfio.bind=42:00.0 vfio.set=42:00.0:reset=bus");
    assert_eq!(
        taken.errors[1],
        "vfio.set: `42:00.0:reset=bus`: expected reset_method=, d3cold_allowed= or rebar.N= (N from 0 to 5) \
         at `reset=bus`; nothing is bound without it"
    );
    let taken = refused("vfio.set=42:00.0:reset_method=bus");
    assert_eq!(taken.exit, 0, "{}", taken.messages);
    let machine = machine();
    let taken = take(
        &machine,
        "vfio.bind=01:00.0 vfio.set=42:00.0:reset_method=bus",
    );
    assert_eq!(
        (taken.exit, &taken.errors[..]),
        (
            1,
            &["vfio.set=42:00.0:reset_method=bus: nothing that it means is bound, so it has no effect"
                .to_owned()][..]
        )
    );
}

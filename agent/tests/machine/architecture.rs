//! What depends on the architecture: machines made up after what QEMU's show.

use std::fs;

use crate::support::{Card, FakeMachine, bound, problems, unmatched, write};
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::machine::iommu::Advice;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::refusal::Refusal;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND};
use vfio_bind_agent::run;

const ETHERNET: &str = "0001:00:00.0";
const DISK: &str = "0002:00:00.0";

/// IBM Z: each function on a root bus of its own in the domain of its UID and in a group of its own,
/// slots by function ID, and one of them off.
fn z(groups: bool) -> FakeMachine {
    let group = |number| Some(number).filter(|_| groups);
    let card = |address, vendor, device, class, number| Card {
        group: group(number),
        ..Card::new(address, vendor, device, class, number)
    };
    let machine = FakeMachine::new(&[
        card(ETHERNET, 0x15b3, 0x1016, 0x02_0000, 0).on("mlx5_core"),
        card(DISK, 0x1b36, 0x0010, 0x01_0802, 1),
    ]);
    machine.put_behind(ETHERNET, "0001:00");
    machine.put_behind(DISK, "0002:00");
    for (slot, place, power) in [
        ("00000008", "0001:00:00", "1"),
        ("00000009", "0002:00:00", "1"),
        ("0000000a", "0003:00:00", "0"),
    ] {
        let slot = format!("sys/bus/pci/slots/{slot}");
        write(&machine, &format!("{slot}/address"), format!("{place}\n"));
        write(&machine, &format!("{slot}/power"), format!("{power}\n"));
    }
    with_iommu(&machine, if groups { "s390-iommu.00000008" } else { "" });
    let cpu = "vendor_id       : IBM/S390\n# processors    : 2\n";
    write(&machine, "proc/cpuinfo", cpu);
    machine
}

/// Arm: a root port shares its group with what is behind it.
fn arm(groups: bool) -> FakeMachine {
    let card = |address, vendor, device, class| Card {
        group: Some(0).filter(|_| groups),
        ..Card::new(address, vendor, device, class, 0)
    };
    let machine = FakeMachine::new(&[
        card("0000:00:01.0", 0x1b36, 0x000c, 0x06_0400)
            .on("pcieport")
            .bridge(),
        card("0000:01:00.0", 0x1234, 0x1111, 0x03_8000),
        card("0000:01:00.1", 0x8086, 0x2668, 0x04_0300),
    ]);
    with_iommu(
        &machine,
        if groups {
            "smmu3.0x0000000009050000"
        } else {
            ""
        },
    );
    let cpu = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n";
    write(&machine, "proc/cpuinfo", cpu);
    machine
}

fn with_iommu(machine: &FakeMachine, name: &str) {
    fs::remove_dir_all(machine.path("sys/class/iommu")).unwrap();
    fs::create_dir_all(machine.path("sys/class/iommu").join(name)).unwrap();
}

struct Told {
    exit: u8,
    bound: Vec<String>,
    refused: usize,
    iommu: String,
    advice: Option<Advice>,
    unmatched: Vec<String>,
    problems: Vec<String>,
}

fn run(machine: &FakeMachine, line: &str) -> Told {
    let mut told = None;
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
        let steps = || record.plan.steps.iter().zip(&record.outcomes.steps);
        told = Some(Told {
            exit: record.exit(),
            bound: bound(record),
            refused: steps().filter(|(_, o)| o.fate == Fate::Refused).count(),
            iommu: record.iommu.to_string(),
            advice: record.advice,
            unmatched: unmatched(record),
            problems: problems(record),
        });
        record.exit()
    });
    told.unwrap()
}

#[test]
fn on_ibm_z_each_function_is_alone_in_its_domain_and_group() {
    for (line, bound) in [
        ("vfio.bind=0001:00:00.0", ETHERNET),
        ("vfio.bind=0002:00:00.*", DISK),
        ("vfio.bind=slot:00000008", ETHERNET),
        ("vfio.bind=slot:00000009@1b36:0010", DISK),
        ("vfio.bind=class:02", ETHERNET),
        ("vfio_pci.ids=1b36:0010", DISK),
    ] {
        let told = run(&z(true), line);
        assert_eq!(
            (told.exit, told.bound),
            (EXIT_DONE, vec![bound.to_owned()]),
            "{line}"
        );
        assert_eq!((told.refused, told.iommu.as_str()), (0, "s390"));
        assert_eq!((told.unmatched, told.problems), (vec![], vec![]), "{line}");
    }
}

#[test]
fn an_address_without_its_uid_is_led_to_one() {
    for (selector, near) in [
        ("42:00.0", "; nearest is 0001:00:00.0 (15b3:1016)"),
        ("02:00.0", "; nearest is 0002:00:00.0 (1b36:0010)"),
        ("0000:00:00.0", "; nearest is 0001:00:00.0 (15b3:1016)"),
        ("0001:00:01.0", ""),
        // There is no way through bridges.
        ("0000:00:1c.0/00.0", ""),
    ] {
        let told = run(&z(true), &format!("vfio.bind={selector}"));
        assert_eq!((told.exit, told.bound.len()), (EXIT_NOT_BOUND, 0));
        let expected = format!("vfio.bind={selector} matches no function of this machine{near}");
        assert_eq!(told.unmatched, [expected]);
    }
    // A PC has domain 0000: there the address is merely wrong.
    let told = run(&arm(true), "vfio.bind=42:00.0");
    assert_eq!(
        told.unmatched,
        ["vfio.bind=42:00.0 matches no function of this machine"]
    );
}

#[test]
fn a_slot_that_is_off_is_told() {
    let told = run(&z(true), "vfio.bind=slot:0000000a");
    assert_eq!((told.exit, told.bound.len()), (EXIT_NOT_BOUND, 0));
    assert_eq!(
        told.problems,
        ["slot 0000000a is off, so nothing is in it; echo 1 > \
          /sys/bus/pci/slots/0000000a/power, and run `vfio-bind bind`"]
    );
    let told = run(&z(true), "vfio.bind=slot:0000000b");
    assert_eq!(told.problems, [""; 0]);
}

#[test]
fn on_arm_siblings_are_taken_and_the_root_port_stays() {
    let machine = arm(true);
    let told = run(&machine, "vfio.bind=01:00.0");
    assert_eq!((told.exit, told.iommu.as_str()), (EXIT_DONE, "smmuv3"));
    assert_eq!(told.bound, ["0000:01:00.0", "0000:01:00.1"]);
    assert_eq!(machine.driver("0000:00:01.0").as_deref(), Some("pcieport"));
}

#[test]
fn the_advice_is_for_this_architecture() {
    for (machine, line, advice) in [
        (
            z(false),
            "vfio.bind=0001:00:00.0 intel_iommu=off",
            Advice::S390,
        ),
        (arm(false), "vfio.bind=01:00.0 iommu=off", Advice::Smmu),
        (pc(true), "vfio.bind=01:00.0", Advice::IntelParameter),
        (
            pc(false),
            "vfio.bind=01:00.0 intel_iommu=on",
            Advice::IntelFirmware,
        ),
        (
            pc(true),
            "vfio.bind=01:00.0 intel_iommu=on",
            Advice::IntelKernel,
        ),
        (
            pc(true),
            "vfio.bind=01:00.0 intel_iommu=igfx_off,on",
            Advice::IntelKernel,
        ),
        (
            pc(true),
            "vfio.bind=01:00.0 -- intel_iommu=on",
            Advice::IntelParameter,
        ),
        (
            pc(true),
            "vfio.bind=01:00.0 vfio.enable_unsafe_noiommu_mode=1",
            Advice::NoIommuMode,
        ),
    ] {
        let told = run(&machine, line);
        assert_eq!(
            (told.exit, told.advice),
            (EXIT_NOT_BOUND, Some(advice)),
            "{line}"
        );
    }
}

/// A PC of Intel's whose kernel uses no IOMMU, with or without one in the firmware.
fn pc(offered: bool) -> FakeMachine {
    let machine = FakeMachine::new(&[Card {
        group: None,
        ..Card::new("0000:01:00.0", 0x10de, 0x1b80, 0x03_0000, 0)
    }]);
    write(&machine, "proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
    if offered {
        write(&machine, "sys/firmware/acpi/tables/DMAR", "");
    }
    machine
}

#[test]
fn a_parameter_that_keeps_the_graphics_out_of_the_iommu_is_named() {
    let graphics = Card {
        group: None,
        ..Card::new("0000:00:02.0", 0x8086, 0x3e92, 0x03_0000, 0)
    };
    let machine = FakeMachine::new(&[
        graphics,
        Card::new("0000:01:00.0", 0x10de, 0x1b80, 0x03_0000, 1),
    ]);
    for (line, refusal) in [
        ("vfio.bind=00:02.0 intel_iommu=on,igfx_off", Refusal::Igfx),
        ("vfio.bind=00:02.0 intel_iommu=on", Refusal::NoGroup),
    ] {
        run::rehearse(
            &machine,
            line.as_bytes(),
            run::Extent::Whole,
            &mut |record| {
                let decisions: Vec<_> =
                    record.plan.steps.iter().map(|step| step.decision).collect();
                assert_eq!(decisions, [Decision::Refuse(refusal)], "{line}");
                record.exit()
            },
        );
    }
}

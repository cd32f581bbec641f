//! Virtual functions (VFs): which are meant, how they are made, and who gets them.

use crate::support::{Card, FakeMachine, Trouble, Virtual, network, write};
use crate::taken::{Taken, follow, plan, take};
use rustix::io::Errno;

/// A NIC with two ports, of which the first makes VFs; a plain one.
const PF: &str = "0000:03:00.0";
const PLAIN: &str = "0000:05:00.0";
/// Where its VFs are.
const VFS: [&str; 8] = [
    "0000:04:10.0",
    "0000:04:10.2",
    "0000:04:10.4",
    "0000:04:10.6",
    "0000:04:11.0",
    "0000:04:11.2",
    "0000:04:11.4",
    "0000:04:11.6",
];

fn cards() -> [Card; 3] {
    [
        Card::new(PF, 0x8086, 0x10c9, 0x02_0000, 7).on("igb"),
        Card::new("0000:03:00.1", 0x8086, 0x10c9, 0x02_0000, 8).on("igb"),
        Card::new(PLAIN, 0x8086, 0x10d3, 0x02_0000, 9).on("e1000e"),
    ]
}

fn machine_with(kind: Virtual) -> FakeMachine {
    FakeMachine::new(&cards())
        .with_vfio_pci()
        .with_virtual(PF, kind)
}

fn machine() -> FakeMachine {
    machine_with(network())
}

/// A run for one function in the real root.
fn take_for(machine: &FakeMachine, line: &str, address: &str) -> Taken {
    follow(machine, line, address, true)
}

/// The drivers of the VFs that are there.
fn drivers(machine: &FakeMachine) -> Vec<String> {
    let there = VFS
        .iter()
        .filter(|vf| machine.path(&format!("sys/bus/pci/devices/{vf}")).exists());
    there
        .map(|vf| machine.driver(vf).unwrap_or_default())
        .collect()
}

#[track_caller]
fn expect(taken: &Taken, exit: u8, bound: &[&str]) {
    assert_eq!(
        (taken.exit, &*taken.bound),
        (
            exit,
            &*bound.iter().map(|vf| (*vf).to_owned()).collect::<Vec<_>>()
        ),
        "{}",
        taken.messages
    );
}

const LINE: &str = "vfio.sriov=03:00.0:4 vfio.bind=vf:03:00.0#0-1,3";

#[test]
fn they_are_made_while_no_driver_takes_them_and_the_rest_goes_to_its_own() {
    let machine = machine();
    let taken = take_for(&machine, LINE, PF);
    expect(&taken, 0, &[VFS[0], VFS[1], VFS[3]]);
    assert_eq!(
        drivers(&machine),
        ["vfio-pci", "vfio-pci", "igbvf", "vfio-pci"]
    );
    assert_eq!(machine.driver(PF).as_deref(), Some("igb"));
    assert_eq!(
        machine.take_events(),
        [
            "0000:03:00.0/sriov_drivers_autoprobe = 0",
            "0000:03:00.0/sriov_numvfs = 4",
            "0000:04:10.0/driver_override = vfio-pci",
            "0000:04:10.2/driver_override = vfio-pci",
            "0000:04:10.6/driver_override = vfio-pci",
            "drivers_probe = 0000:04:10.0",
            "drivers_probe = 0000:04:10.2",
            "drivers_probe = 0000:04:10.6",
            "0000:03:00.0/sriov_drivers_autoprobe = 1",
            "drivers_probe = 0000:04:10.4",
        ]
    );
    assert!(
        taken.says("0000:03:00.0: 4 virtual functions are made (vfio.sriov=03:00.0:4)"),
        "{}",
        taken.messages
    );
    // Every later event of the PF finds all done.
    let again = take_for(&machine, LINE, PF);
    expect(&again, 0, &[]);
    assert_eq!(machine.take_events(), [""; 0]);
    assert!(again.is_no_news, "{}", again.messages);
    // A reload removes them, and its `bind` makes them again.
    machine.reload(PF, "igb");
    assert_eq!(drivers(&machine), [""; 0]);
    expect(&take_for(&machine, LINE, PF), 0, &[VFS[0], VFS[1], VFS[3]]);
    assert_eq!(
        drivers(&machine),
        ["vfio-pci", "vfio-pci", "igbvf", "vfio-pci"]
    );
}

/// The first look of a boot makes none, whether the driver is there or not, and calls nothing a mistake.
#[test]
fn at_boot_they_wait() {
    let machine = machine();
    for taken in [take(&machine, LINE), plan(&machine, LINE)] {
        expect(&taken, 0, &[]);
        assert!(
            taken.says(
                "0000:03:00.0: 4 virtual functions are made once its native driver is there \
                 (vfio.sriov=03:00.0:4)"
            ),
            "{}",
            taken.messages
        );
        assert_eq!(taken.errors, [""; 0]);
    }
    assert_eq!(machine.take_events(), [""; 0]);
    // Nor does the run for a PF without a driver.
    let late = FakeMachine::new(&[Card::new(PF, 0x8086, 0x10c9, 0x02_0000, 7)])
        .with_virtual(PF, network());
    expect(&take_for(&late, LINE, PF), 0, &[]);
    assert_eq!(late.take_events(), [""; 0]);
}

#[test]
fn where_nothing_is_asked_for_their_driver_takes_them_at_once() {
    let machine = machine();
    expect(&take_for(&machine, "vfio.sriov=03:00.0:2", PF), 0, &[]);
    assert_eq!(drivers(&machine), ["igbvf", "igbvf"]);
    assert_eq!(machine.take_events(), ["0000:03:00.0/sriov_numvfs = 2"]);
}

#[test]
fn by_id_by_address_by_name_and_all_of_them() {
    for (bind, bound) in [
        ("8086:10ca", &[0, 1, 2, 3][..]),
        ("04:10.2", &[1]),
        ("vf:03:00.0", &[0, 1, 2, 3]),
        ("vf:03:00", &[0, 1, 2, 3]),
        ("vf:slot:4#2,3", &[2, 3]),
        ("vf:label:Port #1#3", &[3]),
        ("vf:dsn:00-11-22-33-44-55-66-77#0", &[0]),
        ("vf:03:00.0@8086:10c9#1-2", &[1, 2]),
        ("vf:03:00.0,!vf:03:00.0#1-3", &[0]),
        // What is not there yet may be mistyped, as at boot; `!vf:` is for that.
        ("vf:03:00.0,!04:10.0", &[]),
        // An ID is never that of the PF in vain.
        ("vf:03:00.0@8086:10ca", &[]),
        ("vf:03:00.1", &[]),
    ] {
        let machine = machine();
        write(&machine, "sys/bus/pci/slots/4/address", "0000:03:00\n");
        write(
            &machine,
            &format!("sys/bus/pci/devices/{PF}/label"),
            "Port #1\n",
        );
        let mut config = vec![0; 0x110];
        config[0x100..0x104].copy_from_slice(&0x0001_0003u32.to_le_bytes());
        config[0x104..0x108].copy_from_slice(&0x4455_6677u32.to_le_bytes());
        config[0x108..0x10c].copy_from_slice(&0x0011_2233u32.to_le_bytes());
        write(
            &machine,
            &format!("sys/bus/pci/devices/{PF}/config"),
            config,
        );
        let line = format!("vfio.sriov=03:00.0:4 \"vfio.bind={bind}\"");
        let taken = take_for(&machine, &line, PF);
        let expected: Vec<_> = bound.iter().map(|at| VFS[*at]).collect();
        assert_eq!(taken.bound, expected, "{bind}: {}", taken.messages);
        for (at, driver) in drivers(&machine).iter().enumerate() {
            let expected = if bound.contains(&at) {
                "vfio-pci"
            } else {
                "igbvf"
            };
            assert_eq!(driver, expected, "{bind} {at}");
        }
        assert_eq!(machine.driver(PF).as_deref(), Some("igb"), "{bind}");
    }
}

#[test]
fn what_is_protected_stays_and_what_is_set_is_set() {
    let machine = machine();
    let line = "vfio.sriov=03:00.0:3 vfio.bind=vf:03:00.0 vfio.protect=vf:03:00.0#1 \
                vfio.set=vf:03:00.0#0,2:d3cold_allowed=0";
    let taken = take_for(&machine, line, PF);
    // No attribute of that name is there, which shows that it was asked for.
    expect(&taken, 1, &[]);
    assert!(taken.says("0000:04:10.0: d3cold_allowed=0: there is no d3cold_allowed"));
    assert!(taken.says("0000:04:10.4: d3cold_allowed=0: there is no d3cold_allowed"));
    assert!(taken.says("0000:04:10.2: refused: 0000:04:10.2 of its IOMMU group is protected"));
    assert_eq!(drivers(&machine), ["igbvf"; 3]);
}

/// What others make is held back from the first look on, and each gets its own when they are there.
#[test]
fn what_others_make_is_waited_for() {
    let machine = machine();
    let line = "vfio.bind=vf:03:00.0#1";
    let taken = take(&machine, line);
    expect(&taken, 0, &[]);
    assert_eq!(taken.errors, [""; 0], "{}", taken.messages);
    assert_eq!(
        machine.take_events(),
        ["0000:03:00.0/sriov_drivers_autoprobe = 0"]
    );
    machine.make_virtual(PF, 3);
    assert_eq!(drivers(&machine), [""; 3]);
    expect(&take_for(&machine, line, PF), 0, &[VFS[1]]);
    assert_eq!(drivers(&machine), ["igbvf", "vfio-pci", "igbvf"]);
    // Those of the next time are held back, too.
    assert_eq!(machine.attribute(PF, "sriov_drivers_autoprobe"), "0");
    // Where nothing is left for drivers they are kept off without a gap.
    machine.take_events();
    expect(&take_for(&machine, line, PF), 0, &[]);
    assert_eq!(machine.take_events(), [""; 0]);
    // A plan, a dry run and a policy that is not understood hold nothing back.
    for line in [
        "vfio.bind=vf:03:00.0#1 vfio.dry_run",
        "vfio.bind=vf:03:00.0#1,!junk",
    ] {
        let machine = self::machine();
        take(&machine, line);
        assert_eq!(
            machine.attribute(PF, "sriov_drivers_autoprobe"),
            "1",
            "{line}"
        );
    }
}

/// What fails, what is said, whether that is tried again, and what was written.
#[test]
fn failures_say_what_to_do_and_leave_the_machine_as_it_is() {
    let refuses = |errno| Virtual {
        answer: Some((errno, 0)),
        ..network()
    };
    let tried = &[
        "0000:03:00.0/sriov_drivers_autoprobe = 0",
        "0000:03:00.0/sriov_numvfs = 4",
        "0000:03:00.0/sriov_drivers_autoprobe = 1",
    ][..];
    let nothing = &[][..];
    for (kind, line, told, exit, events) in [
        (
            network(),
            "vfio.sriov=03:00.0:9",
            "are not made: it makes 8 at most",
            1,
            nothing,
        ),
        (
            refuses(Errno::NOENT),
            "",
            "sriov_numvfs): ENOENT; its driver makes none",
            1,
            tried,
        ),
        (
            refuses(Errno::NOMEM),
            "",
            "sriov_numvfs): ENOMEM; no room for their memory",
            1,
            tried,
        ),
        (
            refuses(Errno::IO),
            "",
            "sriov_numvfs): EIO; the kernel log says why",
            1,
            tried,
        ),
        (
            refuses(Errno::AGAIN),
            "",
            "EAGAIN; its driver wants something first",
            0,
            tried,
        ),
        (
            refuses(Errno::NETDOWN),
            "",
            "ENETDOWN; its driver wants something first",
            0,
            tried,
        ),
        (
            Virtual {
                most: 0,
                ..network()
            },
            "",
            "not made yet; its driver wants something first",
            0,
            tried,
        ),
        (
            network(),
            "vfio.sriov=05:00.0:4",
            "0000:05:00.0: 4 virtual functions are not made: it makes none",
            1,
            nothing,
        ),
        (
            network(),
            "vfio.sriov=8086:10d3:4",
            "0000:05:00.0: 4 virtual functions are not made: it makes none",
            1,
            nothing,
        ),
        (
            network(),
            "vfio.sriov=06:00.0:4",
            "vfio.sriov=06:00.0:4 matches no function of this machine",
            1,
            nothing,
        ),
        (
            network(),
            "vfio.sriov=03:00.0@10de:1b80:4",
            "vfio.sriov=03:00.0@10de:1b80:4 matches no function",
            1,
            nothing,
        ),
        (
            network(),
            "vfio.sriov=03:00.0:0",
            "a number of virtual functions, 1 to 65535 at `0`; no virtual functions are made by it",
            2,
            nothing,
        ),
    ] {
        let machine = machine_with(kind);
        let line = match line {
            "" => "vfio.sriov=03:00.0:4",
            other => other,
        };
        let pf = if line.contains("05:00") || line.contains("10d3") {
            PLAIN
        } else {
            PF
        };
        // So that something is selected, and not there.
        let line = &format!("{line} vfio.bind=vf:03:00.0#0");
        let taken = if told.contains("matches no") || told.contains("number of") {
            take(&machine, line)
        } else {
            take_for(&machine, line, pf)
        };
        assert!(taken.says(told), "{line}: {told}\n{}", taken.messages);
        assert_eq!(taken.exit, exit, "{line}: {}", taken.messages);
        let events: Vec<_> = events.to_vec();
        let seen: Vec<_> = machine.take_events();
        let seen: Vec<_> = seen.iter().filter(|_| line.contains("03:00.0:4")).collect();
        assert_eq!(seen, events, "{line}");
        assert_eq!(drivers(&machine), [""; 0], "{line}");
        assert_eq!(machine.driver(PF).as_deref(), Some("igb"), "{line}");
    }
}

#[test]
fn another_number_that_is_there_stays() {
    let machine = machine();
    machine.make_virtual(PF, 2);
    let taken = take_for(&machine, LINE, PF);
    assert!(
        taken.says(
            "are not made: it has 2 already, and they stay; write 0 to its sriov_numvfs first"
        ),
        "{}",
        taken.messages
    );
    // What is asked for of them is taken all the same, by hand from their driver.
    expect(&taken, 1, &[VFS[0], VFS[1]]);
    assert_eq!(machine.attribute(PF, "sriov_numvfs"), "2");
}

#[test]
fn fewer_than_asked_for_are_used_and_told() {
    let machine = machine_with(Virtual {
        most: 2,
        ..network()
    });
    let taken = take_for(&machine, LINE, PF);
    assert!(
        taken.says("4 virtual functions are not made: its driver made 2"),
        "{}",
        taken.messages
    );
    expect(&taken, 1, &[VFS[0], VFS[1]]);
}

/// NVMe and Intel graphics: an ID means the PF as well, which makes none on vfio-pci.
#[test]
fn a_pf_that_is_asked_for_itself_makes_none() {
    let machine = machine();
    for line in [
        "vfio.sriov=03:00.0:4 vfio.bind=03:00.0",
        "vfio.sriov=03:00.0:4 vfio.bind=8086:10c9",
    ] {
        let taken = take(&machine, line);
        assert!(
            taken.says("0000:03:00.0: 4 virtual functions are not made: it is asked for itself"),
            "{}",
            taken.messages
        );
        assert_eq!(taken.exit, 1);
        assert_eq!(machine.driver(PF).as_deref(), Some("vfio-pci"));
        let taken = take_for(&machine, line, PF);
        assert!(
            taken.says("not made: it is asked for itself"),
            "{}",
            taken.messages
        );
        assert_eq!(machine.attribute(PF, "sriov_numvfs"), "0");
    }
}

/// A PF whose driver holds the device lock is given up, and what it makes later is no driver's until its
/// next event.
#[test]
fn a_driver_that_hangs_is_not_waited_for_without_end() {
    let machine = machine();
    machine.lock(PF);
    let taken = take_for(&machine, LINE, PF);
    assert!(
        taken.says("sriov_numvfs): ETIMEDOUT; its driver may still make them"),
        "{}",
        taken.messages
    );
    assert_eq!(taken.exit, 1);
    assert!(machine.waited().as_secs() <= 60, "{:?}", machine.waited());
    machine.let_go();
    assert_eq!(drivers(&machine), [""; 4]);
    expect(&take_for(&machine, LINE, PF), 0, &[VFS[0], VFS[1], VFS[3]]);
    assert_eq!(
        drivers(&machine),
        ["vfio-pci", "vfio-pci", "igbvf", "vfio-pci"]
    );
}

#[test]
fn where_drivers_cannot_be_kept_off_none_is_made() {
    let machine = machine().with(Trouble::write_answers(
        "sriov_drivers_autoprobe",
        Errno::ACCESS,
    ));
    let taken = take_for(&machine, LINE, PF);
    assert!(
        taken.says("write(sriov_drivers_autoprobe): EACCES; native drivers would have them first"),
        "{}",
        taken.messages
    );
    assert_eq!(drivers(&machine), [""; 0]);
}

/// What is not understood widens nothing, and where it may have excluded anything nothing is bound.
#[test]
fn mistakes_in_a_list_of_indexes() {
    for (bind, told, bound) in [
        (
            "vf:03:00.0#0,x",
            "vfio.bind: `vf:03:00.0#0,x`: expected numbers of virtual functions, as 0-3,7 at `x`",
            &[][..],
        ),
        ("vf:03:00.0#3-0", "at `3-0`", &[]),
        ("vf:03:00.0#", "at the end", &[]),
        ("vf:03:00.0#0-65536", "at `0-65536`", &[]),
        ("vf:03:00.0#-1", "at `-1`", &[]),
        ("vf:8086:10c9#0,x", "as 0-3,7 at `x`", &[]),
        ("vf:vf:03:00.0", "at `vf`", &[]),
        ("04:10.0,7", "`7`: neither an address", &[VFS[0]]),
        (
            "vf:03:00.0#0,04:10.2,3",
            "`3`: neither an address",
            &[VFS[0], VFS[1]],
        ),
        (
            "vf:03:00.0,!vf:03:00.0#0,x",
            "what it excludes is unknown, so nothing is bound",
            &[],
        ),
        (
            "vf:03:00.0,!vf:09:00.0#0",
            "what it excludes is unknown, so nothing is bound",
            &[],
        ),
        (
            "vf:03:00.0,!vf:03:00.0@10de:1b80",
            "what it excludes is unknown, so nothing is bound",
            &[],
        ),
        (
            "vf:03:00.0#9",
            "vfio.bind=vf:03:00.0#9 matches no function of this machine",
            &[],
        ),
    ] {
        let machine = machine();
        let line = format!("vfio.sriov=03:00.0:4 vfio.bind={bind}");
        // What is wrong with a policy is told by the first run.
        let first = take(&machine, &line);
        assert!(first.says(told), "{bind}: {told}\n{}", first.messages);
        assert_eq!(first.bound, [""; 0], "{bind}");
        let taken = take_for(&machine, &line, PF);
        assert_eq!(taken.bound, bound, "{bind}: {}", taken.messages);
    }
}

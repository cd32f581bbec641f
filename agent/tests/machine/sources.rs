//! Every source that can hand IDs to vfio-pci: what it takes by them is what the plan takes, or nothing.

use crate::support::{Card, FakeMachine, Trouble, bound, problems, write};
use rustix::io::Errno;
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::policy::modprobe_conf::{FILE_LEN, ModprobeConf};
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, State};
use vfio_bind_agent::run;

const GPU: &str = "0000:42:00.0";
const TWIN: &str = "0000:43:00.0";
const DISK: &str = "0000:01:00.0";

const MODPROBE: &str = "etc/modprobe.d/vfio.conf";
const POLICY: &str = "etc/vfio-bind/policy.conf";
const MODULES: &str = "conf/modules";

/// Two cards with equal IDs and a disk, each in a group of its own, without native drivers yet. kmod
/// would hand IDs to vfio-pci that take the cards.
fn machine(files: &[(&str, &str)]) -> FakeMachine {
    let machine = FakeMachine::new(&[
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 3),
        Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 15),
        Card::new(TWIN, 0x1234, 0x1111, 0x03_0000, 16),
    ])
    .with(Trouble {
        by_ids: vec![GPU.to_owned(), TWIN.to_owned()],
        ..Trouble::default()
    });
    for (file, text) in files {
        write(&machine, file, text);
    }
    machine
}

/// A run, once it is over.
struct Ran {
    exit: u8,
    state: State,
    bound: Vec<String>,
    problems: Vec<String>,
    unasked: Vec<(String, Fate)>,
}

fn run(machine: &FakeMachine, line: &str) -> Ran {
    let mut ran = None;
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
        ran = Some(Ran {
            exit: record.exit(),
            state: record.state,
            bound: bound(record),
            problems: problems(record),
            unasked: record
                .outcomes
                .unasked
                .iter()
                .map(|unasked| (unasked.address.to_string(), unasked.fate))
                .collect(),
        });
        record.exit()
    });
    ran.unwrap()
}

fn loads(machine: &FakeMachine) -> Vec<String> {
    let events = machine.take_events().into_iter();
    events
        .filter(|event| event.starts_with("modprobe"))
        .collect()
}

const EMPTY: &str = "modprobe vfio-pci ids=";

/// Files of the image, and a command line that binds the disk alone.
type Overreach = (&'static [(&'static str, &'static str)], &'static str);

const OVERREACHES: &[Overreach] = &[
    (
        &[(MODPROBE, "options vfio-pci ids=1b36:0010,\\\n1234:1111\n")],
        "vfio.bind=!42:00.0,!43:00.0",
    ),
    (
        &[(MODPROBE, "options vfio-pci id\\\ns=1b36:0010,1\\234:1111")],
        "vfio.bind=!42:00.0,!43:00.0",
    ),
    (
        &[(
            MODPROBE,
            "# cards \\\n of mine\noptions vfio-pci \"ids=1b36:0010,1234:1111\"\n",
        )],
        "vfio.bind=!42:00.0,!43:00.0",
    ),
    (
        &[(
            MODPROBE,
            "options vfio-pci disable_vga=1 ids=\"1b36:0010,1234:1111\"\n",
        )],
        "vfio.bind=!42:00.0,!43:00.0",
    ),
    (&[], "vfio.bind=01:00.0 -- vfio_pci.ids=1234:1111"),
    (&[], "vfio_pci.ids=1b36:0010 -- vfio-pci.ids=1234:1111"),
    (
        &[
            (MODPROBE, "options vfio-pci ids=1234:1111\n"),
            (POLICY, "vfio_pci.ids=1b36:0010\n"),
        ],
        "quiet",
    ),
    (
        &[(MODPROBE, "options vfio-pci ids=1234:1111\n")],
        "vfio.bind=01:00.0,!42:00.0,!43:00.0",
    ),
    (
        &[(MODULES, "vfio_pci ids=1234:1111\n")],
        "vfio.bind=01:00.0,!42:00.0,!43:00.0",
    ),
    // Another driver is asked for, and vfio-pci may come with its IDs later.
    (
        &[],
        "vfio.bind=01:00.0,!42:00.0,!43:00.0 vfio_pci.ids=1234:1111 vfio.driver=nvme_vfio",
    ),
];

#[test]
fn no_source_hands_vfio_pci_what_the_plan_leaves_alone() {
    for (files, line) in OVERREACHES {
        let machine = machine(files);
        let ran = run(&machine, line);
        let case = format!("{files:?} {line}");
        assert_eq!(ran.bound, [DISK], "{case}");
        assert_eq!(ran.unasked, [], "{case}");
        assert_eq!(
            (machine.driver(GPU), machine.driver(TWIN)),
            (None, None),
            "{case}"
        );
        assert!(loads(&machine).contains(&EMPTY.to_owned()), "{case}");
    }
}

#[test]
fn where_all_is_refused_nobody_gives_vfio_pci_the_ids_later() {
    let ids: &[(&str, &str)] = &[(MODPROBE, "options vfio-pci ids=1234:1111\n")];
    for (files, line, exit, state) in [
        (
            &[][..],
            "vfio_pci.ids=1234:1111 vfio.bind=off",
            EXIT_DONE,
            State::Off,
        ),
        (ids, "vfio.bind=off", EXIT_DONE, State::Off),
        (
            &[(MODULES, "vfio-pci ids=1234:1111")],
            "vfio.bind=off",
            EXIT_DONE,
            State::Off,
        ),
        (ids, "vfio.bind=!1234:1111", EXIT_DONE, State::Applied),
        (
            ids,
            "vfio.protect=1234:1111",
            EXIT_NOT_BOUND,
            State::Applied,
        ),
        (ids, "vfio.bind=!nonsense", EXIT_NOT_BOUND, State::Applied),
        (
            &[],
            "vfio_pci.ids=1234:1111 vfio.bind=!1234:1111",
            EXIT_DONE,
            State::Applied,
        ),
        (
            &[ids[0], (POLICY, "vfio_pci.ids=\n")],
            "quiet",
            EXIT_DONE,
            State::Applied,
        ),
    ] {
        let machine = machine(files);
        let ran = run(&machine, line);
        assert_eq!((ran.exit, ran.state), (exit, state), "{line}");
        assert_eq!(machine.take_events(), [EMPTY], "{line}");
        // It is there with its list by now.
        run(&machine, line);
        assert_eq!(machine.take_events(), [""; 0], "{line}");
    }
    for line in [
        "vfio_pci.ids=1234:1111 vfio.bind=off vfio.dry_run",
        "vfio_pci.ids=1234:1111 vfio.bind=!1234:1111 vfio.dry_run",
        "vfio_pci.ids=1234 vfio.bind=off",
        "vfio.bind=off",
        "vfio.bind=!1234:1111",
    ] {
        let machine = machine(&[]);
        run(&machine, line);
        assert_eq!(machine.take_events(), [""; 0], "{line}");
    }
}

#[test]
fn ids_that_take_what_the_plan_takes_stay() {
    for (files, line) in [
        (&[][..], "vfio_pci.ids=1234:1111"),
        (&[], "vfio.bind=1b36:0010 vfio_pci.ids=1234:1111"),
        (&[(MODPROBE, "options vfio-pci ids=1234:1111\n")], "quiet"),
        (
            &[(MODPROBE, "options vfio-pci \"ids=1234:1111\"\n")],
            "quiet",
        ),
        (
            &[(MODULES, "# cards\nvfio\n  vfio_pci ids=1234:1111\n")],
            "quiet",
        ),
    ] {
        let machine = machine(files);
        let ran = run(&machine, line);
        assert_eq!(ran.exit, EXIT_DONE, "{files:?} {line}: {:?}", ran.problems);
        assert!(ran.bound.contains(&GPU.to_owned()), "{files:?} {line}");
        assert!(ran.bound.contains(&TWIN.to_owned()), "{files:?} {line}");
        assert_eq!(loads(&machine), ["modprobe vfio-pci"], "{files:?} {line}");
    }
}

#[test]
fn an_install_line_is_passed_over_and_one_that_forbids_is_not() {
    let line = "vfio.bind=01:00.0 vfio_pci.ids=1234:1111 vfio.bind=!1234:1111";
    for (text, load) in [
        (
            "install vfio-pci /sbin/gpus.sh\n",
            "modprobe -i vfio-pci ids=",
        ),
        (
            "install vfio_* /sbin/gpus.sh; modprobe -i vfio-pci\n",
            "modprobe -i vfio-pci ids=",
        ),
        ("install vfio-pci /bin/false\n", "modprobe vfio-pci ids="),
        ("install vfio /sbin/gpus.sh\n", "modprobe vfio-pci ids="),
        (
            "install snd_hda_intel /bin/true\n",
            "modprobe vfio-pci ids=",
        ),
    ] {
        let machine = machine(&[(MODPROBE, text)]);
        run(&machine, line);
        assert_eq!(loads(&machine), [load], "{text}");
    }
}

/// A machine whose vfio-pci takes both cards although it is given an empty list.
fn deaf(by_ids: &[&str]) -> FakeMachine {
    let mut machine = machine(&[]);
    machine.trouble.deaf_to_options = true;
    machine.trouble.by_ids = by_ids.iter().map(|&address| address.to_owned()).collect();
    machine
}

const BESIDE: &str = "vfio.bind=01:00.0 vfio_pci.ids=1234:1111 vfio.bind=!1234:1111";

#[test]
fn what_vfio_pci_took_unasked_goes_back() {
    let machine = deaf(&[GPU, TWIN]);
    let mut ran = run(&machine, BESIDE);
    let mut events = machine.take_events();
    // A driver's directory has no order.
    ran.unasked.sort_by_key(|(address, _)| address.clone());
    events[2..].sort();
    assert_eq!(
        events,
        [
            "0000:01:00.0/driver_override = vfio-pci",
            "modprobe vfio-pci ids=",
            "0000:42:00.0/driver/unbind = 0000:42:00.0",
            "0000:43:00.0/driver/unbind = 0000:43:00.0",
        ]
    );
    let returned = [GPU, TWIN].map(|address| (address.to_owned(), Fate::Returned));
    assert_eq!(ran.unasked, returned);
    assert_eq!(ran.exit, EXIT_NOT_BOUND);
    assert_eq!(ran.bound, [DISK]);
    machine.load_native(GPU, "bochs-drm");
    let drivers = [GPU, TWIN, DISK].map(|address| machine.driver(address));
    assert_eq!(
        drivers.map(Option::unwrap_or_default),
        ["bochs-drm", "", "vfio-pci"]
    );
}

#[test]
fn what_cannot_go_back_or_must_not_is_told() {
    let unbinding = "0000:43:00.0/driver/unbind".to_owned();
    for (options, trouble, value, fate) in [
        (" vfio.onfail=hold", None, "", Fate::Left),
        ("", Some((unbinding, Errno::IO)), "", Fate::Failed),
        // Some other program wants it there.
        ("", None, "vfio-pci", Fate::Left),
    ] {
        let mut machine = deaf(&[TWIN]);
        machine.trouble.writes.extend(trouble);
        if !value.is_empty() {
            machine.set_override(TWIN, value);
        }
        let ran = run(&machine, &format!("{BESIDE}{options}"));
        assert_eq!(
            ran.unasked,
            [(TWIN.to_owned(), fate)],
            "{options:?} {value}"
        );
        assert_eq!(ran.exit, EXIT_NOT_BOUND, "{options:?} {value}");
        assert_eq!(machine.driver(TWIN).as_deref(), Some("vfio-pci"));
    }
}

#[test]
fn so_does_what_nobody_had_looked_at() {
    let machine = deaf(&[TWIN]);
    let ran = run(&machine, "vfio.bind=01:00.0");
    assert_eq!(ran.unasked, [(TWIN.to_owned(), Fate::Returned)]);
    assert_eq!(machine.driver(TWIN), None);
}

#[test]
fn what_a_vfio_driver_had_before_is_not_touched() {
    let machine = FakeMachine::new(&[
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 3),
        Card::new(TWIN, 0x1234, 0x1111, 0x03_0000, 16).on("vfio-pci"),
    ]);
    let ran = run(&machine, "vfio.bind=01:00.0");
    assert_eq!((ran.exit, ran.unasked), (EXIT_DONE, vec![]));
    assert_eq!(machine.driver(TWIN).as_deref(), Some("vfio-pci"));
}

#[test]
fn of_files_with_one_name_the_first_directory_counts_and_of_the_others_the_last_name() {
    const DISKS: &str = "options vfio-pci ids=1b36:0010\n";
    const CARDS: &str = "options vfio-pci ids=1234:1111\n";
    let cards = &[GPU, TWIN][..];
    for (files, expected) in [
        (
            [("etc", "vfio.conf", CARDS), ("run", "vfio.conf", DISKS)],
            cards,
        ),
        (
            [("lib", "vfio.conf", DISKS), ("usr/lib", "vfio.conf", CARDS)],
            cards,
        ),
        (
            [
                ("lib", "vfio.conf", CARDS),
                ("usr/local/lib", "vfio.conf", DISKS),
            ],
            &[DISK],
        ),
        ([("etc", "a.conf", DISKS), ("lib", "b.conf", CARDS)], cards),
        (
            [("lib", "a.conf", CARDS), ("etc", "b.conf", DISKS)],
            &[DISK],
        ),
        (
            [("etc", "a.conf", CARDS), ("etc", "b.conf.old", DISKS)],
            cards,
        ),
        (
            [
                ("etc", "a.conf", CARDS),
                ("etc", "b.conf", "options vfio-pci disable_vga=1\n"),
            ],
            cards,
        ),
    ] {
        let machine = machine(&[]);
        for (directory, name, text) in files {
            write(&machine, &format!("{directory}/modprobe.d/{name}"), text);
        }
        assert_eq!(run(&machine, "quiet").bound, expected, "{files:?}");
    }
}

#[test]
fn a_file_is_read_to_its_limit_and_beyond_it_that_is_told() {
    for (length, is_cut) in [(FILE_LEN - 1, false), (FILE_LEN, true)] {
        let machine = FakeMachine::new(&[]);
        let end = "\noptions vfio-pci ids=1:2";
        let text = format!("#{}{end}", "x".repeat(length - end.len() - 1));
        write(&machine, "etc/modprobe.d/a.conf", &text);
        write(&machine, "etc/modprobe.d/b.conf", "");
        let mut conf = ModprobeConf::default();
        conf.read(&machine, &mut [0; FILE_LEN]);
        assert_eq!((conf.cut, &*conf.options), (is_cut, &b"ids=1:2 "[..]));
    }
}

#[test]
fn a_module_that_is_missing_is_not_asked_for_again_to_empty_its_list() {
    let (files, line) = OVERREACHES[0];
    let machine = machine(files).with(Trouble::no_module());
    let (mut emptied, mut tried) = (None, 0);
    run::perform(&machine, line.as_bytes(), &|| 0, &mut |record| {
        emptied = record.emptied;
        tried = record.plan.bound().count();
        record.exit()
    });
    assert_eq!(tried, 1);
    assert_eq!(loads(&machine), [EMPTY]);
    assert!(matches!(emptied, Some(Err(_))), "{emptied:?}");
}

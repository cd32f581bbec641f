//! What `bind` hands to the agent of what is in use, and what `plan` says of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use vfio_bind_cli::commands::bind::{self, Extent};
use vfio_bind_cli::commands::{plan, udev};
use vfio_bind_cli::preview::known::Known;
use vfio_bind_cli::preview::taken::{self, Keep, Meant};

use crate::machine::{FULL, GPU, Machine, NIC, USB};
use crate::program;

/// Keeps what it is given.
const AGENT: &str = "#!/bin/sh\nmkdir -p \"$3/../seen\"\ncp \"$3\"/*.conf \"$3/../seen\"\n";

/// A display that is shown on, on a system of which all is known.
fn machine(line: &str) -> Machine {
    let machine = Machine::new();
    machine
        .write("proc/self/mountinfo", "27 1 0:3 / / rw - tmpfs tmpfs rw\n")
        .write("proc/cmdline", line)
        .write("etc/vfio-bind/protected.conf", "")
        .card(FULL.1)
        .process(812, "Xorg")
        .open(812, 9, FULL.0);
    machine
}

fn agent(machine: &Machine) -> PathBuf {
    let agent = machine.path("agent");
    program::write(&agent, AGENT);
    agent
}

/// The list and the policy that the agent is given.
fn given(machine: &Machine, extent: Extent) -> (String, String) {
    let agent = agent(machine);
    bind::bind(machine.root(), &agent, extent, false).unwrap();
    let read = |file| fs::read_to_string(machine.path("run/vfio-bind/seen").join(file));
    (
        read("protected.conf").unwrap_or_default(),
        read("policy.conf").unwrap_or_default(),
    )
}

#[test]
fn what_is_in_use_is_protected_if_it_would_be_taken() {
    let line =
        format!("vfio.protect={GPU}@8086:1572  # in use: Xorg (pid 812) has /dev/full open\n");
    let (list, _) = given(&machine("vfio.bind=42:00.0,43:00.0"), Extent::All);
    assert!(list.contains(&line), "{list}");
    assert!(!list.contains(USB), "{list}");
    // Nobody asks for it.
    let (list, _) = given(&machine("vfio.bind=43:00.0"), Extent::All);
    assert!(!list.contains(GPU), "{list}");
    // It is where it is to be.
    let machine = machine("vfio.bind=42:00.0");
    machine.driver(GPU, "vfio-pci");
    let (list, _) = given(&machine, Extent::All);
    assert!(!list.contains(GPU), "{list}");
}

/// A record of a boot with these functions: address and outcome.
fn record(functions: &[(&str, &str)]) -> String {
    let functions: Vec<_> = functions
        .iter()
        .map(|(address, outcome)| {
            format!(
                r#"{{"address":"{address}","vendor":"8086","device":"1572","subvendor":"0000",
                "subdevice":"0000","class":"030000","group":1,"driver_before":null,"driver_now":null,
                "outcome":"{outcome}"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
        "functions":[{}],"exit":1,"elapsed_us":1}}"#,
        functions.join(",")
    )
}

#[test]
fn what_a_boot_left_unfinished_and_nothing_else() {
    let line = "vfio.bind=42:00.0,43:00.0,44:00.0 vfio.force";
    let machine = machine(line);
    let report = "run/vfio-bind/report.json";
    machine.write(
        report,
        &record(&[(GPU, "failed"), (USB, "failed"), (NIC, "refused")]),
    );
    machine.write("etc/vfio-bind/policy.conf", "vfio.group=\"listed\n");
    let (list, policy) = given(&machine, Extent::Unfinished);
    // An exclusion: nothing takes what is in use, and what is behind it is taken in by no quote.
    let excluded: Vec<_> = policy
        .lines()
        .filter(|line| line.starts_with("vfio.bind=!"))
        .collect();
    assert_eq!(
        excluded,
        [
            "vfio.bind=!0000:44:00.0  # this run is not for it",
            "vfio.bind=!0000:42:00.0  # in use: Xorg (pid 812) has /dev/full open",
        ]
    );
    assert!(policy.ends_with("vfio.group=\"listed\n"), "{policy}");
    assert!(!list.contains(GPU), "{list}");
    // Nothing is run where nothing is left.
    for functions in [&[(GPU, "bound"), (USB, "already")][..], &[]] {
        let machine = self::machine(line);
        machine.write(report, &record(functions));
        let (list, _) = given(&machine, Extent::Unfinished);
        assert_eq!(list, "");
        assert!(!machine.path("run/vfio-bind/seen").exists());
    }
    let machine = self::machine(line);
    let error = bind::bind(
        machine.root(),
        &machine.path("agent"),
        Extent::Unfinished,
        false,
    );
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("the boot left no record"), "{error}");
}

/// What the newest record says of each function counts, over all runs.
#[test]
fn what_later_runs_have_done_is_no_longer_unfinished() {
    const LINE: &str = "vfio.bind=42:00.0,43:00.0,44:00.0";
    type Runs = &'static [&'static [(&'static str, &'static str)]];
    let cases: [(Runs, &[&str]); 8] = [
        (&[&[(USB, "failed"), (NIC, "failed")]], &[USB, NIC]),
        (
            &[&[(USB, "failed"), (NIC, "held")], &[(USB, "bound")]],
            &[NIC],
        ),
        (
            &[
                &[(USB, "failed")],
                &[(USB, "already")],
                &[(USB, "returned")],
            ],
            &[USB],
        ),
        (&[&[(USB, "returned")], &[(USB, "refused")]], &[]),
        // One that came later.
        (&[&[(USB, "bound")], &[(NIC, "failed")]], &[NIC]),
        (&[&[(USB, "failed")], &[(NIC, "bound")]], &[USB]),
        // A dry run changes nothing.
        (&[&[(USB, "failed")], &[(USB, "planned")]], &[USB]),
        (&[&[], &[(USB, "bound"), (NIC, "left")]], &[]),
    ];
    for (runs, left) in cases {
        let machine = machine(LINE);
        for (number, functions) in runs.iter().enumerate() {
            let directory = match number {
                0 => "run/vfio-bind".to_owned(),
                later => format!("run/vfio-bind/run-{later}"),
            };
            machine.write(&format!("{directory}/report.json"), &record(functions));
        }
        let (_, policy) = given(&machine, Extent::Unfinished);
        assert_eq!(policy.is_empty(), left.is_empty(), "{runs:?}: {policy}");
        for function in [USB, NIC] {
            let spared = policy.contains(&format!("vfio.bind=!{function}"));
            let expected = !left.is_empty() && !left.contains(&function);
            assert_eq!(spared, expected, "{runs:?} {function}: {policy}");
        }
    }
    // What went back for the root file system is not missed, whatever was before; what failed later is.
    let machine = machine(LINE);
    let given_back = record(&[(USB, "failed"), (NIC, "failed")]);
    let given_back =
        given_back.replacen('{', &format!("{{\"given_back\":[\"{USB} xhci_hcd\"],"), 1);
    machine.write("run/vfio-bind/report.json", &given_back);
    let (_, policy) = given(&machine, Extent::Unfinished);
    assert!(policy.contains(&format!("vfio.bind=!{USB}")), "{policy}");
    assert!(!policy.contains(&format!("vfio.bind=!{NIC}")), "{policy}");
    machine.write(
        "run/vfio-bind/run-3/report.json",
        &record(&[(USB, "failed")]),
    );
    let (_, policy) = given(&machine, Extent::Unfinished);
    assert!(!policy.contains(&format!("vfio.bind=!{USB}")), "{policy}");
    // One that cannot be read is named, and nothing done.
    machine.write("run/vfio-bind/run-2/report.json", "{");
    let error = bind::bind(machine.root(), &agent(&machine), Extent::Unfinished, false);
    let error = format!("{:#}", error.unwrap_err());
    assert!(
        error.contains("run-2/report.json: it is no record"),
        "{error}"
    );
}

#[test]
fn a_plan_says_who_uses_what_it_would_take() {
    let machine = machine("vfio.bind=42:00.0");
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["plan", "--root"])
        .arg(machine.root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let note = "note: 0000:42:00.0 is in use now: Xorg (pid 812) has /dev/full open\n";
    assert!(text.contains(note), "{text}");
}

#[test]
fn what_is_not_bound_is_told_with_who_uses_it() {
    let machine = machine("vfio.bind=42:00.0,43:00.0");
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["verify", "--root"])
        .arg(machine.root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for end in [
        "amdgpu has it; it is in use: Xorg (pid 812) has /dev/full open\n",
        "xhci_hcd has it; `vfio-bind bind` takes it, unless it is in use\n",
    ] {
        assert!(text.contains(end), "{text}");
    }
}

#[test]
fn of_what_has_come_its_group_is_looked_at_and_no_other() {
    let machine = machine("vfio.bind=42:00.0,43:00.0");
    let audio = "0000:42:00.1";
    machine.function(audio, "040300", "snd_hda_intel", 1);
    for (function, is_listed) in [(audio, true), (GPU, true), (USB, false)] {
        udev::udev(machine.root(), &agent(&machine), function).unwrap();
        let list = fs::read_to_string(machine.path("run/vfio-bind/seen/protected.conf")).unwrap();
        assert_eq!(list.contains(GPU), is_listed, "{function}: {list}");
        assert!(!list.contains(USB), "{function}: {list}");
    }
}

#[test]
fn what_is_forced_is_told_as_that() {
    for (word, end) in [
        ("", "and left alone: "),
        (" vfio.force", "and vfio.force takes it all the same: "),
    ] {
        let machine = machine(&format!("vfio.bind=42:00.0{word}"));
        let mut known = Known::default();
        let tree = plan::open(machine.root()).unwrap();
        taken::keep(
            &mut known,
            &tree,
            machine.root(),
            Meant::All,
            Keep::Protected,
        )
        .unwrap();
        let told = format!("{GPU} is in use, {end}Xorg (pid 812) has /dev/full open");
        assert_eq!(known.told, [told]);
    }
}

//! `vfio-bind plan WORD|DEVICE...` as its user sees it.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::command::schema;
use crate::machine::{Machine, desktop};
use crate::snapshot;

pub fn plan(machine: &Machine, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    command.arg("plan").arg("--root").arg(machine.root());
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn devices_and_words_are_added_to_the_running_line() {
    let machine = desktop();
    machine.behind("0000:02:00.0", "net/enp2s0", "net");
    machine.write("proc/cmdline", "quiet vfio.bind=00:14.0 -- x\n");
    let same = |arguments: &[&str], cmdline: &str| {
        let (exit, out, err) = plan(&machine, arguments);
        let expected = plan(&machine, &["--cmdline", cmdline]);
        assert_eq!((exit, out, err), expected, "{arguments:?}");
    };
    same(
        &["01:00.0"],
        "quiet vfio.bind=00:14.0 vfio.bind=01:00.0 -- x",
    );
    same(
        &["enp2s0", "vfio.group=strict", "10de:1aef"],
        "quiet vfio.bind=00:14.0 vfio.bind=0000:02:00.0 vfio.group=strict vfio.bind=10de:1aef -- x",
    );
    same(&[], "quiet vfio.bind=00:14.0 -- x");
    let (exit, out, _) = plan(&machine, &["--cmdline", "quiet", "01:00.0"]);
    assert_eq!(exit, Some(0));
    assert!(
        out.contains("-> vfio-pci (vfio.bind=01:00.0)") && !out.contains("00:14.0"),
        "{out}"
    );
    for (arguments, exit, piece) in [
        (&["99:00.0"][..], 1, "matches no function of this machine"),
        (&["0000:4z:00.0"], 2, "expected a bus of two digits at `4z`"),
        (&["eth7"], 2, "eth7 is nothing that this machine has"),
        (
            &["vfio.bnid=01:00.0"],
            2,
            "vfio.bnid is no parameter of vfio-bind",
        ),
    ] {
        let (status, out, err) = plan(&machine, &[&["--cmdline", "quiet"], arguments].concat());
        assert_eq!(status, Some(exit), "{arguments:?}: {out}{err}");
        assert!(
            format!("{out}{err}").contains(piece),
            "{arguments:?}: {out}{err}"
        );
    }
    // A captured tree may be without a line; what is given is one.
    fs::remove_file(machine.path("proc/cmdline")).unwrap();
    let (exit, out, _) = plan(&machine, &["01:00.0"]);
    assert_eq!(exit, Some(0), "{out}");
    let (exit, _, err) = plan(&machine, &[]);
    assert_eq!(exit, Some(1));
    assert!(err.contains("give the line with --cmdline"), "{err}");
}

#[test]
fn memory_that_firmware_wants_mapped_is_told_before_the_boot() {
    let machine = desktop();
    let regions = |text: &str| {
        machine.write("sys/kernel/iommu_groups/8/reserved_regions", text);
        plan(&machine, &["02:00.0"]).1
    };
    let relaxable = "0x00000000000c0000 0x00000000000dffff direct-relaxable\n\
                     0x00000000fee00000 0x00000000feefffff msi\n";
    assert!(!regions(relaxable).contains("warning"));
    let out = regions("0x00000000000c0000 0x00000000000dffff direct\n");
    assert!(
        out.contains("warning: group 8: firmware wants memory mapped 1:1"),
        "{out}"
    );
}

#[test]
fn a_kernel_without_vfio_pci_is_told() {
    let machine = desktop();
    machine.write("proc/sys/kernel/osrelease", "6.12.1\n");
    let told = |list: &str, text: &str| {
        machine.write(&format!("lib/modules/6.12.1/{list}"), text);
        let out = plan(&machine, &["02:00.0"]).1;
        out.contains("warning: Linux 6.12.1 has no module vfio-pci")
    };
    assert!(told(
        "modules.dep",
        "kernel/drivers/vfio/pci/vfio-pci-core.ko.xz:\n"
    ));
    assert!(!told(
        "modules.builtin",
        "kernel/drivers/vfio/pci/vfio-pci.ko\n"
    ));
    assert!(told("modules.builtin", ""));
    assert!(!told(
        "modules.dep",
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko\n"
    ));
}

/// Machines, and what is asked of them.
const REQUESTS: [(&str, &[&[&str]]); 5] = [
    (
        "amd-ryzen-b550-desktop",
        &[
            &["04:00.0"],
            &["04:00.0", "vfio.group=listed"],
            &["10ec:8125", "!1022:43eb"],
            &["class:03"],
        ],
    ),
    ("two-identical-gpus-threadripper-x399", &[&["10de:2204"]]),
    (
        "intel-vmd-laptop-tigerlake",
        &[&["10000:e1:00.0"], &["00:1f.3"]],
    ),
    ("iommu-off-laptop-hybrid-vmd", &[&["01:00.0"]]),
    (
        "xeon-server-sriov-nic-legacy-pci-group",
        &[&["02:00.1"], &["99:00.0"]],
    ),
];

#[test]
fn plans_of_real_machines_read_as_reviewed() {
    let mut texts = Vec::new();
    for (name, requests) in REQUESTS {
        let machine = Machine::of(name);
        let mut text = String::new();
        for arguments in requests {
            let (exit, out, err) = plan(&machine, arguments);
            let separator = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{separator}$ vfio-bind plan {}", arguments.join(" ")).unwrap();
            writeln!(text, "{out}{err}exit status {}", exit.unwrap()).unwrap();
        }
        texts.push((name.to_owned(), text));
    }
    snapshot::compare("words/plans", &texts);
}

#[test]
fn json_is_as_its_schema_says() {
    let schema = schema("plan.json");
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, requests) in REQUESTS {
        let machine = Machine::of(name);
        for arguments in requests {
            let (exit, out, _) = plan(&machine, &[&["--json"], *arguments].concat());
            let value: Value = serde_json::from_str(&out).unwrap();
            let errors: Vec<_> = validator
                .iter_errors(&value)
                .map(|e| e.to_string())
                .collect();
            assert!(
                errors.is_empty(),
                "{name}: {arguments:?}: {errors:?}\n{out}"
            );
            assert!(
                out.starts_with("{\n  \"schema\": \"vfio-bind plan 1\","),
                "{out}"
            );
            assert_eq!(value["exit_status"].as_i64(), exit.map(i64::from));
        }
    }
}

/// What the table for eyes says, the JSON says.
#[test]
fn text_and_json_say_the_same() {
    let machine = Machine::of("amd-ryzen-b550-desktop");
    let (_, text, _) = plan(&machine, &["04:00.0", "vfio.group=listed"]);
    let (_, json, _) = plan(&machine, &["--json", "04:00.0", "vfio.group=listed"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    let functions = value["groups"][0]["functions"].as_array().unwrap();
    assert_eq!(functions.len(), 4);
    for function in functions {
        let line = text
            .lines()
            .find(|line| {
                line.trim_start()
                    .starts_with(function["address"].as_str().unwrap())
            })
            .unwrap();
        match function["becomes"].as_str().unwrap() {
            "bound" => assert!(line.contains("-> vfio-pci"), "{line}"),
            "left" => assert!(line.contains("stays: not listed"), "{line}"),
            other => panic!("{other}: {line}"),
        }
    }
}

#[test]
fn a_plan_is_drawn_as_a_page() {
    let machine = desktop();
    let (exit, out, err) = plan(&machine, &["--html", "-", "01:00.0", "00:1c.0"]);
    assert_eq!((exit, err.as_str()), (Some(1), ""));
    for piece in [
        "<!DOCTYPE html>",
        "would be taken",
        "bridges are never bound",
        "vfio.bind=01:00.0 vfio.bind=00:1c.0",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    let file = machine.path("page.html");
    let (exit, out, _) = plan(&machine, &["--html", file.to_str().unwrap(), "01:00.0"]);
    assert_eq!((exit, out.as_str()), (Some(0), ""));
    assert!(fs::read_to_string(file).unwrap().contains("would be taken"));
    let (exit, _, err) = plan(&machine, &["--html", "-", "--json", "01:00.0"]);
    assert_eq!(exit, Some(2), "{err}");
}

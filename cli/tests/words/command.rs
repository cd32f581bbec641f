//! `vfio-bind words` as its user sees it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::machine::Machine;
use crate::snapshot;

pub fn run(machine: &Machine, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    command.arg("words").arg("--root").arg(machine.root());
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Machines, and whose words are looked at.
const REQUESTS: [(&str, &[&str]); 6] = [
    ("amd-ryzen-b550-desktop", &["06:00", "04:00.0", "00:01.1"]),
    (
        "two-identical-gpus-threadripper-x399",
        &["42:00", "08:00.0", "10de:2204"],
    ),
    ("intel-vmd-laptop-tigerlake", &["00:1f.3", "10000:e1:00.0"]),
    ("intel-z390-desktop-peg-group", &["03:00.0"]),
    ("arm64-ampere-altra-multidomain", &["0005:03:00.0"]),
    ("iommu-off-laptop-hybrid-vmd", &["01:00.0"]),
];

#[test]
fn words_of_real_machines_read_as_reviewed() {
    let mut texts = Vec::new();
    for (name, devices) in REQUESTS {
        let machine = Machine::of(name);
        let mut text = String::new();
        for device in devices {
            let (exit, out, err) = run(&machine, &[device]);
            let separator = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{separator}$ vfio-bind words {device}").unwrap();
            writeln!(text, "{out}{err}exit status {}", exit.unwrap()).unwrap();
        }
        texts.push((name.to_owned(), text));
    }
    snapshot::compare("words/snapshots", &texts);
}

pub fn schema(name: &str) -> Value {
    let docs: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    serde_json::from_str(&fs::read_to_string(docs.join(name)).unwrap()).unwrap()
}

#[test]
fn json_is_as_its_schema_says() {
    let schema = schema("words.json");
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, devices) in REQUESTS {
        let machine = Machine::of(name);
        for device in devices {
            let (exit, out, _) = run(&machine, &["--json", device]);
            if exit != Some(0) {
                assert_eq!(out, "", "{name}: {device}");
                continue;
            }
            let value: Value = serde_json::from_str(&out).unwrap();
            let errors: Vec<_> = validator
                .iter_errors(&value)
                .map(|e| e.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {device}: {errors:?}\n{out}");
            assert!(
                out.starts_with("{\n  \"schema\": \"vfio-bind words 1\","),
                "{out}"
            );
        }
    }
}

#[test]
fn wrong_arguments_are_told_and_nothing_is_printed() {
    let machine = Machine::of("amd-ryzen-b550-desktop");
    for (arguments, piece) in [
        (
            &["eth7"][..],
            "vfio-bind: eth7 is nothing that this machine has",
        ),
        (&["--json", "eth7"], "vfio-bind: eth7 is nothing"),
        (
            &["06:00", "00:99.0"],
            "vfio-bind: 00:99.0: expected a device of two digits, at most 1f",
        ),
        (&["--root", "/nowhere/at/all", "06:00"], "--root"),
    ] {
        let (exit, out, err) = run(&machine, arguments);
        assert_eq!((exit, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(piece), "{arguments:?}: {err}");
    }
}

/// Puts the files of a machine with rEFInd into a tree.
fn with_refind(machine: &Machine) {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loaders/cases/08-refind/root/.");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(case)
        .arg(machine.root())
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn how_words_are_set_here_is_said() {
    let machine = Machine::of("amd-ryzen-b550-desktop");
    let (_, out, _) = run(&machine, &["04:00.0"]);
    assert!(!out.contains("setup"), "{out}");
    machine.write("etc/NIXOS", "");
    let (_, out, _) = run(&machine, &["04:00.0"]);
    assert!(
        out.contains("to set them by hand (nixos: ") && out.contains("boot.kernelParams"),
        "{out}"
    );
    fs::remove_file(machine.path("etc/NIXOS")).unwrap();
    with_refind(&machine);
    let (_, out, _) = run(&machine, &["04:00.0"]);
    assert!(
        out.contains(
            "`vfio-bind setup --words 'vfio.bind=0000:00:01.2/00.2/08.0/00.0@10ec:8125'` sets them"
        ),
        "{out}"
    );
}

/// What `setup` is given as devices becomes these words.
#[test]
fn setup_puts_the_words_for_devices() {
    let machine = Machine::of("amd-ryzen-b550-desktop");
    with_refind(&machine);
    let setup = |device: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
        command
            .args(["setup", "--dry-run", "--root"])
            .arg(machine.root())
            .arg(device);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (exit, out, err) = setup("04:00.0");
    assert_eq!(exit, Some(0), "{out}{err}");
    assert!(
        out.contains("vfio.bind=0000:00:01.2/00.2/08.0/00.0@10ec:8125"),
        "{out}"
    );
    assert!(
        out.contains("-> vfio-pci (vfio.bind=0000:00:01.2/00.2/08.0/00.0@10ec:8125)"),
        "{out}"
    );
    let (exit, out, err) = setup("00:01.1");
    assert_eq!(exit, Some(2), "{out}{err}");
    assert!(err.contains("bridges are never bound"), "{err}");
}

//! The command as its user sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use vfio_bind_cli::doctor::names;

use super::machine::{GPU, Machine};
use super::program;

fn run(program: &Path, machine: &Machine, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .arg("doctor")
        .arg("--root")
        .arg(machine.root())
        .args(arguments);
    command
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn doctor(machine: &Machine, arguments: &[&str]) -> (i32, String, String) {
    output(run(
        Path::new(env!("CARGO_BIN_EXE_vfio-bind")),
        machine,
        arguments,
    ))
}

#[test]
fn the_exit_status_says_fail_unknown_or_fine() {
    let machine = Machine::new();
    machine.write("proc/interrupts", "IR-IO-APIC\n");
    let (exit, out, err) = doctor(&machine, &[]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("PASS") && out.contains("0000:42:00.0"),
        "{out}"
    );
    machine
        .bridge("0000:00:01.0", 0x42, 1)
        .write("sys/bus/pci/devices/0000:00:01.0/config", [0; 64]);
    let (exit, out, _) = doctor(&machine, &["--brief"]);
    assert_eq!(exit, 2, "{out}");
    assert!(out.contains("UNKNOWN") && !out.contains("PASS  "), "{out}");
    machine
        .remove("sys/class/iommu")
        .remove("sys/kernel/iommu_groups");
    assert_eq!(doctor(&machine, &[]).0, 1);
}

#[test]
fn set_but_not_booted_comes_first() {
    let machine = Machine::bare("ro");
    machine.write("etc/kernel/cmdline", "vfio.bind=42:00.0\n");
    let (exit, out, _) = doctor(&machine, &[]);
    assert_eq!(exit, 1);
    let first = out.lines().next().unwrap();
    assert!(
        first.starts_with("FAIL") && first.contains("set-not-booted"),
        "{out}"
    );
}

#[test]
fn devices_are_named_as_selectors() {
    let machine = Machine::new();
    machine.function("0000:43:00.0", "8086", "1572", "020000", Some(15), "i40e");
    for device in ["43:00.0", "0000:43:00.0", "8086:1572", "43:00"] {
        let (_, out, err) = doctor(&machine, &["--json", device]);
        let value: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        assert_eq!(
            value["functions"],
            serde_json::json!(["0000:43:00.0"]),
            "{device}"
        );
    }
    for (device, piece) in [
        ("44:00.0", "matches no function of this machine"),
        ("zz", "`zz`"),
        ("", "is no device"),
        ("!42:00.0", "is no device"),
        ("42:00.0 vfio.force", "is no device"),
    ] {
        let (exit, out, err) = doctor(&machine, &[device]);
        assert_eq!((exit, out.as_str()), (2, ""), "{device}: {err}");
        assert!(err.contains(piece), "{device}: {err}");
    }
    let (exit, _, err) = doctor(&machine, &["--none"]);
    assert!(exit == 2 && err.contains("--none"), "{err}");
    let none = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["doctor", "--root", "/nowhere/at/all"])
        .output()
        .unwrap();
    let err = String::from_utf8(none.stderr).unwrap();
    assert!(
        none.status.code() == Some(2) && err.contains("--root wants a directory"),
        "{err}"
    );
}

#[test]
fn json_is_as_its_schema_says() {
    let schema = include_str!("../../../docs/schema/doctor.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let machine = Machine::new();
    machine
        .write("etc/kernel/cmdline", "vfio.bind=41:00.0\n")
        .gpu("config", [0; 64]);
    for machine in [machine, Machine::bare("ro")] {
        let (exit, out, _) = doctor(&machine, &["--json"]);
        let value: Value = serde_json::from_str(&out).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{out}");
        assert_eq!(value["exit"], exit);
        assert!(
            out.starts_with("{\n  \"schema\": \"vfio-bind doctor 1\""),
            "{out}"
        );
    }
    let listed = &schema["$defs"]["check"]["enum"];
    let listed: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(listed, names().collect::<Vec<_>>());
    // And it says no to what is none.
    assert!(!validator.is_valid(&serde_json::json!({"schema": "vfio-bind doctor 1"})));
}

/// As somebody else than root: what may not be read is told, and nothing guessed.
#[test]
fn an_ordinary_user_is_told_what_could_not_be_read() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("vfio-bind");
    program::copy(Path::new(env!("CARGO_BIN_EXE_vfio-bind")), &program);
    for path in [folder.path(), machine.root(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    machine.write("boot/grub/grub.cfg", "linux /x vfio.bind=42:00.0\n");
    machine.write("sys/kernel/security/lockdown", "[none]\n");
    for secret in ["boot/grub/grub.cfg", "sys/kernel/security/lockdown"] {
        fs::set_permissions(machine.path(secret), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut command = run(&program, &machine, &["--json", GPU]);
    command.uid(65534).gid(65534);
    let (exit, out, err) = output(command);
    let value: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let findings = value["findings"].as_array().unwrap();
    for check in ["set-not-booted", "lockdown"] {
        let one = findings.iter().find(|one| one["check"] == check).unwrap();
        assert_eq!(
            (&one["verdict"], &one["mend"]),
            (&"UNKNOWN".into(), &"run as root".into()),
            "{one}"
        );
    }
    assert_eq!(exit, 2, "{out}");
}

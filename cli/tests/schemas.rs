//! `--json` of the older commands, held against docs/schema.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a command prints, as its schema says, with its exit status.
#[track_caller]
fn valid(command: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let place =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/schema/{command}.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(place).unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args([command, "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0], "{text}");
    assert!(!validator.is_valid(&serde_json::json!({"schema": format!("vfio-bind {command} 1")})));
    (output.status.code(), value)
}

#[test]
fn check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.conf");
    let name = file.to_str().unwrap();
    let (exit, value) = valid("check", &[name]);
    assert_eq!(
        (exit, value["findings"].as_array().unwrap().len()),
        (Some(0), 0)
    );
    fs::write(&file, "vfio.bind=42:00.0\nvfio.bind=zz\n").unwrap();
    let (exit, value) = valid("check", &[name]);
    assert_eq!(
        (exit, &value["findings"][0]["line"], &value["exit"]),
        (Some(2), &2.into(), &2.into())
    );
}

#[test]
fn protected_and_verify() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let root = folder.path().to_str().unwrap();
    write(
        "proc/self/mountinfo",
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
    );
    write("proc/cmdline", "vfio.bind=42:00.0");
    write(
        "sys/bus/pci/devices/0000:42:00.0/modalias",
        "pci:v000010DEd00002204sv00000000sd00000000bc03sc00i00",
    );
    let (exit, value) = valid("protected", &["--root", root]);
    assert_eq!(
        (exit, value["unresolved"].as_array().unwrap().len()),
        (Some(0), 1)
    );
    let (exit, value) = valid("verify", &["--root", root]);
    assert_eq!(
        (exit, &value["lines"][0]["wrong"]),
        (Some(1), &true.into()),
        "{value}"
    );
    let disk = folder
        .path()
        .join("sys/devices/pci0000:00/0000:00:1f.2/block/sda");
    fs::create_dir_all(&disk).unwrap();
    write(
        "sys/devices/pci0000:00/0000:00:1f.2/modalias",
        "pci:v00008086d00002922sv00000000sd00000000bc01sc06i01",
    );
    for (at, target) in [
        (
            "sys/dev/block/8:1",
            "../../devices/pci0000:00/0000:00:1f.2/block/sda",
        ),
        (
            "sys/bus/pci/devices/0000:00:1f.2",
            "../../../devices/pci0000:00/0000:00:1f.2",
        ),
    ] {
        let at = folder.path().join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
    }
    let (_, value) = valid("protected", &["--root", root]);
    let one = &value["functions"][0];
    assert!(
        one["selector"]
            .as_str()
            .unwrap()
            .starts_with("0000:00:1f.2"),
        "{value}"
    );
    assert!(
        one["why"].as_str().unwrap().starts_with("/: sda"),
        "{value}"
    );
}

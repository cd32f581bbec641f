//! The command itself.

use std::process::Command;

use serde_json::Value;

use crate::machine::{NIC, System};
use crate::topology;

fn run(system: &System, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    command.arg("list").arg("--root").arg(system.root());
    let output = command.args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn what_programs_are_told_is_as_the_schema_says() {
    let schema = include_str!("../../../docs/schema/list.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let desktop = System::desktop();
    desktop.drive(NIC, "vfio-pci");
    let mut systems = vec![desktop];
    systems.extend(topology::names().iter().map(|name| topology::system(name)));
    for system in &systems {
        let (exit, text, _) = run(system, &["--json"]);
        assert_eq!(exit, Some(0));
        assert!(
            text.starts_with("{\n  \"schema\": \"vfio-bind list 1\",\n"),
            "{text}"
        );
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        // What it does not know it does not let pass.
        value["functions"][0]["more"] = Value::Bool(true);
        assert!(!validator.is_valid(&value));
    }
}

#[test]
fn a_device_is_named_by_any_selector_and_shown_with_its_group() {
    let system = System::desktop();
    for (device, there, gone) in [
        ("02:00.0", "Group 12", "Group 13"),
        ("8086:15f3", "Group 12", "Group 13"),
        ("0000:00:1c.0/00.0", "Group 12", "Group 13"),
        // All groups of a card.
        ("01:00.1", "Group 10", "Group 12"),
        ("class:0403", "Group 6", "Group 12"),
    ] {
        let (exit, text, told) = run(&system, &[device]);
        assert_eq!((exit, told.as_str()), (Some(0), ""), "{device}");
        assert!(
            text.contains(there) && !text.contains(gone),
            "{device}: {text}"
        );
    }
    // What nobody would lend is shown where it is named.
    let (_, text, _) = run(&system, &["00:1c.0"]);
    assert!(
        text.contains("Group 2: belongs to the machine\n  0000:00:1c.0"),
        "{text}"
    );
    let (_, text, _) = run(&system, &["--tree", "02:00.0"]);
    assert!(
        text.contains("Root bus 0000:00\n") && text.contains("0000:02:00.0"),
        "{text}"
    );
}

#[test]
fn what_is_not_there_is_told_with_what_is_nearest() {
    let system = System::desktop();
    for (device, told) in [
        (
            "02:00.1",
            "vfio.bind=02:00.1 matches no function of this machine; nearest is 0000:02:00.0",
        ),
        ("9:9", "vfio.bind: `9:9`: expected a bus of two digits"),
        ("!02:00.0", "name what is meant"),
        ("a\"b", "is no device"),
        ("eth9", "eth9 is nothing that this machine has"),
    ] {
        let (exit, text, error) = run(&system, &[device]);
        assert_eq!((exit, text.as_str()), (Some(2), ""), "{device}: {error}");
        assert!(error.contains(told), "{device}: {error}");
    }
}

#[test]
fn a_tree_without_a_bus_and_a_file_that_cannot_be_written_are_told() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    let output = command
        .args(["list", "--root"])
        .arg(empty.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("there is no PCI bus"), "{told}");
    let system = System::desktop();
    let (exit, _, told) = run(&system, &["--html", "/no/such/folder/page.html"]);
    assert_eq!(exit, Some(1));
    assert!(
        told.contains("create(/no/such/folder/") && told.contains("No such file"),
        "{told}"
    );
    // Nothing is remembered of a captured tree.
    assert!(!system.path("var").exists());
}

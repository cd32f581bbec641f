//! What is written, and what is said of it.

use std::fs::{self, File};

use serde_json::Value;

use super::system::{Secrets, System, everything};

#[test]
fn an_archive_unpacks_to_what_a_directory_has() {
    let system = System::new(&Secrets::fixed());
    let (file, exit, out, err) = system.capture("bug.tar.gz", &[]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    for piece in [
        "bug.tar.gz: ",
        "replaced ",
        "serial numbers",
        "MAC addresses",
        "UUIDs",
        "Not in it: what processes",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    let unpacked = system.folder.path().join("unpacked");
    tar::Archive::new(flate2::read::GzDecoder::new(File::open(&file).unwrap()))
        .unpack(&unpacked)
        .unwrap();
    let modalias = unpacked.join("sys/bus/pci/devices/0000:42:00.0/modalias");
    let text = fs::read_to_string(modalias).unwrap();
    assert!(text.starts_with("pci:v000010DEd00002204"), "{text}");
    let (plain, ..) = system.capture("bug.tar", &[]);
    assert!(fs::metadata(plain).unwrap().len() > fs::metadata(&file).unwrap().len());
    assert!(!everything(&unpacked).is_empty());
}

#[test]
fn json_is_as_its_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/schema/capture.json")).unwrap();
    let system = System::new(&Secrets::fixed());
    let (_, exit, out, err) = system.capture("x.tar", &["--json"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    let value: Value = serde_json::from_str(&out).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0], "{out}");
}

#[test]
fn nothing_is_overwritten_and_mistakes_are_told() {
    let system = System::new(&Secrets::fixed());
    for name in ["x.tar", "x/"] {
        assert_eq!(system.capture(name.replace('/', "y/").as_str(), &[]).1, 0);
        let (_, exit, out, err) = system.capture(name.replace('/', "y/").as_str(), &[]);
        assert_eq!((exit, out.as_str()), (1, ""));
        assert!(
            err.contains("it is there already; give another name"),
            "{err}"
        );
    }
    let (_, exit, _, err) = system.capture("none/x.tar", &[]);
    assert!(exit == 1 && err.contains("open("), "{err}");
    let left: Vec<_> = fs::read_dir(system.folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["capture"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

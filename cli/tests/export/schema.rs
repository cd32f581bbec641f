//! What `--json` prints, held against docs/schema/export.json.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::machine::{gpu, vf, z};

#[test]
fn the_object_is_what_its_schema_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/export.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for (machine, words) in [
        (gpu(), "42:00.* --to libvirt"),
        (vf(), "vf:03:00.0 --to sriov-device-plugin"),
        (z(), "0021:00:00.0 --to qemu"),
        (gpu(), "--to prometheus"),
    ] {
        let ran = machine.export(&format!("{words} --json"));
        assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""), "{words}");
        assert!(
            ran.out
                .starts_with("{\n  \"schema\": \"vfio-bind export 1\""),
            "{}",
            ran.out
        );
        let mut told: Value = serde_json::from_str(&ran.out).unwrap();
        let problems: Vec<_> = validator
            .iter_errors(&told)
            .map(|e| e.to_string())
            .collect();
        assert!(problems.is_empty(), "{words}: {problems:?}\n{}", ran.out);
        told["more"] = Value::Null;
        assert!(!validator.is_valid(&told), "{words}");
    }
}

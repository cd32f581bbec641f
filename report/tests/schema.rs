//! What this crate reads is what docs/report.schema.json describes.

use jsonschema::{Validator, validator_for};
use serde_json::{Value, json};
use vfio_bind_report::{Fate, Report, SCHEMA};

fn schema() -> Validator {
    let text = include_str!("../../docs/report.schema.json");
    validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

/// A record with something in every field.
fn full() -> Value {
    json!({
        "schema": SCHEMA,
        "agent": "0.1.0",
        "kernel": "6.1.0",
        "state": "applied",
        "iommu": {"kind": "intel", "groups": 16, "advice": "intel_iommu=on"},
        "policy": {
            "driver": "auto", "group": "strict", "onfail": "hold", "dry_run": true, "listed": true,
            "selectors": [{
                "text": "42:00.0", "source": "vfio.bind", "excludes": true,
                "matches": ["0000:42:00.0"], "nearest": "0000:43:00.0",
            }],
            "errors": ["an error"], "warnings": ["a warning"], "problems_beyond_limit": 1,
        },
        "functions": [{
            "address": "0000:42:00.0", "path": "0000:00:01.0/00.0", "vendor": "1234",
            "device": "1111", "subvendor": "1af4", "subdevice": "1100", "class": "030000",
            "group": 15, "role": "selected", "why": "vfio.bind=42:00.0", "driver_before": "bochs-drm",
            "driver_now": "vfio-pci", "outcome": "bound", "reason": "none",
            "set": [{ "name": "rebar.1", "before": "256M", "now": "16G" }],
        }],
        "groups": [{
            "group": 15, "viable": false, "unanswered": "EPERM", "late": "0000:42:00.2",
            "unseen": "0000:42:00.3", "blockers": ["0000:42:00.1 snd_hda_intel"],
        }],
        "virtual_functions": ["0000:03:00.0 7 7 made"],
        "unasked": ["0000:43:00.0 vfio-pci returned"],
        "given_back": ["0000:42:00.0 vfio-pci"],
        "functions_seen": 26,
        "functions_beyond_limit": 2,
        "functions_unreadable": 3,
        "groups_beyond_limit": 4,
        "blockers_beyond_limit": 5,
        "messages": [
            { "level": "error", "about": "0000:42:00.0", "text": "0000:42:00.0: not bound" },
            { "level": "info", "about": null, "text": "nothing is asked for" },
        ],
        "messages_beyond_limit": 6,
        "exit": 1,
        "elapsed_us": 1234,
    })
}

#[test]
fn nothing_that_the_schema_has_is_lost() {
    let full = full();
    assert!(schema().is_valid(&full));
    let report = Report::parse(&full.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), full);
    assert_eq!(
        report.function("0000:42:00.0").unwrap().outcome,
        Fate::Bound
    );
    assert_eq!(report.matches("vfio.bind"), ["0000:42:00.0"]);
}

#[test]
fn the_schema_has_no_room_for_anything_else() {
    for (pointer, value) in [
        ("/state", json!("done")),
        ("/schema", json!(2)),
        ("/exit", json!(3)),
        ("/functions/0/address", json!("42:00.0")),
        ("/functions/0/outcome", json!("lost")),
        ("/functions/0/vendor", json!("0x1234")),
        ("/policy/selectors/0/source", json!("vfio.take")),
        ("/groups/0/blockers/0", json!("0000:42:00.1")),
        ("/functions_seen", json!("26")),
    ] {
        let mut changed = full();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(!schema().is_valid(&changed), "{pointer}");
    }
    let mut more = full();
    more["more"] = json!(1);
    assert!(!schema().is_valid(&more));
    assert!(
        Report::parse(&more.to_string()).is_ok(),
        "what is new is passed over"
    );
}

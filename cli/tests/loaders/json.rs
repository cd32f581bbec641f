//! What programs are told, held against docs/schema/setup.json.

use serde_json::Value;

use crate::tree::{Ran, Tree, WORDS};

const SCHEMA: &str = include_str!("../../../docs/schema/setup.json");

#[track_caller]
fn object(ran: &Ran) -> Value {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let object: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let faults: Vec<_> = validator
        .iter_errors(&object)
        .map(|error| error.to_string())
        .collect();
    assert!(faults.is_empty(), "{faults:?}: {object:#}");
    // The first member says what it is.
    assert!(
        ran.out
            .trim_start_matches(['{', '\n', ' '])
            .starts_with("\"schema\": \"vfio-bind setup 1\"")
    );
    object
}

#[test]
fn each_ending_is_told_as_the_schema_says() {
    let tree = Tree::new(&[
        ("etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"),
        (
            "boot/grub/grub.cfg",
            "menuentry 'x' {\n\tlinux /v root=1\n}\n",
        ),
        ("proc/cmdline", "BOOT_IMAGE=/v root=1\n"),
        ("usr/bin/grub-mkconfig", "#!/bin/sh\n"),
    ]);
    tree.tool("grub-mkconfig", "exit 7\n");
    let run = |arguments: &[&str]| tree.told(&[arguments, &["--json"]].concat());
    let set = ["--words", WORDS];
    for (ran, ending) in [
        (run(&["--undo"]), "nothing"),
        (run(&["--words", WORDS, "--dry-run"]), "dry-run"),
        (run(&["--words", WORDS, "--loader", "nixos"]), "by-hand"),
        (tree.with_tools(&["--words", WORDS, "--json"]), "failed"),
        (run(&set), "done"),
        (run(&set), "nothing"),
        (run(&["--try", "--words", WORDS]), "by-hand"),
        (run(&["--undo"]), "done"),
    ] {
        let object = object(&ran);
        assert_eq!(object["ending"], ending, "{object:#}");
        let exit = if ["by-hand", "failed"].contains(&ending) {
            1
        } else {
            0
        };
        assert_eq!(ran.exit, Some(exit), "{object:#}");
        if ending == "done" {
            assert_eq!(object["run"][0][0], "grub-mkconfig");
            assert_eq!(object["files"][0]["path"], "/etc/default/grub");
        }
        if ending == "dry-run" {
            assert_eq!(object["loader"], "grub-default");
            assert_eq!(object["words"][1], "vfio.group=strict");
        }
    }
}

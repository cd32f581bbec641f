//! The commands say of a capture what they say of the system.

use std::path::Path;
use std::process::Command;

use super::system::{Secrets, System};

fn says(root: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .arg(arguments[0])
        .arg("--root")
        .arg(root)
        .args(&arguments[1..])
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (
        output.status.code(),
        text.replace(&root.display().to_string(), "ROOT"),
    )
}

#[test]
fn a_capture_is_read_as_the_system_is() {
    let system = System::new(&Secrets::fixed());
    let (target, exit, _, err) = system.capture("capture/", &[]);
    assert_eq!(exit, 0, "{err}");
    for arguments in [
        &["doctor"][..],
        &["doctor", "--json"],
        &["doctor", "00:1f.6"],
        &["doctor", "00:1d.0"],
        &["verify"],
        &["status"],
        &["list"],
        &["list", "--tree"],
        &["plan", "--cmdline", "vfio.bind=42:00.0,00:1d.0"],
        &["plan", "--cmdline", "vfio.bind=class:02"],
    ] {
        let (was, is) = (says(&system.root, arguments), says(&target, arguments));
        // Names of the owner's are told by what stands for them.
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (old, new) = (words(&was.1), words(&is.1));
        assert_eq!(was.0, is.0, "{arguments:?}\n{}\n{}", was.1, is.1);
        assert_eq!(old.len(), new.len(), "{arguments:?}\n{}\n{}", was.1, is.1);
        let personal = ["alice", "enx", "dsn:", "hunter"];
        for (one, other) in old.iter().zip(&new) {
            let is_personal = personal
                .iter()
                .any(|part| one.to_lowercase().contains(part));
            assert!(
                one == other || is_personal,
                "{arguments:?}: {one} became {other}\n{}",
                is.1
            );
        }
    }
    // And both know the disk of the root, and the card of the network.
    let (_, plan) = says(&target, &["plan", "--cmdline", "vfio.bind=00:1d.0,00:1f.6"]);
    assert!(
        plan.contains("protected") && plan.contains("the NIC of the default route"),
        "{plan}"
    );
}

#[test]
fn a_capture_of_a_capture_is_read_as_well() {
    let system = System::new(&Secrets::fixed());
    let (first, ..) = system.capture("one/", &[]);
    let second = system.folder.path().join("two");
    let (tree, _) = vfio_bind_cli::capture::take(&first).unwrap();
    tree.write(&system.folder.path().join("two/")).unwrap();
    assert_eq!(
        says(&first, &["doctor", "--brief"]).0,
        says(&second, &["doctor", "--brief"]).0
    );
}

/// Folders and volumes may be called as words that programs read: those stay what they are.
#[test]
fn names_that_are_words_of_a_grammar_break_nothing() {
    for word in [
        "functions",
        "strict",
        "outcome",
        "memory",
        "applied",
        "options",
        "address",
        "bound",
    ] {
        let mut secrets = Secrets::fixed();
        secrets.volume = word.to_owned();
        secrets.label = word.to_owned();
        let system = System::new(&secrets);
        system.write(
            "etc/vfio-bind/policy.conf",
            "vfio.group=strict\nvfio.bind=42:00.0\n",
        );
        // Times of archives have whole seconds: the image is the newest. It is none: messages show how it begins.
        system.write("boot/initrd.img-6.1.0-18-amd64", "left out");
        let (target, exit, _, err) = system.capture("capture/", &[]);
        assert_eq!(exit, 0, "{err}");
        for arguments in [&["status"][..], &["doctor"]] {
            let (was, is) = (says(&system.root, arguments), says(&target, arguments));
            assert_eq!(was, is, "{word}");
        }
        let policy = std::fs::read_to_string(target.join("etc/vfio-bind/policy.conf")).unwrap();
        assert_eq!(policy, "vfio.group=strict\nvfio.bind=42:00.0\n", "{word}");
    }
}

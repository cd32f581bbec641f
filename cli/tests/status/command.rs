//! The command as its user sees it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::system::{GPU, NIC, System};

#[test]
fn what_is_as_asked() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    system.record("report.json", GPU, "bound", "vfio-pci");
    let (exit, out, err) = system.status(&[]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    for piece in [
        "This boot: 1 bound in 9 ms (agent 0.1.0, Linux 6.1).",
        "bound, vfio-pci",
        "as asked (vfio.bind=42:00.0)",
        "all is as asked",
        "`vfio-bind export 0000:42:00.0 --to qemu` prints the line for a virtual machine",
        "`vfio-bind release 0000:42:00.0` gives it back now",
        "SUBSYSTEM==\"vfio\", OWNER=\"USER\"",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    // A captured tree is not written to.
    assert!(!system.root().join("var").exists());
}

#[test]
fn who_may_open_it_and_how_much_memory_a_guest_locks() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    system.record("report.json", GPU, "bound", "vfio-pci");
    system.write("dev/vfio/14", "");
    let limits =
        "Limit Soft Hard Units\nMax locked memory         628097024    628097024   bytes\n";
    system.write("proc/self/limits", limits);
    let (_, out, _) = system.status(&[]);
    assert!(out.contains("; /dev/vfio/14 belongs to "), "{out}");
    assert!(
        out.contains("may lock 599 MiB, too little for any guest"),
        "{out}"
    );
    assert!(out.contains("`USER - memlock 5242880`"), "{out}");
}

#[test]
fn what_is_not_as_asked_or_no_more_what_it_was() {
    let system = System::new("vfio.bind=42:00.0,44:00.0", "nouveau", "i40e");
    system.record("report.json", GPU, "bound", "vfio-pci");
    system.record("run-1/report.json", "0000:99:00.0", "bound", "vfio-pci");
    let (exit, out, _) = system.status(&[]);
    assert_eq!(exit, 1, "{out}");
    for piece in [
        "WRONG: not on vfio-pci (vfio.bind=42:00.0): because",
        "0000:99:00.0",
        "WRONG: it was bound to vfio-pci since the boot, and is gone",
        "vfio.bind=44:00.0",
        "; 1 run since.",
        "not all is as asked: `vfio-bind doctor` looks for why",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    // What is bound and not asked for any more is as it was.
    let system = System::new("ro", "vfio-pci", "i40e");
    system.record("report.json", GPU, "bound", "vfio-pci");
    let (exit, out, _) = system.status(&[]);
    assert!(exit == 0 && out.contains("not asked for"), "{out}");
}

#[test]
fn what_nobody_knows() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    let (exit, out, _) = system.status(&[]);
    assert_eq!(exit, 2, "{out}");
    assert!(
        out.contains("left no record") && out.contains("as asked (vfio.bind=42:00.0)"),
        "{out}"
    );
    // What is wrong weighs more.
    fs::remove_file(
        system
            .root()
            .join("sys/bus/pci/devices/0000:42:00.0/driver"),
    )
    .unwrap();
    assert_eq!(system.status(&[]).0, 1);
    system.write("run/vfio-bind/report.json", "{");
    let (exit, out, err) = system.status(&["--json"]);
    assert_eq!((exit, out.as_str()), (2, ""));
    assert!(err.contains("report.json: it is no record"), "{err}");
    system.record("report.json", GPU, "bound", "vfio-pci");
    system.write("var/lib/vfio-bind/last-good.json", "{}");
    let (exit, _, err) = system.status(&[]);
    assert!(
        exit == 2 && err.contains("remove it, and the next good boot is remembered"),
        "{err}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["status", "42:00.0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn json_is_as_its_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/schema/status.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    good.record("report.json", GPU, "bound", "vfio-pci");
    good.write("dev/vfio/14", "");
    let bad = System::new("vfio.bind=42:00.0,zz vfio.bind=44:00.0", "", "i40e");
    bad.record("report.json", GPU, "failed", "");
    bad.record("run-1/report.json", "0000:99:00.0", "bound", "vfio-pci");
    let moved = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    vfio_bind_cli::status::last_good::keep(moved.root(), &moved.snapshot()).unwrap();
    moved.write("proc/sys/kernel/random/boot_id", "second\n");
    moved.remove(GPU);
    moved.put("0000:44:00.0", "12341111", "03", 14, "");
    for system in [good, bad, moved, System::new("ro", "", "")] {
        let (exit, out, _) = system.status(&["--json"]);
        let value: Value = serde_json::from_str(&out).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{out}");
        assert_eq!(value["exit"], exit);
    }
    assert!(!validator.is_valid(&serde_json::json!({"schema": "vfio-bind status 1"})));
}

#[test]
fn verify_says_the_same_in_fewer_words() {
    for (line, gpu, nic) in [
        ("vfio.bind=42:00.0", "vfio-pci", "i40e"),
        ("vfio.bind=42:00.0", "nouveau", "i40e"),
        ("vfio.bind=42:00.0,43:00.0", "vfio-pci", ""),
        ("ro", "nouveau", ""),
    ] {
        let system = System::new(line, gpu, nic);
        system.record("report.json", GPU, "bound", "vfio-pci");
        system.record("run-1/report.json", NIC, "returned", "i40e");
        assert_eq!(
            system.status(&[]).0,
            system.run("verify", &[]).0,
            "{line} {gpu} {nic}"
        );
    }
}

//! The command: what it refuses, what it says, and the record that it leaves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use vfio_bind_cli::commands::release::{Outcome, Released, release};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vfio-bind");

/// A card of two functions in group 15, both lent, and a native one; nothing in it reacts to writes.
struct System(tempfile::TempDir);

impl System {
    fn new() -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        for (address, device, group, driver) in [
            ("0000:42:00.0", "2204", 15, "vfio-pci"),
            ("0000:42:00.1", "1AEF", 15, "vfio-pci"),
            ("0000:43:00.0", "1111", 16, "bochs-drm"),
        ] {
            let place = format!("sys/bus/pci/devices/{address}");
            let modalias = format!("pci:v000010DEd0000{device}sv00000000sd00000000bc03sc00i00\n");
            system.write(&format!("{place}/modalias"), &modalias);
            system.write(&format!("{place}/driver_override"), "vfio-pci\n");
            system.link(
                &format!("{place}/iommu_group"),
                &format!("../../../../kernel/iommu_groups/{group}"),
            );
            system.write(&format!("sys/bus/pci/drivers/{driver}/unbind"), "");
            system.link(
                &format!("{place}/driver"),
                &format!("../../drivers/{driver}"),
            );
        }
        system.write("sys/bus/pci/drivers_probe", "");
        system.write("proc/sys/kernel/osrelease", "6.1.0\n");
        system
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// A process that has the node of group 15 open: a link to a real node stands for it.
    fn lend(&self) {
        self.write("sys/class/vfio/15/dev", "1:3\n");
        self.write("proc/812/comm", "qemu-system-x86\n");
        self.link("proc/812/fd/20", "/dev/null");
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(PROGRAM);
        command.arg("release").args(words);
        command.arg("--dry-run").arg("--root").arg(self.0.path());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    fn release(&self, word: &str) -> Released {
        let words = [word.to_owned()];
        match release(self.0.path(), Path::new(PROGRAM), &words, false).unwrap() {
            Outcome::Done(released) => released,
            Outcome::Unknown(problems) => panic!("{problems:?}"),
        }
    }
}

fn schema(name: &str) -> jsonschema::Validator {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let system = System::new();
    let (exit, out, err) = system.run(&["42:00.0", "43:00.0"]);
    assert_eq!((exit, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(
        out,
        "0000:42:00.0: vfio-pci -> its native driver\n\
         0000:42:00.1: vfio-pci -> its native driver (same IOMMU group)\n\
         0000:43:00.0: bochs-drm has it, and nothing is to be done\n"
    );
    assert!(!system.path("run").exists());
    assert_eq!(
        system.read("sys/bus/pci/devices/0000:42:00.0/driver_override"),
        "vfio-pci\n"
    );
}

#[test]
fn what_a_guest_has_stays_with_all_of_its_group() {
    let system = System::new();
    system.lend();
    let (exit, out, _) = system.run(&["42:00.1"]);
    assert_eq!(exit, Some(1), "{out}");
    let user = "qemu-system-x86 (pid 812) has /dev/null open";
    for address in ["0000:42:00.0", "0000:42:00.1"] {
        let line = format!("{address} is in use, and left alone: {user}");
        assert!(out.contains(&line), "{line}\n{out}");
    }
    // No dry run does more.
    let released = system.release("42:00.1");
    assert_eq!(released.exit, 1);
    assert_eq!(
        system.read("sys/bus/pci/devices/0000:42:00.0/driver_override"),
        "vfio-pci\n"
    );
    assert_eq!(system.read("sys/bus/pci/drivers_probe"), "");
    assert!(!system.path("run/vfio-bind/run-1").exists());
}

#[test]
fn words_that_mean_nothing_are_told() {
    let system = System::new();
    for (words, exit, piece) in [
        (&["44:00.0"][..], 2, "matches no function"),
        (&["!42:00.0"], 2, "name what is meant"),
        (&["43:00.0@10de:9999"], 2, "10de:9999"),
    ] {
        let (found, out, err) = system.run(words);
        assert_eq!((found, out.as_str()), (Some(exit), ""), "{words:?}: {err}");
        assert!(err.contains(piece), "{words:?}: {err}");
    }
    for words in [&["release"][..], &["release", "42:00.0", "--root", "/x"]] {
        let run = Command::new(PROGRAM).args(words).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn it_is_written_by_children_and_recorded() {
    let system = System::new();
    let released = system.release("42:00.0");
    // Nothing let go of it here.
    assert_eq!(released.exit, 1);
    for address in ["0000:42:00.0", "0000:42:00.1"] {
        let file = format!("sys/bus/pci/devices/{address}/driver_override");
        // sysfs takes a write as a whole; a file has the rest of what was there.
        assert!(system.read(&file).starts_with('\n'), "{address}");
    }
    assert!(
        system
            .read("sys/bus/pci/drivers/vfio-pci/unbind")
            .starts_with("0000:42:00.")
    );
    assert!(
        system
            .read("sys/bus/pci/drivers_probe")
            .starts_with("0000:42:00.")
    );
    assert_eq!(
        system.read("sys/bus/pci/devices/0000:43:00.0/driver_override"),
        "vfio-pci\n"
    );
    let record: Value =
        serde_json::from_str(&system.read("run/vfio-bind/run-1/report.json")).unwrap();
    let validator = schema("report.schema.json");
    let problems: Vec<_> = validator
        .iter_errors(&record)
        .map(|e| e.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(record["state"], "released");
    let text = record["messages"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("not given back, vfio-pci has it: vfio-pci took it again"),
        "{text}"
    );
}

#[test]
fn the_object_is_what_its_schema_says() {
    let system = System::new();
    let validator = schema("schema/release.json");
    let check = |value: &Value| {
        let problems: Vec<_> = validator
            .iter_errors(value)
            .map(|e| e.to_string())
            .collect();
        assert!(problems.is_empty(), "{problems:?}\n{value:#}");
    };
    let (_, out, _) = system.run(&["42:00.0", "43:00.0", "--json"]);
    let mut told = serde_json::from_str(&out).unwrap();
    check(&told);
    told["more"] = Value::Null;
    assert!(!validator.is_valid(&told));
    system.lend();
    let (exit, out, err) = system.run(&["42:00.0", "--json"]);
    assert_eq!((exit, err.as_str()), (Some(1), ""));
    let told: Value = serde_json::from_str(&out).unwrap();
    check(&told);
    assert_eq!(told["functions"][0]["outcome"], "in-use");
}

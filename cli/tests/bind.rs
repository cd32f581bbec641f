//! The command `vfio-bind bind`: what the agent is given, and what is left behind.

mod program;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vfio_bind_cli::commands::bind::{self, Extent};

/// Writes its words and what it is given to `seen`, and a report as the agent does; ends with 1.
const AGENT: &str = "#!/bin/sh\necho \"$1 $2\" > \"$3/../seen\"\n\
                     cat \"$3\"/*.conf >> \"$3/../seen\"\necho '{}' > \"$3/report.json\"\nexit 1\n";
/// The same, with nothing asked for.
const IDLE: &str = "#!/bin/sh\nexit 0\n";

struct System(tempfile::TempDir);

impl System {
    /// Root on `sda`, a function that nothing needs, and what an image knew.
    fn new() -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        system.write(
            "proc/self/mountinfo",
            "27 1 8:0 / / rw - ext4 /dev/sda rw\n",
        );
        system.write("proc/cmdline", "quiet\n");
        let disk = "sys/devices/pci0000:00/0000:00:17.0/ata1/block/sda";
        system.write(&format!("{disk}/dev"), "8:0\n");
        for (link, target) in [
            (
                "sys/bus/pci/devices/0000:00:17.0",
                "sys/devices/pci0000:00/0000:00:17.0",
            ),
            ("sys/dev/block/8:0", disk),
        ] {
            let path = system.path(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink("../".repeat(link.split('/').count() - 1) + target, path).unwrap();
        }
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

    fn agent(&self, script: &str) -> PathBuf {
        let path = self.path("agent");
        program::write(&path, script);
        path
    }

    fn bind(&self, script: &str) -> u8 {
        bind::bind(self.0.path(), &self.agent(script), Extent::All, false).unwrap()
    }
}

const LIVE: &str = "vfio.protect=0000:00:17.0  # /: sda\n";

#[test]
fn the_agent_is_given_what_is_in_use_and_what_the_image_knew() {
    let system = System::new();
    let kept = "vfio.protect=0000:00:1f.2@8086:2922  # /srv: sdb\n";
    system.write("run/vfio-bind/protected.conf", kept);
    system.write("run/vfio-bind/policy.conf", "vfio.bind=42:00.0\n");
    system.write("run/vfio-bind/report.json", "the boot's");
    assert_eq!(system.bind(AGENT), 1, "the agent's status");
    let seen = system.read("run/vfio-bind/seen");
    let (words, given) = seen.split_once('\n').unwrap();
    assert_eq!(words, "apply --with");
    for part in [kept, LIVE, "vfio.bind=42:00.0\n"] {
        assert!(given.contains(part), "{part}: {given}");
    }
    // Each run has a record of its own.
    assert_eq!(system.read("run/vfio-bind/report.json"), "the boot's");
    assert_eq!(system.read("run/vfio-bind/run-1/report.json"), "{}\n");
    system.bind(AGENT);
    assert_eq!(system.read("run/vfio-bind/run-2/report.json"), "{}\n");
}

#[test]
fn the_policy_of_the_system_counts_before_that_of_the_image() {
    let system = System::new();
    system.write("run/vfio-bind/policy.conf", "vfio.bind=42:00.0\n");
    system.write("etc/vfio-bind/policy.conf", "vfio.bind=43:00.0\n");
    system.bind(AGENT);
    let seen = system.read("run/vfio-bind/seen");
    assert!(
        seen.contains("43:00.0") && !seen.contains("42:00.0"),
        "{seen}"
    );
}

#[test]
fn a_selector_that_the_image_had_is_not_given_twice() {
    let system = System::new();
    system.write("run/vfio-bind/protected.conf", LIVE);
    system.bind(AGENT);
    let seen = system.read("run/vfio-bind/seen");
    assert_eq!(
        seen.matches("vfio.protect=0000:00:17.0").count(),
        1,
        "{seen}"
    );
}

#[test]
fn nothing_is_left_where_nothing_was_asked_for() {
    let system = System::new();
    assert_eq!(system.bind(IDLE), 0);
    assert!(!system.path("run/vfio-bind/run-1").exists());
}

#[test]
fn nothing_is_run_where_a_list_cannot_be_had() {
    type Spoil = fn(&System);
    let cases: [(&str, Spoil, &str); 3] = [
        (
            "mounts",
            |s| fs::remove_file(s.path("proc/self/mountinfo")).unwrap(),
            "mountinfo",
        ),
        (
            "list",
            |s| s.write("run/vfio-bind/protected.conf/x", ""),
            "protected.conf",
        ),
        (
            "policy",
            |s| s.write("etc/vfio-bind/policy.conf/x", ""),
            "policy.conf",
        ),
    ];
    for (what, spoil, word) in cases {
        let system = System::new();
        spoil(&system);
        let agent = system.agent(AGENT);
        let error = bind::bind(system.0.path(), &agent, Extent::All, false).unwrap_err();
        assert!(format!("{error:#}").contains(word), "{what}: {error:#}");
        assert!(!system.path("run/vfio-bind/seen").exists(), "{what}");
    }
    let system = System::new();
    let error = bind::bind(
        system.0.path(),
        Path::new("/no/such/agent"),
        Extent::All,
        false,
    )
    .unwrap_err();
    assert!(format!("{error:#}").contains("/no/such/agent"), "{error:#}");
}

/// Three cards in groups of their own, the first with two functions; the policy asks for the last.
fn with_cards() -> System {
    let system = System::new();
    for (address, group) in [
        ("0000:42:00.0", 15),
        ("0000:42:00.1", 15),
        ("0000:43:00.0", 16),
        ("0000:44:00.0", 17),
    ] {
        let place = format!("sys/bus/pci/devices/{address}");
        let modalias = "pci:v00001234d00001111sv00000000sd00000000bc03sc00i00\n";
        system.write(&format!("{place}/modalias"), modalias);
        let link = system.path(&format!("{place}/iommu_group"));
        symlink(format!("../../../../kernel/iommu_groups/{group}"), link).unwrap();
    }
    system.write("etc/vfio-bind/policy.conf", "vfio.bind=44:00.0\n");
    system
}

#[test]
fn what_is_named_is_bound_and_nothing_else() {
    let system = with_cards();
    let agent = system.agent(AGENT);
    let words = ["42:00.0".to_owned()];
    let exit = bind::bind(system.0.path(), &agent, Extent::These(&words), false).unwrap();
    assert_eq!(exit, 1, "the agent's status");
    let seen = system.read("run/vfio-bind/seen");
    let (_, policy) = seen.split_once(LIVE).unwrap_or(("", &seen));
    for piece in [
        "\"vfio.bind=42:00.0\"\n",
        "vfio.bind=!0000:44:00.0  # this run is not for it\n",
        "vfio.bind=44:00.0\n",
    ] {
        assert!(seen.contains(piece), "{piece}: {seen}");
    }
    // What shares its group goes with it, and what nobody asks for needs no exclusion.
    for address in ["42:00.1", "43:00.0"] {
        assert!(!policy.contains(address), "{seen}");
    }
}

#[test]
fn a_device_that_is_not_there_starts_no_agent() {
    let system = with_cards();
    let agent = system.agent(AGENT);
    let words = ["45:00.0".to_owned()];
    let exit = bind::bind(system.0.path(), &agent, Extent::These(&words), false).unwrap();
    assert_eq!(exit, 2);
    assert!(!system.path("run/vfio-bind/seen").exists());
}

#[test]
fn the_object_is_what_its_schema_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/bind.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let system = with_cards();
    for (words, exit, functions) in [
        (&["42:00.0"][..], 0, 2),
        (&["42:00.0", "--agent", "/no/such"], 0, 2),
        (&[], 0, 1),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
        command
            .arg("bind")
            .args(words)
            .args(["--json", "--dry-run", "--root"]);
        let ran = command.arg(system.0.path()).output().unwrap();
        let text = String::from_utf8(ran.stdout).unwrap();
        let mut told: Value = serde_json::from_str(&text).unwrap();
        let problems: Vec<_> = validator
            .iter_errors(&told)
            .map(|e| e.to_string())
            .collect();
        assert!(problems.is_empty(), "{words:?}: {problems:?}\n{text}");
        assert_eq!(ran.status.code(), Some(exit), "{words:?}: {text}");
        let all = told["functions"].as_array().unwrap();
        let planned = all.iter().filter(|one| one["outcome"] == "planned");
        assert_eq!(planned.count(), functions, "{words:?}: {text}");
        told["more"] = Value::Null;
        assert!(!validator.is_valid(&told));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    command.args(["bind", "45:00.0", "--json", "--dry-run", "--root"]);
    let ran = command.arg(system.0.path()).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert_eq!(ran.stdout, b"");
}

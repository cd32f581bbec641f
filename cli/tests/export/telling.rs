//! What is told beside the text, what is refused, and where the text goes.

use std::fs;

use crate::machine::{Card, Machine, gpu, twins};

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let machine = gpu();
    for (words, exit, piece) in [
        ("--to libvirt", 2, "--to libvirt wants a device"),
        (
            "44:00.0 --to libvirt",
            2,
            "matches no function of this machine",
        ),
        ("x --to libvirt", 2, "x"),
        ("!42:00.0 --to libvirt", 2, "name what is meant"),
        ("off --to libvirt", 2, "name the devices"),
        ("42:00.0@10de:9999 --to libvirt", 2, "10de:9999"),
        ("00:01.0 --to libvirt", 1, "0000:00:01.0 is a bridge"),
        (
            "42:00.0 --to qemu --managed yes",
            2,
            "--managed is nothing for --to qemu",
        ),
        ("42:00.0 --to qemu --monitor add", 1, "name 1 with --port"),
        (
            "42:00.0 --to qemu --port a",
            2,
            "--port goes with --monitor add",
        ),
        ("42:00.0 --to incus --vm a;b", 2, "`a;b` is no name"),
        (
            "42:00.0 --to proxmox --vm guest",
            1,
            "the number of a guest",
        ),
        ("42:00.* --to kubevirt --resource a/b", 1, "2 models"),
        (
            "42:00.0 --to sriov-device-plugin",
            1,
            "the plugin takes no other",
        ),
        ("42:00.0 --to nowhere", 2, "invalid value 'nowhere'"),
        ("42:00.0 --to libvirt --libvirt x", 2, "such as 10.0"),
        ("42:00.0", 2, "--to"),
    ] {
        let ran = machine.export(words);
        assert_eq!(
            (ran.exit, ran.out.as_str()),
            (Some(exit), ""),
            "{words}: {}",
            ran.err
        );
        assert!(ran.err.contains(piece), "{words}: {}", ran.err);
    }
}

#[test]
fn what_is_not_bound_is_exported_and_told() {
    let machine = Machine::new(&[
        Card(
            "0000:42:00.0",
            "10de:2204:0000:0000:030000",
            Some(1),
            Some("nouveau"),
        ),
        Card(
            "0000:42:00.1",
            "10de:1aef:0000:0000:040300",
            Some(1),
            Some("snd_hda_intel"),
        ),
        Card("0000:43:00.0", "8086:15f3:0000:0000:020000", None, None),
    ]);
    let ran = machine.export("42:00.0 43:00.0 --to libvirt");
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    assert_eq!(ran.out.matches("<hostdev").count(), 2, "{}", ran.out);
    for piece in [
        "0000:42:00.0 is not on a vfio driver: nouveau has it",
        "0000:42:00.1 is in the same IOMMU group (1) and snd_hda_intel has it",
        "0000:43:00.0 is not on a vfio driver: it has none",
        "0000:43:00.0 has no IOMMU group",
    ] {
        assert!(ran.err.contains(piece), "{piece}: {}", ran.err);
    }
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let machine = twins();
    let file = machine.path("out.prom");
    fs::write(&file, "before").unwrap();
    let words = format!("--to prometheus --output {}", file.display());
    let ran = machine.export(&words);
    assert_eq!(
        (ran.exit, ran.out.as_str(), ran.err.as_str()),
        (Some(0), "", "")
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# HELP vfio_bind_function_bound"),
        "{text}"
    );
    // A name that is a directory cannot be replaced, and nothing is left behind.
    let words = format!("--to nfd --output {}", machine.path("sys").display());
    let ran = machine.export(&words);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.err.contains("no regular file"), "{}", ran.err);
    let left = fs::read_dir(machine.path("")).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(left.count(), 0);
}

/// A record in which one function was bound, one was refused, and one went back later.
const BOOT: &str = r#"{"schema":1,"kernel":"6.1","state":"applied","iommu":{"kind":"intel"},"policy":{},
  "functions":[
    {"address":"0000:04:00.0","vendor":"144d","device":"a808","subvendor":"0000","subdevice":"0000","class":"010802",
     "group":30,"driver_before":null,"driver_now":"vfio-pci","outcome":"bound"},
    {"address":"0000:05:00.0","vendor":"144d","device":"a808","subvendor":"0000","subdevice":"0000","class":"010802",
     "group":31,"driver_before":"nvme","driver_now":"nvme","outcome":"refused"},
    {"address":"0000:06:00.0","vendor":"1b36","device":"0001","subvendor":"0000","subdevice":"0000","class":"010802",
     "group":31,"driver_before":"nvme","driver_now":"nvme","outcome":"left"}],
  "exit":1,"elapsed_us":1200345}"#;

#[test]
fn metrics_and_features_are_of_what_was_asked_for() {
    let machine = twins();
    machine.write("run/vfio-bind/report.json", BOOT);
    let ran = machine.export("--to prometheus");
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    for line in [
        r#"vfio_bind_function_bound{address="0000:04:00.0",id="144d:a808",driver="vfio-pci"} 1"#,
        r#"vfio_bind_function_bound{address="0000:05:00.0",id="144d:a808",driver="nvme"} 0"#,
        r#"vfio_bind_run_state{run="boot",state="applied"} 1"#,
        r#"vfio_bind_run_exit_status{run="boot"} 1"#,
        r#"vfio_bind_run_duration_seconds{run="boot"} 1.200345"#,
    ] {
        assert!(
            ran.out.lines().any(|one| one == line),
            "{line}\n{}",
            ran.out
        );
    }
    assert!(!ran.out.contains("0000:06:00.0"), "{}", ran.out);
    let ran = machine.export("04:00.0 --to prometheus");
    assert!(!ran.out.contains("0000:05:00.0"), "{}", ran.out);
    let ran = machine.export("--to nfd");
    assert_eq!(
        ran.out,
        "vfio-bind.functions=1\nvfio-bind.as-asked=false\nvfio-bind.144d_a808=1\n"
    );
    machine.write("run/vfio-bind/report.json", "{");
    let ran = machine.export("--to prometheus");
    assert_eq!(ran.exit, Some(1));
    assert!(ran.err.contains("it is no record"), "{}", ran.err);
}

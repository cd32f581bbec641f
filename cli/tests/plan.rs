//! The command `vfio-bind plan` as its user sees it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

fn run(root: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .arg("plan")
        .arg("--root")
        .arg(root)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_plan_is_shown_group_by_group_with_what_there_is_to_say() {
    let root = tempfile::tempdir().unwrap();
    let device = root.path().join("sys/bus/pci/devices/0000:42:00.0");
    fs::create_dir_all(&device).unwrap();
    let modalias = "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00\n";
    fs::write(device.join("modalias"), modalias).unwrap();
    symlink(
        "../../../../kernel/iommu_groups/15",
        device.join("iommu_group"),
    )
    .unwrap();

    let (exit, out, err) = run(root.path(), &["--cmdline", "vfio.bind=42:00.0"]);
    assert_eq!((exit, err.as_str()), (Some(0), ""));
    for piece in [
        "group 15",
        "0000:42:00.0",
        "-> vfio-pci (vfio.bind=42:00.0)",
        "dry run: 1",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    let (exit, out, _) = run(root.path(), &["--cmdline", "vfio.bind=43:00.0"]);
    assert_eq!(exit, Some(1));
    assert!(out.contains("matches no function of this machine"), "{out}");

    let (exit, out, err) = run(root.path(), &[]);
    assert_eq!((exit, out.as_str()), (Some(1), ""));
    assert!(
        err.contains("proc/cmdline): give the line with --cmdline"),
        "{err}"
    );
    let (exit, _, err) = run(&root.path().join("none"), &[]);
    assert_eq!(exit, Some(1));
    assert!(err.contains("--root wants a directory"), "{err}");
}

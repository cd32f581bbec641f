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
        "1 function would go to vfio-pci; nothing was written",
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

/// Two equal NVMe disks, the root on the first one.
fn twins() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let link = |at: &str, target: &str| {
        let path = root.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("../".repeat(at.split('/').count() - 1) + target, path).unwrap();
    };
    for (slot, number) in [("04", 0), ("05", 1)] {
        let device = format!("sys/devices/pci0000:00/0000:00:{slot}.0");
        let disk = format!("{device}/nvme/nvme{number}/nvme{number}n1");
        fs::create_dir_all(root.path().join(&disk)).unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        write(
            &format!("{device}/modalias"),
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02\n",
        );
        write(&format!("{device}/vendor"), "0x1b36\n");
        write(&format!("{device}/device"), "0x0010\n");
        write(&format!("{disk}/dev"), &format!("259:{number}\n"));
        link(
            &format!("{device}/iommu_group"),
            &format!("sys/kernel/iommu_groups/{number}"),
        );
        link(&format!("sys/bus/pci/devices/0000:00:{slot}.0"), &device);
        link(&format!("sys/dev/block/259:{number}"), &disk);
        link(&format!("sys/class/block/nvme{number}n1"), &disk);
    }
    fs::create_dir_all(root.path().join("proc/self")).unwrap();
    let mounts = "27 1 259:0 / / rw - ext4 /dev/nvme0n1 rw\n";
    fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
    root
}

#[test]
fn a_plan_promises_only_what_the_boot_will_do() {
    let root = twins();
    let (exit, out, err) = run(root.path(), &["--cmdline", "vfio.bind=1b36:0010"]);
    assert_eq!((exit, err.as_str()), (Some(1), ""), "{out}");
    assert!(out.contains("group is protected"), "{out}");
    assert_eq!(out.matches("-> vfio-pci").count(), 1, "{out}");
    // What the image of this boot knew counts as well.
    let folder = root.path().join("run/vfio-bind");
    fs::create_dir_all(&folder).unwrap();
    let kept = "vfio.protect=0000:00:05.0@1b36:0010  # /srv: nvme1n1\n";
    fs::write(folder.join("protected.conf"), kept).unwrap();
    fs::write(folder.join("policy.conf"), "vfio.bind=1b36:0010\n").unwrap();
    let (exit, out, _) = run(root.path(), &["--cmdline", "quiet"]);
    assert_eq!(exit, Some(1), "{out}");
    assert_eq!(out.matches("group is protected").count(), 2, "{out}");
}

#[test]
fn a_plan_without_a_list_of_mounts_says_so() {
    let root = twins();
    fs::remove_file(root.path().join("proc/self/mountinfo")).unwrap();
    let (_, out, err) = run(root.path(), &["--cmdline", "vfio.bind=1b36:0010"]);
    assert!(
        out.contains("what the system boots from is not known"),
        "{out}"
    );
    assert_eq!(err, "");
}

/// Puts a function into a tree: its modalias, its group and its driver.
fn put(root: &Path, address: &str, modalias: &str, group: u32, driver: &str) {
    let device = root.join("sys/bus/pci/devices").join(address);
    fs::create_dir_all(&device).unwrap();
    fs::write(device.join("modalias"), format!("{modalias}\n")).unwrap();
    let group = format!("../../../../kernel/iommu_groups/{group}");
    symlink(group, device.join("iommu_group")).unwrap();
    symlink(format!("../../drivers/{driver}"), device.join("driver")).unwrap();
}

#[test]
fn a_plan_says_what_stays_what_protects_and_which_driver_is_none() {
    const GPU: &str = "pci:v00001002d0000744Csv00001002sd00000001bc03sc00i00";
    const AUDIO: &str = "pci:v00001002d0000AB30sv00001002sd00000001bc04sc03i00";
    const DISK: &str = "pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02";
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    put(root, "0000:03:00.0", GPU, 14, "amdgpu");
    put(root, "0000:03:00.1", AUDIO, 15, "snd_hda_intel");
    put(root, "0000:04:00.0", DISK, 16, "nvme");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let list = "vfio.protect=04:00.0@144d:a808  # /: nvme0n1p3\n";
    write("etc/vfio-bind/protected.conf", list);
    write("etc/vfio-bind/policy.conf", "# mine\nvfio.bnid=03:00.1\n");
    write("proc/sys/kernel/osrelease", "6.12.1\n");
    let modules = "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko.xz\n";
    write("lib/modules/6.12.1/modules.dep", modules);

    let plan = |line: &str| run(root, &["--cmdline", line]);
    let (exit, out, _) = plan("vfio.bind=03:00.0,04:00.0 vfio.driver=vfio_pcx");
    assert_eq!(exit, Some(1));
    for piece in [
        "note: 0000:03:00.1 (audio/video) of the same device is in group 15 and stays with snd_hda_intel; \
         vfio.bind=0000:03:00.1 takes it as well",
        "note: 0000:04:00.0 is protected: /: nvme0n1p3",
        "note: vfio.driver=vfio_pcx: Linux 6.12.1 has no module of that name",
        "etc/vfio-bind/policy.conf:2: vfio.bnid is no parameter of vfio-bind",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    let count = |out: &str| out.matches("vfio.bnid is no parameter").count();
    assert_eq!(count(&out), 1, "{out}");
    let (_, out, _) = plan("vfio.bind=03:00.* vfio.driver=vfio-pci vfio.bnid=03:00.0");
    assert!(!out.contains("note:"), "{out}");
    assert_eq!(count(&out), 2, "one of the file, one of the line: {out}");
    // What is to be set is in the plan, and what the kernel does not offer.
    write("sys/bus/pci/devices/0000:03:00.0/reset_method", "flr bus\n");
    write(
        "sys/bus/pci/devices/0000:03:00.0/resource2_resize",
        "0000000000000300\n",
    );
    let (_, out, _) = plan(
        "vfio.bind=03:00.0 vfio.set=03:00.0:reset_method=flr,reset_method=bus,rebar.2=512M \
         vfio.set=03:00.0:rebar.2=1G,d3cold_allowed=0",
    );
    let setting = "-> vfio-pci, reset_method=bus, rebar.2=1G, d3cold_allowed=0 (";
    for piece in [
        setting,
        "note: 0000:03:00.0: rebar.2=1G cannot be set, so it would not be bound: its sizes are 256M, 512M",
        "note: 0000:03:00.0: d3cold_allowed=0 cannot be set, so it would not be bound: it has no \
         d3cold_allowed under this kernel",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    let (_, out, _) = plan("vfio.bind=03:00.0 vfio.set=03:00.0:reset_method=pm+bus");
    assert!(out.contains("bound: its resets are `flr bus`"), "{out}");
    // A value that begins like an option.
    let (exit, _, err) = plan("-- x");
    assert_eq!((exit, err.as_str()), (Some(2), ""));
}

#[test]
fn a_policy_file_is_checked_by_itself() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let check = |text: &str| {
        fs::write(file.path(), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
        let output = command.arg("check").arg(file.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let name = file.path().display().to_string();
        (output.status.code(), text.replace(&name, "FILE"))
    };
    assert_eq!(
        check("vfio.bind=42:00.0 # mine\n"),
        (Some(0), String::new())
    );
    let (exit, text) = check("\nvfio.bind=9:9\n");
    assert_eq!(exit, Some(2));
    assert!(
        text.starts_with("FILE:2: vfio.bind: `9:9`: expected"),
        "{text}"
    );
}

/// A NIC that makes virtual functions, which have its ID.
#[test]
fn what_virtual_functions_are_made_of_is_noted() {
    let root = tempfile::tempdir().unwrap();
    let device = root.path().join("sys/bus/pci/devices/0000:03:00.0");
    fs::create_dir_all(&device).unwrap();
    for (file, text) in [
        (
            "modalias",
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02\n",
        ),
        ("sriov_totalvfs", "8\n"),
        ("sriov_offset", "1\n"),
        ("sriov_stride", "1\n"),
    ] {
        fs::write(device.join(file), text).unwrap();
    }
    let group = "../../../../kernel/iommu_groups/15";
    symlink(group, device.join("iommu_group")).unwrap();
    let note = "0000:03:00.0 makes virtual functions, and none where it is bound";
    for (line, pieces, noted) in [
        ("vfio.bind=03:00.*", &["-> vfio-pci"][..], true),
        (
            "vfio.bind=1b36:0010 vfio.force",
            &["vf:0000:03:00.0 means them"],
            true,
        ),
        ("vfio.bind=03:00.0", &["-> vfio-pci"], false),
        (
            "vfio.bind=vf:03:00.0#0-3 vfio.sriov=03:00.0:4",
            &[
                "4 virtual functions are made once its native driver is there",
                "vfio.bind=vf:03:00.0#0-3 is bound when it is made",
            ],
            false,
        ),
    ] {
        let (exit, out, err) = run(root.path(), &["--cmdline", line]);
        let all = format!("{out}{err}");
        assert_eq!(exit, Some(0), "{line}: {all}");
        for piece in pieces {
            assert!(all.contains(piece), "{line}: {all}");
        }
        assert_eq!(all.contains(note), noted, "{line}: {all}");
    }
}

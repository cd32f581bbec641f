//! Devices as people write them, and what keeps one from being bound.

use std::fs;
use std::os::unix::fs::symlink;

use vfio_bind_cli::words::{self, Words};

use crate::machine::{Machine, Row, desktop, row};

fn words(machine: &Machine, devices: &[&str]) -> anyhow::Result<Words> {
    let devices: Vec<_> = devices.iter().map(|one| (*one).to_owned()).collect();
    words::for_devices(machine.root(), &devices)
}

fn line(machine: &Machine, device: &str) -> String {
    match words(machine, &[device]) {
        Ok(words) => words.words.join(" "),
        Err(error) => format!("{error:#}"),
    }
}

const GPU: &str = "vfio.bind=0000:00:01.0/00.0@10de:2204";
const NIC: &str = "vfio.bind=0000:00:1c.0/00.0@8086:1528";
const DISK: &str = "vfio.bind=0000:00:1d.0/00.0@144d:a808";

#[test]
fn a_device_is_found_by_whatever_people_call_it() {
    let machine = desktop();
    machine.behind("0000:01:00.0", "drm/card0", "drm");
    machine.behind("0000:01:00.0", "drm/card0/card0-DP-1", "drm");
    machine.behind("0000:01:00.1", "sound/card0", "sound");
    machine.behind("0000:02:00.0", "net/enp2s0", "net");
    machine.behind("0000:04:00.0", "nvme/nvme0", "nvme");
    machine.behind("0000:04:00.0", "nvme/nvme0/nvme0n1", "block");
    let part = machine.behind("0000:04:00.0", "nvme/nvme0/nvme0n1/nvme0n1p2", "block");
    fs::write(part.join("partition"), "2\n").unwrap();
    fs::create_dir_all(machine.path("dev/disk/by-id")).unwrap();
    symlink("../../nvme0n1", machine.path("dev/disk/by-id/nvme-Samsung")).unwrap();
    for (device, expected) in [
        ("01:00.0", GPU),
        ("0000:01:00.0", GPU),
        (" 01:00.0 ", GPU),
        ("10de:2204", GPU),
        ("0000:00:01.0/00.0", GPU),
        ("01:00.0@10de:2204", GPU),
        ("pci_0000_01_00_0", GPU),
        ("/sys/bus/pci/devices/0000:01:00.0", GPU),
        ("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/drm", GPU),
        ("drm/card0", GPU),
        ("/dev/dri/card0", GPU),
        ("card0-DP-1", GPU),
        ("sound/card0", "vfio.bind=0000:00:01.0/00.1@10de:1aef"),
        ("enp2s0", NIC),
        ("nvme0", DISK),
        ("nvme0n1", DISK),
        ("/dev/nvme0n1p2", DISK),
        ("/dev/disk/by-id/nvme-Samsung", DISK),
        ("00:14.0", "vfio.bind=0000:00:14.0@8086:a36d"),
        (
            "01:00",
            "vfio.bind=0000:00:01.0/00.0@10de:2204,0000:00:01.0/00.1@10de:1aef",
        ),
    ] {
        assert_eq!(line(&machine, device), expected, "{device}");
    }
    let both = words(&machine, &["enp2s0", "01:00.0", "02:00.0"]).unwrap();
    let all = "vfio.bind=0000:00:01.0/00.0@10de:2204,0000:00:1c.0/00.0@8086:1528";
    assert_eq!(both.words, [all]);
    // Of a device in several groups what stays is told.
    let note = "0000:01:00.1 (audio/video) of the same device is in group 7 and stays; `vfio-bind words \
                0000:01:00` means the whole device";
    assert!(both.notes.iter().any(|one| one == note), "{:?}", both.notes);
}

#[test]
fn what_is_no_device_or_several_is_told_with_what_to_do() {
    let machine = desktop();
    machine.behind("0000:01:00.0", "drm/card0", "drm");
    machine.behind("0000:00:1f.3", "sound/card0", "sound");
    machine.behind("0000:04:00.0", "nvme/nvme0/nvme0n1", "block");
    let pool = machine.path("sys/devices/virtual/block/dm-0");
    fs::create_dir_all(pool.join("slaves")).unwrap();
    symlink(
        machine.path("sys/class/block/nvme0n1"),
        pool.join("slaves/nvme0n1"),
    )
    .unwrap();
    symlink(&pool, machine.path("sys/class/block/dm-0")).unwrap();
    let bridge = machine.path("sys/devices/virtual/net/br0");
    fs::create_dir_all(bridge.join("lower_enp2s0")).unwrap();
    fs::create_dir_all(machine.path("sys/class/net")).unwrap();
    symlink(&bridge, machine.path("sys/class/net/br0")).unwrap();
    fs::create_dir_all(machine.path("sys/devices/virtual/net/lo")).unwrap();
    symlink(
        machine.path("sys/devices/virtual/net/lo"),
        machine.path("sys/class/net/lo"),
    )
    .unwrap();
    for (device, pieces) in [
        (
            "eth7",
            &["eth7 is nothing that this machine has", "lspci -D"][..],
        ),
        ("", &["a device is wanted"]),
        (
            "card0",
            &["card0 is the name of several: 0000:00:1f.3 (sound/card0), 0000:01:00.0 (drm/card0)"],
        ),
        ("dm-0", &["dm-0 is made of nvme0n1"]),
        ("br0", &["br0 is made of enp2s0"]),
        ("lo", &["lo is on no PCI function"]),
        ("2:0.0", &["2:0.0: expected a bus of two digits at `2`"]),
        ("43:00.0", &["43:00.0 matches no function of this machine"]),
        (
            "10de:2205",
            &["10de:2205 matches no function of this machine"],
        ),
        (
            "01:00.0@10de:2205",
            &["cannot be bound", "10de:2204 sits there now"],
        ),
        ("!01:00.0", &["to be left alone needs no word"]),
        (
            "class:04",
            &["is several devices: 0000:00:1f.3, 0000:01:00.1"],
        ),
        (
            "00:1c.0",
            &[
                "0000:00:1c.0 cannot be bound: bridges are never bound",
                "0000:02:00.0 (Intel Ethernet",
            ],
        ),
        ("../../etc/passwd", &["is nothing that this machine has"]),
    ] {
        let told = line(&machine, device);
        for piece in pieces {
            assert!(told.contains(piece), "{device}: {told}");
        }
    }
    // All that is wrong is told at once.
    let error = words(&machine, &["eth7", "43:00.0", "01:00.0"]).unwrap_err();
    assert_eq!(format!("{error:#}").lines().count(), 2, "{error:#}");
}

#[test]
fn what_goes_with_a_disk_or_a_usb_device_is_told() {
    let machine = desktop();
    machine.behind(
        "0000:00:17.0",
        "ata1/host0/target0:0:0/0:0:0:0/block/sda",
        "block",
    );
    machine.behind("0000:00:14.0", "usb1/1-2/1-2:1.0/net/usb0", "net");
    for (name, note) in [
        (
            "sda",
            "sda is behind the disk controller 0000:00:17.0, which goes with all",
        ),
        (
            "usb0",
            "usb0 is behind the USB controller 0000:00:14.0, which goes with all",
        ),
    ] {
        let words = words(&machine, &[name]).unwrap();
        assert!(
            words.notes.iter().any(|one| one.starts_with(note)),
            "{:?}",
            words.notes
        );
    }
}

#[test]
fn what_the_machine_boots_from_has_no_words_and_says_why() {
    let machine = desktop();
    machine.write(
        "etc/vfio-bind/protected.conf",
        "vfio.protect=0000:00:1d.0/00.0@144d:a808  # /: nvme0n1p2\n",
    );
    let told = line(&machine, "04:00.0");
    for piece in [
        "0000:04:00.0 cannot be bound: 0000:04:00.0 of its IOMMU group is protected",
        "0000:04:00.0 is protected: /: nvme0n1p2",
    ] {
        assert!(told.contains(piece), "{told}");
    }
}

#[test]
fn words_are_tried_beside_what_is_there_already() {
    let machine = desktop();
    machine.write(
        "proc/cmdline",
        "quiet vfio.bind=02:00.0 vfio.group=strict\n",
    );
    let words_of = |device| words(&machine, &[device]);
    let gpu = words_of("01:00.0").unwrap();
    assert_eq!(gpu.words, [GPU]);
    assert!(
        !gpu.notes.iter().any(|note| note.contains("already")),
        "{:?}",
        gpu.notes
    );
    let nic = words_of("02:00.0").unwrap();
    let note = "0000:02:00.0 is asked for already";
    assert!(
        nic.notes.iter().any(|one| one.starts_with(note)),
        "{:?}",
        nic.notes
    );
    machine.write("etc/vfio-bind/policy.conf", "vfio.bind=!01:00.1\n");
    let told = line(&machine, "01:00.1");
    assert!(
        told.contains("cannot be bound beside what the running command line"),
        "{told}"
    );
    machine.write("proc/cmdline", "vfio.bind=off -- x\n");
    let notes = words_of("01:00.0").unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("vfio.bind=off is on")),
        "{notes:?}"
    );
    machine.write("proc/cmdline", "vfio.bind=01:00\n");
    machine.write("etc/vfio-bind/policy.conf", "");
    machine.write(
        "sys/kernel/iommu_groups/6/reserved_regions",
        "0x00000000000c0000 0x00000000000dffff direct\n",
    );
    let notes = words_of("01:00").unwrap().notes;
    for start in [
        "0000:01:00.0, 0000:01:00.1 are asked for already",
        "group 6: firmware wants memory mapped 1:1",
    ] {
        assert!(
            notes.iter().any(|note| note.starts_with(start)),
            "{start}: {notes:?}"
        );
    }
    // Another policy's own selection is no fault of these words.
    machine.write("proc/cmdline", "quiet -- x\n");
    machine.write("etc/vfio-bind/policy.conf", "vfio.bind=02:00.0\n");
    machine.write(
        "etc/modprobe.d/vfio.conf",
        "options vfio-pci ids=144d:a808\n",
    );
    assert_eq!(line(&machine, "01:00.0"), GPU);
}

/// A NIC that has made virtual functions.
fn with_virtual_functions() -> Machine {
    let machine = Machine::with(&[
        Row {
            secondary: Some(3),
            ..row("0000:00:1c.0", [0x8086, 0x1901], 0x06_0400, 1)
        },
        row("0000:03:00.0", [0x8086, 0x1572], 0x02_0000, 2),
        row("0000:03:02.0", [0x8086, 0x154c], 0x02_0000, 3),
        row("0000:03:02.1", [0x8086, 0x154c], 0x02_0000, 4),
        row("0000:03:02.2", [0x8086, 0x154c], 0x02_0000, 5),
    ]);
    let pf = machine.device("0000:03:00.0");
    for (file, text) in [
        ("sriov_totalvfs", "8"),
        ("sriov_offset", "16"),
        ("sriov_stride", "1"),
    ] {
        fs::write(pf.join(file), text).unwrap();
    }
    for index in 0..3 {
        let vf = format!("0000:03:02.{index}");
        symlink(format!("../{vf}"), pf.join(format!("virtfn{index}"))).unwrap();
        symlink("../0000:03:00.0", machine.device(&vf).join("physfn")).unwrap();
    }
    machine
}

#[test]
fn virtual_functions_are_named_by_what_makes_them() {
    let machine = with_virtual_functions();
    for (devices, expected) in [
        (
            &["03:02.1"][..],
            "vfio.bind=vf:0000:00:1c.0/00.0@8086:1572#1",
        ),
        (
            &["03:02.0", "03:02.2", "03:02.1"],
            "vfio.bind=vf:0000:00:1c.0/00.0@8086:1572#0-2",
        ),
        (
            &["03:02.0", "03:02.2"],
            "vfio.bind=vf:0000:00:1c.0/00.0@8086:1572#0,2",
        ),
        (
            &["vf:03:00.0#2"],
            "vfio.bind=vf:0000:00:1c.0/00.0@8086:1572#2",
        ),
        (
            &["vf:8086:1572"],
            "vfio.bind=vf:0000:00:1c.0/00.0@8086:1572#0-2",
        ),
        (&["03:00.0"], "vfio.bind=0000:00:1c.0/00.0@8086:1572"),
    ] {
        let words = words(&machine, devices).unwrap();
        assert_eq!(words.words, [expected], "{devices:?}");
        assert!(devices.len() != words.takes.len() || words.takes.iter().all(|one| one.asked));
    }
    let told = line(&machine, "vf:03:00.0#7");
    assert!(told.contains("is no function now"), "{told}");
}

#[test]
fn on_ibm_z_the_address_is_the_word_and_a_uid_that_is_not_unique_is_told() {
    let machine = Machine::with(&[row("0001:00:00.0", [0x15b3, 0x1014], 0x02_0000, 0)]);
    let device = machine.device("0001:00:00.0");
    fs::write(device.join("function_id"), "0x00000010\n").unwrap();
    fs::write(device.join("uid_is_unique"), "1\n").unwrap();
    let found = words(&machine, &["0001:00:00.0"]).unwrap();
    assert_eq!(found.words, ["vfio.bind=0001:00:00.0@15b3:1014"]);
    assert!(
        found.selectors[0].why.contains("on IBM Z"),
        "{:?}",
        found.selectors
    );
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    fs::write(device.join("uid_is_unique"), "0\n").unwrap();
    let found = words(&machine, &["0001:00:00.0"]).unwrap();
    assert!(
        found.notes[0].contains("uid_is_unique is 0"),
        "{:?}",
        found.notes
    );
}

/// Without links in sysfs, as in a flat capture, there is no way.
#[test]
fn without_a_way_the_address_is_the_word() {
    let machine = desktop();
    let entry = machine.device("0000:01:00.0");
    let real = fs::canonicalize(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    fs::rename(real, &entry).unwrap();
    let found = words(&machine, &["01:00.0"]).unwrap();
    assert_eq!(found.words, ["vfio.bind=0000:01:00.0@10de:2204"]);
    let why = &found.selectors[0].why;
    assert!(
        why.starts_with("its address, because sysfs does not tell the way to it;"),
        "{why}"
    );
}

//! Disks, the layers above them, and what is not known of them.

use std::fs;
use std::path::Path;

use vfio_bind_cli::storage::protected::{Protected, Scope, find};

use crate::system::{
    Answers, NVME, NVME_LINE, SATA_LINES, System, expect, expect_lines, expect_problem,
};

#[test]
fn plain_partitions() {
    let system = System::nvme();
    system
        .mount("259:2 / ext4 /dev/nvme0n1p2")
        .mount("259:1 /boot/efi vfat /dev/nvme0n1p1");
    system
        .mount("0:5 /dev devtmpfs udev")
        .swaps("/dev/nvme0n1p3 partition 1 0 -2\n/swapfile file 1 0 -3\n");
    let comment = "/, swap: nvme0n1p2; /boot/efi: nvme0n1p1; swap: nvme0n1p3";
    expect(&system.protected(), &[(NVME_LINE, comment)]);
}

#[test]
fn a_disk_without_partitions_and_without_swap() {
    let system = System::new();
    let function = "pci0000:00/0000:00:05.0";
    system
        .function(function, "1af4:1001")
        .block(&format!("{function}/virtio2/block/vda"), "254:0");
    system.mount("254:0 / ext4 /dev/vda");
    expect(
        &system.protected(),
        &[("vfio.protect=0000:00:05.0@1af4:1001  # ", "/: vda")],
    );
}

#[test]
fn lvm_on_luks_with_swap() {
    let system = System::nvme();
    system.layer("dm-0", "253:0", &["nvme0n1p3"]);
    system
        .layer("dm-1", "253:1", &["dm-0"])
        .layer("dm-2", "253:2", &["dm-0"]);
    system.write("sys/devices/virtual/block/dm-2/dm/name", "vg-swap\n");
    system
        .mount("253:1 / xfs /dev/mapper/vg-root")
        .mount("259:2 /boot ext4 /dev/nvme0n1p2");
    system.swaps("/dev/mapper/vg-swap partition 1 0 -2\n");
    let comment =
        "/: nvme0n1p3 through dm-0, dm-1; /boot: nvme0n1p2; swap: nvme0n1p3 through dm-0, dm-2";
    expect(&system.protected(), &[(NVME_LINE, comment)]);
}

#[test]
fn md_over_two_controllers() {
    let system = System::two_disks();
    system.layer("md0", "9:0", &["sda2", "sdb2"]);
    system
        .partition("virtual/block/md0/md0p1", "259:9")
        .mount("259:9 / ext4 /dev/md0p1");
    let [first, second] = SATA_LINES;
    expect(
        &system.protected(),
        &[
            (first, "/: sda2 through md0p1"),
            (second, "/: sdb2 through md0p1"),
        ],
    );
}

#[test]
fn btrfs_over_two_disks() {
    let system = System::two_disks();
    for device in ["sda1", "sdb2"] {
        let list = "sys/fs/btrfs/0b5c8a5e/devices";
        system.link(
            &format!("{list}/{device}"),
            &format!("sys/class/block/{device}"),
        );
    }
    system.write("sys/fs/btrfs/features/compress_zstd", "0\n");
    // Another file system, with a member that ours has not.
    system.link("sys/fs/btrfs/0a7d11c2/devices/sdb1", "sys/class/block/sdb1");
    system
        .mount("0:27 / btrfs /dev/sda1 rw,subvol=/@")
        .mount("0:27 /boot btrfs /dev/sda1");
    let [first, second] = SATA_LINES;
    expect(
        &system.protected(),
        &[(first, "/, /boot: sda1"), (second, "/, /boot: sdb2")],
    );
}

#[test]
fn a_btrfs_that_sysfs_does_not_tell_of_is_protected_as_far_as_it_is_known() {
    let system = System::two_disks();
    system.mount("0:27 / btrfs /dev/sda1");
    let found = system.protected();
    expect_lines(&found, &[(SATA_LINES[0], "/: sda1")]);
    expect_problem(&found, &["/: ", "btrfs", "/dev/sda1"]);
}

#[test]
fn a_zfs_pool() {
    let system = System::two_disks();
    system
        .mount("0:30 / zfs rpool/ROOT/debian")
        .mount("8:1 /boot ext4 /dev/sda1");
    let zpool = |zpool| Answers {
        zpool: Some(zpool),
        ..Answers::default()
    };
    let listing = "rpool\t1G\tONLINE\n\tmirror-0\t1G\n\t/dev/sda2\t-\n\t/dev/sdb2\t-\n";
    let [first, second] = SATA_LINES;
    let lines = [(first, "/: sda2; /boot: sda1"), (second, "/: sdb2")];
    expect(&system.protected_with(&zpool(Ok(listing))), &lines);

    let without = system.protected_with(&zpool(Err("the program zpool is not installed")));
    expect_lines(&without, &[(first, "/boot: sda1")]);
    expect_problem(&without, &["/: ", "pool rpool", "zpool is not installed"]);
    let empty = system.protected_with(&zpool(Ok("rpool\t1G\tONLINE\n")));
    expect_problem(&empty, &["/: ", "pool rpool", "no members"]);
}

#[test]
fn a_usb_disk() {
    let system = System::new();
    let xhci = "pci0000:00/0000:00:14.0";
    let disk = format!("{xhci}/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdc");
    system
        .function(xhci, "8086:a36d")
        .block(&disk, "8:32")
        .partition(&format!("{disk}/sdc1"), "8:33");
    system.mount("8:33 / ext4 /dev/sdc1");
    expect(
        &system.protected(),
        &[("vfio.protect=0000:00:14.0@8086:a36d  # ", "/: sdc1")],
    );
}

#[test]
fn an_nvme_disk_with_two_controllers() {
    let system = System::nvme();
    let second = "pci0000:80/0000:80:01.0/0000:81:00.0";
    system
        .function("pci0000:80/0000:80:01.0", "8086:2030")
        .function(second, "144d:a808");
    let subsystem = "virtual/nvme-subsystem/nvme-subsys0";
    for (name, place) in [("nvme1", NVME), ("nvme2", second)] {
        let place = format!("sys/devices/{place}/nvme/{name}");
        system.write(&format!("{place}/state"), "live\n");
        system.link(&format!("sys/devices/{subsystem}/{name}"), &place);
    }
    system.link(
        &format!("sys/devices/{subsystem}/subsystem"),
        "sys/devices/pci0000:00/0000:00:1d.0",
    );
    let disk = format!("{subsystem}/nvme1n1");
    system
        .block(&disk, "259:8")
        .partition(&format!("{disk}/nvme1n1p1"), "259:9");
    system.mount("259:9 / ext4 /dev/nvme1n1p1");
    let other = "vfio.protect=0000:80:01.0/00.0@144d:a808  # ";
    expect(
        &system.protected(),
        &[(NVME_LINE, "/: nvme1n1p1"), (other, "/: nvme1n1p1")],
    );
}

#[test]
fn a_disk_behind_vmd_needs_the_vmd_controller_as_well() {
    let system = System::new();
    let vmd = "pci0000:00/0000:00:0e.0";
    let nvme = format!("{vmd}/pci10000:e0/10000:e0:06.0/10000:e1:00.0");
    let port = format!("{vmd}/pci10000:e0/10000:e0:06.0");
    system
        .function(vmd, "8086:9a0b")
        .function(&port, "8086:9a09")
        .function(&nvme, "15b7:5009");
    system
        .block(&format!("{nvme}/nvme/nvme0/nvme0n1"), "259:0")
        .mount("259:0 / ext4 /dev/nvme0n1");
    let lines = [
        ("vfio.protect=0000:00:0e.0@8086:9a0b  # ", "/: nvme0n1"),
        (
            "vfio.protect=10000:e0:06.0/00.0@15b7:5009  # ",
            "/: nvme0n1",
        ),
    ];
    expect(&system.protected(), &lines);
}

#[test]
fn files_that_hold_a_disk() {
    let system = System::nvme();
    // A live image: an overlay, over a loop device, over a file on a partition.
    system.layer("loop0", "7:0", &[]);
    system.write(
        "sys/devices/virtual/block/loop0/loop/backing_file",
        "/run/live/root.img\n",
    );
    system
        .mount("259:1 /run/live iso9660 /dev/nvme0n1p1")
        .mount("7:0 /run/base squashfs /dev/loop0");
    system
        .write("run/base/etc/fstab", "")
        .write("run/upper/x", "")
        .mount("0:26 /run/upper tmpfs tmpfs");
    system.mount("0:40 / overlay overlay rw,lowerdir=/run/base,upperdir=/run/upper,workdir=/w");
    expect(
        &system.protected(),
        &[(NVME_LINE, "/: nvme0n1p1 through loop0")],
    );
}

#[test]
fn what_is_in_memory_needs_nothing() {
    let system = System::nvme();
    system.mount("0:30 / tmpfs none");
    expect(&system.protected(), &[]);
    let system = System::nvme();
    system.mount("259:2 / ext4 /dev/nvme0n1p2");
    system
        .layer("zram0", "252:0", &[])
        .swaps("/dev/zram0 partition 1 0 100\n");
    let back = "sys/devices/virtual/block/zram0/backing_dev";
    expect(&system.protected(), &[(NVME_LINE, "/: nvme0n1p2")]);
    system.write(back, "none\n");
    expect(&system.protected(), &[(NVME_LINE, "/: nvme0n1p2")]);
    system.write(back, "/dev/nvme0n1p3\n");
    let comment = "/: nvme0n1p2; swap: nvme0n1p3 through zram0";
    expect(&system.protected(), &[(NVME_LINE, comment)]);
}

#[test]
fn what_is_not_known_is_told_and_the_rest_is_printed() {
    for (mount, words) in [
        (
            "0:40 / overlay overlay rw,lowerdir=/var/lib/x/1,upperdir=/var/lib/x/2",
            &["/: ", "container"][..],
        ),
        ("0:41 / nfs4 server:/root", &["/: ", "nfs4", "server:/root"]),
        ("0:42 / fuse.x y", &["/: ", "fuse.x", "0:42"]),
        ("0:43 / ext4 /dev/gone", &["/: ", "/dev/gone"]),
        ("0:44 / btrfs /dev/gone", &["/: ", "/dev/gone"]),
        ("0:45 / autofs systemd-1", &["/: ", "automount"]),
        (
            "252:0 / ext4 /dev/vdb",
            &["/: ", "vdb", "/sys/devices/platform"],
        ),
        ("0:5 /dev devtmpfs udev", &["/: ", "mountinfo", "chroot"]),
    ] {
        let system = System::nvme();
        system.block("platform/a003e00.virtio_mmio/virtio1/block/vdb", "252:0");
        system.mount(mount).mount("259:1 /efi vfat /dev/nvme0n1p1");
        let found = system.protected();
        expect_problem(&found, words);
        expect_lines(&found, &[(NVME_LINE, "/efi: nvme0n1p1")]);
    }
}

/// The file is outside of the root directory, and its name means another one inside.
#[test]
fn a_chroot_of_a_disk_image_is_told_as_that() {
    let system = System::nvme();
    system.layer("loop0", "7:0", &[]);
    system.write(
        "sys/devices/virtual/block/loop0/loop/backing_file",
        "/root/disk.img\n",
    );
    system
        .write("root/disk.img", "")
        .mount("7:0 / ext4 /dev/loop0");
    let words = [
        "/: ",
        "chroot",
        "not on this system's disk",
        "vfio-bind protected",
    ];
    expect_problem(&system.protected(), &words);
}

#[test]
fn a_layer_on_itself_is_walked_once() {
    let system = System::nvme();
    system
        .layer("dm-0", "253:0", &["dm-1", "dm-0"])
        .layer("dm-1", "253:1", &["dm-0", "nvme0n1p1"]);
    system.mount("253:1 / ext4 /dev/mapper/x");
    expect(
        &system.protected(),
        &[(NVME_LINE, "/: nvme0n1p1 through dm-1")],
    );
    // A file system in a file of its own.
    let system = System::nvme();
    system
        .layer("loop0", "7:0", &[])
        .mount("7:0 / ext4 /dev/loop0");
    system.write(
        "sys/devices/virtual/block/loop0/loop/backing_file",
        "/itself.img\n",
    );
    let found = system.protected();
    expect_lines(&found, &[]);
    expect_problem(&found, &["/: "]);
}

#[test]
fn a_comment_names_few_of_many_disks() {
    let system = System::new();
    let hba = "pci0000:00/0000:00:03.0";
    system.function(hba, "1000:0072");
    let names: Vec<_> = (0..12)
        .map(|number| format!("sd{}", char::from(b'a' + number)))
        .collect();
    for (number, name) in names.iter().enumerate() {
        system.block(
            &format!("{hba}/host0/{number}/block/{name}"),
            &format!("8:{}", number * 16),
        );
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    system
        .layer("md0", "9:0", &names)
        .mount("9:0 / ext4 /dev/md0");
    let comment = "/: sda through md0; /: sdb through md0; /: sdc through md0; /: sdd through md0; and 8 more";
    expect(
        &system.protected(),
        &[("vfio.protect=0000:00:03.0@1000:0072  # ", comment)],
    );
}

#[test]
fn a_function_that_does_not_tell_its_ids_is_protected_all_the_same() {
    let system = System::nvme();
    fs::remove_file(system.0.path().join(format!("sys/devices/{NVME}/vendor"))).unwrap();
    system.mount("259:1 / ext4 /dev/nvme0n1p1");
    expect(
        &system.protected(),
        &[("vfio.protect=0000:00:1d.0/00.0  # ", "/: nvme0n1p1")],
    );
}

#[test]
fn a_system_without_a_list_of_mounts_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/no/such/system")] {
        let error = find(path, &Answers::default(), Scope::Boot).unwrap_err();
        assert!(format!("{error:#}").contains("No such file"), "{error:#}");
    }
}

#[test]
fn a_list_carries_a_few_open_questions_and_their_number() {
    let protected = Protected {
        lines: vec!["vfio.protect=0000:00:17.0  # /: sda".to_owned()],
        unresolved: (1..=10).map(|n| format!("/{n}: \"no\" idea\n")).collect(),
    };
    let text = protected.conf();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 8 + 1, "{text}");
    assert_eq!(lines[1], "vfio.unprotected=\"/1: 'no' idea \"");
    assert_eq!(
        lines[9],
        "vfio.unprotected=\"and 2 more, see vfio-bind protected\""
    );
}

//! What is in use now, whether a boot needs it or not: a run in the real root leaves it alone.

use crate::system::{Answers, SATA_LINES, System, expect, expect_problem};

/// Two disks, the root on the first one.
fn system() -> System {
    let system = System::two_disks();
    system.mount("8:1 / ext4 /dev/sda1");
    system
}

/// The boot needs the first disk, and the second one is in use for this reason.
#[track_caller]
fn expect_second(system: &System, answers: &Answers, comment: &str) {
    let first = (SATA_LINES[0], "/: sda1");
    expect(&system.protected(), &[first]);
    expect(&system.in_use(answers), &[first, (SATA_LINES[1], comment)]);
}

#[test]
fn a_disk_that_is_mounted_anywhere() {
    let answers = Answers::default();
    let system = system();
    system
        .mount("8:17 /mnt/data ext4 /dev/sdb1")
        .mount("8:17 /mnt/again ext4 /dev/sdb1")
        .mount("0:5 /proc proc proc")
        .mount("0:60 /x fuse.sshfs y:/x");
    expect_second(&system, &answers, "/mnt/data: sdb1");
    // In the view of another process, as a container's.
    let system = self::system();
    system
        .write("proc/77/mountinfo", "")
        .mount_seen_by("77", "8:1 / ext4 /dev/sda1")
        .mount_seen_by("77", "8:17 /in/side ext4 /dev/sdb1")
        .write("proc/78/mountinfo", "")
        .mount_seen_by("78", "8:17 /in/side ext4 /dev/sdb1")
        .write("proc/acpi/mountinfo", "");
    expect_second(&system, &answers, "/in/side of process 77: sdb1");
}

#[test]
fn a_disk_that_something_holds() {
    let answers = Answers::default();
    let system = system();
    let disk = "sys/devices/pci0000:00/0000:00:1f.2/ata7/host6/target0:0:0/0:0:0:0/block/sdb/sdb2";
    system.layer("dm-5", "253:5", &["sdb2"]).link(
        &format!("{disk}/holders/dm-5"),
        "sys/devices/virtual/block/dm-5",
    );
    expect_second(&system, &answers, "dm-5: sdb2");
    let system = self::system();
    system.link("sys/fs/btrfs/0b5c8a5e/devices/sdb1", "sys/class/block/sdb1");
    expect_second(&system, &answers, "btrfs: sdb1");
    let system = self::system();
    system.layer("loop7", "7:7", &[]).write(
        "sys/devices/virtual/block/loop7/loop/backing_file",
        "/dev/sdb1\n",
    );
    expect_second(&system, &answers, "loop7: sdb1 through loop7");
}

#[test]
fn a_disk_of_a_pool() {
    let system = system();
    let zpools = |zpools| Answers {
        zpools: Some(zpools),
        ..Answers::default()
    };
    // Without the module nobody is asked.
    expect(
        &system.in_use(&zpools(Err("no"))),
        &[(SATA_LINES[0], "/: sda1")],
    );
    system.write("sys/module/zfs/refcnt", "1\n");
    expect_second(
        &system,
        &zpools(Ok("tank\t1G\n\t/dev/sdb2\t-\n")),
        "ZFS: sdb2",
    );
    expect_second(
        &system,
        &zpools(Ok("tank\t1G\n\t/dev/sdb2\t-\n")),
        "ZFS: sdb2",
    );
    expect_problem(&system.in_use(&zpools(Err("no"))), &["ZFS: ", "no"]);
}

#[test]
fn the_card_of_the_default_route() {
    let system = system();
    let card = "pci0000:00/0000:00:03.0";
    system.function(card, "8086:100e").interface("eth0", card);
    system.write(
        "proc/net/route",
        "Iface\tDestination\neth0\t00000000\t0102030A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
    );
    let line = "vfio.protect=0000:00:03.0@8086:100e  # ";
    expect(&system.protected(), &[(SATA_LINES[0], "/: sda1")]);
    expect(
        &system.in_use(&Answers::default()),
        &[
            (line, "the default route: eth0"),
            (SATA_LINES[0], "/: sda1"),
        ],
    );
}

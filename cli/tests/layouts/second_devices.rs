//! File systems and arrays that have something on a second device.

use crate::system::{SATA_LINES, System, expect, expect_lines, expect_problem};

/// Both controllers, each with this comment.
fn both<'a>(first: &'a str, second: &'a str) -> [(&'static str, &'a str); 2] {
    [(SATA_LINES[0], first), (SATA_LINES[1], second)]
}

#[test]
fn an_xfs_with_a_log_or_a_real_time_device() {
    for options in ["rw,logdev=/dev/sdb1,noquota", "rw,attr2,rtdev=/dev/sdb1"] {
        let system = System::two_disks();
        system.mount(&format!("8:2 / xfs /dev/sda2 {options}"));
        expect(&system.protected(), &both("/: sda2", "/: sdb1"));
    }
}

#[test]
fn an_ext4_with_an_external_journal() {
    let system = System::two_disks();
    system
        .write("proc/fs/jbd2/sdb1/info", "")
        .write("proc/fs/jbd2/sda1-8/info", "")
        .mount("8:2 / ext4 /dev/sda2");
    expect(&system.protected(), &both("/: sda2", "/: sdb1"));
    // Which thread writes the journal of which file system is known since 5.0: not this one.
    system
        .write("sys/fs/ext4/sda2/journal_task", "77\n")
        .write("proc/77/comm", "jbd2/sda2-8\n");
    expect(&system.protected(), &[(SATA_LINES[0], "/: sda2")]);
    system.write("proc/77/comm", "jbd2/sdb1\n");
    expect(&system.protected(), &both("/: sda2", "/: sdb1"));
    // One without a journal.
    system.write("sys/fs/ext4/sda2/journal_task", "<none>\n");
    expect(&system.protected(), &[(SATA_LINES[0], "/: sda2")]);
}

#[test]
fn an_f2fs_over_two_devices() {
    let mut superblock = vec![0; 4096];
    superblock[1024..1028].copy_from_slice(&0xf2f5_2010_u32.to_le_bytes());
    for (number, path) in [&b"/dev/sda2"[..], b"/dev/sdb1"].into_iter().enumerate() {
        let at = 1024 + 2201 + number * 68;
        superblock[at..at + path.len()].copy_from_slice(path);
    }
    let system = System::two_disks();
    system.mount("8:2 / f2fs /dev/sda2");
    let found = system.protected();
    expect_lines(&found, &[(SATA_LINES[0], "/: sda2")]);
    expect_problem(&found, &["/: ", "f2fs", "/dev/sda2", "No such file"]);
    system.write_bytes("dev/sda2", &superblock);
    expect(&system.protected(), &both("/: sda2", "/: sdb1"));
    superblock[1024 + 2201..].fill(0);
    system.write_bytes("dev/sda2", &superblock);
    expect(&system.protected(), &[(SATA_LINES[0], "/: sda2")]);
}

#[test]
fn an_array_with_its_bitmap_in_a_file() {
    let system = System::two_disks();
    system
        .layer("md0", "9:0", &["sda2"])
        .write("sys/devices/virtual/block/md0/md/bitmap/location", "file\n")
        .mount("9:0 / ext4 /dev/md0")
        .mount("8:17 /boot ext4 /dev/sdb1");
    let found = system.protected();
    expect_lines(&found, &both("/: sda2 through md0", "/boot: sdb1"));
    expect_problem(&found, &["/: ", "md0", "bitmap"]);
    system.write(
        "proc/mdstat",
        "Personalities : [raid1]\nmd1 : active raid1 sdc1[0]\n      bitmap: 0/1 pages [0KB], 64KB \
         chunk, file: /other\n\nmd0 : active raid1 sda2[0]\n      488 blocks\n      bitmap: 0/1 \
         pages [0KB], 65536KB chunk, file: /boot/bitmap of md0\n\nunused devices: <none>\n",
    );
    expect(
        &system.protected(),
        &both("/: sda2 through md0", "/: sdb1 through md0; /boot: sdb1"),
    );
}

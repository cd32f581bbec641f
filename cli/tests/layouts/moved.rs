//! Paths that do not lead where they seem to: covered mounts, layers, files that moved.

use crate::system::{Answers, NVME_LINE, SATA_LINES, System, expect, expect_lines, expect_problem};

/// Root on the first partition.
fn nvme() -> System {
    let system = System::nvme();
    system.mount("259:1 / ext4 /dev/nvme0n1p1");
    system
}

#[test]
fn a_boot_that_another_mount_covers() {
    let system = System::two_disks();
    system
        .mount("8:1 / ext4 /dev/sda1")
        .mount("8:17 /boot ext4 /dev/sdb1")
        .mount("0:50 /boot tmpfs tmpfs");
    let [first, second] = SATA_LINES;
    let lines = [(first, "/: sda1"), (second, "/boot: sdb1")];
    expect(&system.protected(), &lines);
    // An automount that has mounted is no news.
    let system = System::two_disks();
    system
        .mount("8:1 / ext4 /dev/sda1")
        .mount("0:50 /boot autofs systemd-1")
        .mount("8:17 /boot ext4 /dev/sdb1");
    expect(&system.protected(), &lines);
}

#[test]
fn a_boot_that_is_hidden_from_this_process_alone() {
    let system = System::two_disks();
    system
        .mount("8:1 / ext4 /dev/sda1")
        .write("proc/1/mountinfo", "")
        .mount_seen_by("1", "8:1 / ext4 /dev/sda1")
        .mount_seen_by("1", "8:17 /boot ext4 /dev/sdb1");
    let [first, second] = SATA_LINES;
    // Process 1 of another system, as in a chroot.
    system.write("other/x", "").link("proc/1/root", "other");
    expect(&system.protected(), &[(first, "/: sda1")]);
    std::fs::remove_file(system.0.path().join("proc/1/root")).unwrap();
    system.link("proc/1/root", "");
    expect(
        &system.protected(),
        &[(first, "/: sda1"), (second, "/boot: sdb1")],
    );
}

#[test]
fn a_mount_below_what_covers_it_holds_no_file() {
    let system = System::two_disks();
    system
        .mount("8:1 / ext4 /dev/sda1")
        .mount("8:17 /var/lib ext4 /dev/sdb1")
        .mount("8:2 /var ext4 /dev/sda2")
        .swaps("/var/lib/swap file 1 0 -2\n");
    let lines = [(SATA_LINES[0], "/: sda1; swap: sda2")];
    expect(&system.protected(), &lines);
}

#[test]
fn a_swap_file_whose_path_leads_elsewhere() {
    for (files, words) in [
        (&[("/swap", "259:1", 12)][..], None),
        (&[("/swap", "259:3", 12)], Some("leads elsewhere")),
        (&[], Some("leads elsewhere")),
    ] {
        let system = nvme();
        system.swaps("/swap file 1 0 -2\n");
        let found = system.protected_with(&Answers {
            files: Some(files),
            ..Answers::default()
        });
        match words {
            None => expect(&found, &[(NVME_LINE, "/, swap: nvme0n1p1")]),
            Some(words) => expect_problem(&found, &["swap: ", "/swap", words]),
        }
    }
    // The kernel says so itself.
    let system = nvme();
    system.swaps("/swap\\040(deleted) file 1 0 -2\n");
    expect_problem(
        &system.protected(),
        &["swap: ", "/swap (deleted)", "leads elsewhere"],
    );
}

/// Root on a loop device over this.
fn looped(file: &str) -> System {
    let system = System::two_disks();
    system.layer("loop0", "7:0", &[]).write(
        "sys/devices/virtual/block/loop0/loop/backing_file",
        &format!("{file}\n"),
    );
    system
        .mount("8:1 /host ntfs3 /dev/sda1")
        .mount("7:0 / ext4 /dev/loop0");
    system
}

#[test]
fn a_file_of_a_loop_device_is_known_by_its_device() {
    let system = looped("/host/root.img");
    let [first, second] = SATA_LINES;
    let found = system.protected_with(&Answers {
        losetup: Some(Ok(
            "/dev/loop1  4       8:1  \n/dev/loop0 77       8:17  \n",
        )),
        ..Answers::default()
    });
    expect(&found, &[(second, "/: sdb1 through loop0")]);
    // Without an answer the path is all there is.
    expect(&system.protected(), &[(first, "/: sda1 through loop0")]);
    // A file system whose number is no device's: the file must be the one.
    for (files, right) in [
        (&[("/host/root.img", "0:41", 77)][..], true),
        (&[("/host/root.img", "0:41", 78)], false),
        (&[], false),
    ] {
        let found = system.protected_with(&Answers {
            losetup: Some(Ok("/dev/loop0 77 0:41\n")),
            files: Some(files),
            ..Answers::default()
        });
        if right {
            expect(&found, &[(first, "/: sda1 through loop0")]);
        } else {
            expect_problem(&found, &["/: ", "/host/root.img", "leads elsewhere"]);
        }
    }
}

#[test]
fn a_loop_over_a_block_device() {
    expect(
        &looped("/dev/sdb1").protected(),
        &[(SATA_LINES[1], "/: sdb1 through loop0")],
    );
}

#[test]
fn an_erofs_in_a_file() {
    let system = System::two_disks();
    system
        .mount("8:17 /run/media ext4 /dev/sdb1")
        .mount("0:44 / erofs /run/media/root.erofs");
    expect(&system.protected(), &[(SATA_LINES[1], "/: sdb1")]);
}

#[test]
fn a_btrfs_on_the_root_device_of_the_command_line() {
    let system = System::two_disks();
    for device in ["sda2", "sdb2"] {
        let at = format!("sys/fs/btrfs/0b5c8a5e/devices/{device}");
        system.link(&at, &format!("sys/class/block/{device}"));
    }
    system.mount("0:27 / btrfs /dev/root");
    expect_problem(&system.protected(), &["/: ", "/dev/root", "root="]);
    system.write("proc/cmdline", "root=/dev/sda2 ro\n");
    let [first, second] = SATA_LINES;
    expect(
        &system.protected(),
        &[(first, "/: sda2"), (second, "/: sdb2")],
    );
}

#[test]
fn layers_that_cannot_be_seen_are_told_and_the_others_followed() {
    let system = nvme();
    system.write("usr/bin/x", "");
    system.mount("0:40 /usr overlay sysext ro,lowerdir=/run/gone:/usr");
    let found = system.protected();
    expect_lines(&found, &[(NVME_LINE, "/, /usr: nvme0n1p1")]);
    expect_problem(&found, &["/usr: ", "/run/gone"]);
}

#[test]
fn a_layer_with_a_colon_in_its_name() {
    let system = System::two_disks();
    system
        .write("a:b/x", "")
        .write("up:per/x", "")
        .mount("8:1 /a:b ext4 /dev/sda1")
        .mount("8:17 /up:per ext4 /dev/sdb1")
        .mount("0:40 / overlay overlay rw,lowerdir=/a\\134:b,upperdir=/up:per,workdir=/w");
    expect(
        &system.protected(),
        &[(SATA_LINES[0], "/: sda1"), (SATA_LINES[1], "/: sdb1")],
    );
}

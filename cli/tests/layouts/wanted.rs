//! What a boot is told to want, present or not: fstab, crypttab, the command line.

use crate::system::{NVME_LINE, SATA_LINES, System, expect, expect_lines, expect_problem};

/// Two disks, the root on the first one.
fn system() -> System {
    let system = System::two_disks();
    system
        .mount("8:1 / ext4 /dev/sda1")
        .mount("0:5 /proc proc proc")
        .mount("0:6 /y overlay overlay lowerdir=/gone");
    for (kind, name, node) in [
        ("uuid", "5a1d-0f", "sdb1"),
        ("partuuid", "0011-02", "sdb1"),
        ("label", "my\\x20data", "sdb1"),
        ("id", "ata-DISK_1-part1", "sdb1"),
    ] {
        let at = format!("dev/disk/by-{kind}/{name}");
        system.link(&at, &format!("dev/{node}"));
    }
    system
}

#[test]
fn lines_of_fstab_that_a_boot_waits_for() {
    let wanted = |user| Some(user);
    for (line, user) in [
        ("/dev/sdb1 /srv ext4 defaults 0 2", wanted("/srv")),
        ("UUID=5a1d-0f /srv ext4 defaults 0 2", wanted("/srv")),
        ("UUID=\"5a1d-0f\" /srv ext4 defaults", wanted("/srv")),
        ("PARTUUID=0011-02 /var\\040x xfs rw", wanted("/var\\040x")),
        ("LABEL=my\\040data /home auto", wanted("/home")),
        ("ID=ata-DISK_1-part1 /home auto", wanted("/home")),
        ("/dev/disk/by-uuid/5a1d-0f /home auto", wanted("/home")),
        ("/dev/sdb1 none swap sw 0 0", wanted("swap")),
        ("/dev/sdb1 /boot ext4 noauto,nofail", wanted("/boot")),
        ("/dev/sdb1 /x ext4 noauto,x-initrd.mount", wanted("/x")),
        ("/dev/sdb1 /srv ext4 defaults,nofail 0 2", None),
        ("/dev/sdb1 /mnt ext4 noauto,user 0 2", None),
        ("#/dev/sdb1 /srv ext4 defaults", None),
        ("tmpfs /tmp tmpfs size=1G", None),
        ("proc /proc proc defaults", None),
        ("overlay /y overlay lowerdir=/gone", None),
        ("/srv/x /x none bind", None),
    ] {
        let system = system();
        system.write("etc/fstab", &format!("# comment\n\n{line}\n"));
        let second = user.map(|user| format!("{user}: sdb1"));
        let mut lines = vec![(SATA_LINES[0], "/: sda1")];
        lines.extend(second.iter().map(|text| (SATA_LINES[1], text.as_str())));
        eprintln!("{line}");
        expect(&system.protected(), &lines);
    }
}

#[test]
fn what_fstab_wants_and_is_not_there_is_told() {
    for (line, words) in [
        (
            "UUID=1234 /srv ext4 defaults",
            &["/srv: ", "UUID=1234", "/etc/fstab"][..],
        ),
        (
            "/dev/mapper/x /srv ext4 defaults",
            &["/srv: ", "/dev/mapper/x"],
        ),
    ] {
        let system = system();
        system.write("etc/fstab", line);
        let found = system.protected();
        expect_lines(&found, &[(SATA_LINES[0], "/: sda1")]);
        expect_problem(&found, words);
    }
}

#[test]
fn a_file_system_of_fstab_over_several_devices() {
    let system = system();
    for device in ["sdb1", "sda2"] {
        system.link(
            &format!("sys/fs/btrfs/0b5c/devices/{device}"),
            &format!("sys/class/block/{device}"),
        );
    }
    system.write(
        "etc/fstab",
        "/dev/sdb1 /srv btrfs subvol=@srv\n/swapfile none swap sw\n",
    );
    let lines = [
        (SATA_LINES[0], "/, swap: sda1; /srv: sda2"),
        (SATA_LINES[1], "/srv: sdb1"),
    ];
    expect(&system.protected(), &lines);
}

#[test]
fn what_crypttab_opens_at_boot() {
    for (line, wanted) in [
        ("data UUID=5a1d-0f none luks", true),
        ("data /dev/sdb1", true),
        ("data /dev/sda2 /dev/sdb1 luks", true),
        ("data /dev/sda2 /key:UUID=5a1d-0f luks", true),
        ("data /dev/sda2 none luks,header=/dev/sdb1", true),
        (
            "data /dev/sda2 none luks,header=/head:LABEL=my\\x20data",
            true,
        ),
        ("data /dev/sda2 /media/key/file luks", true),
        ("data /dev/sda2 none luks,header=/media/key/header", true),
        ("data /dev/sda2 /dev/urandom swap", false),
        ("data UUID=5a1d-0f none luks,nofail", false),
        ("data UUID=5a1d-0f none luks,noauto", false),
        ("# data UUID=5a1d-0f none luks,noauto", false),
    ] {
        let system = system();
        system.mount("8:17 /media/key vfat /dev/sdb1");
        system.write("etc/crypttab", &format!("{line}\n"));
        expect_second(&system, wanted, line);
    }
    let system = system();
    system.write("etc/crypttab", "data UUID=77 none luks\n");
    expect_problem(&system.protected(), &["crypttab data: ", "UUID=77"]);
}

/// Asserts whether the second disk is protected, and that nothing is left open.
#[track_caller]
fn expect_second(system: &System, wanted: bool, line: &str) {
    let found = system.protected();
    assert_eq!(found.unresolved, [""; 0], "{line}");
    let mut lines = found.lines.iter();
    let second = lines.any(|line| line.starts_with(SATA_LINES[1]));
    assert_eq!(second, wanted, "{line}: {:?}", found.lines);
}

#[test]
fn what_the_command_line_and_initramfs_tools_name() {
    for (line, wanted) in [
        ("resume=UUID=5a1d-0f", true),
        ("quiet resume=/dev/sdb1 splash", true),
        ("root=PARTUUID=0011-02", true),
        ("rd.luks.uuid=5a1d-0f", true),
        ("rd.luks.uuid=luks-5a1d-0f", true),
        ("rd.luks.name=5a1d-0f=data", true),
        ("luks.uuid=5a1d-0f", true),
        ("rd.luks.key=/key:UUID=5a1d-0f", true),
        ("rd.luks.key=77=/key:LABEL=my\\x20data", true),
        ("rd.luks.data=77=/dev/sdb1", true),
        ("rd.luks.options=77=discard,header=/h:UUID=5a1d-0f", true),
        ("cryptdevice=UUID=5a1d-0f:data:allow-discards", true),
        ("cryptkey=/dev/sdb1:vfat:/key", true),
        ("mount.usr=/dev/sdb1", true),
        ("systemd.verity_root_hash=/dev/sdb1", true),
        ("root=live:CDLABEL=x", false),
        ("rd.luks.key=/key", false),
        ("cryptkey=rootfs:/key", false),
        ("noresume", false),
    ] {
        let system = system();
        system.write("proc/cmdline", &format!("{line}\n"));
        expect_second(&system, wanted, line);
    }
    let system = system();
    system.write("proc/cmdline", "resume=UUID=77\n");
    expect_problem(
        &system.protected(),
        &["resume: ", "UUID=77", "not there now"],
    );
    let system = self::system();
    system.write(
        "etc/initramfs-tools/conf.d/resume",
        "# x\nRESUME=UUID=5a1d-0f\n",
    );
    expect(
        &system.protected(),
        &[(SATA_LINES[0], "/: sda1"), (SATA_LINES[1], "resume: sdb1")],
    );
    system.write("etc/initramfs-tools/conf.d/resume", "RESUME=none\n");
    expect(&system.protected(), &[(SATA_LINES[0], "/: sda1")]);
}

#[test]
fn a_root_in_memory_stands_on_what_its_init_lies_on() {
    let system = System::nvme();
    let store = "/nix/store/abc-systemd/lib/systemd/systemd";
    system
        .mount("0:30 / tmpfs none")
        .mount("259:1 /boot vfat /dev/nvme0n1p1")
        .mount("259:2 /nix ext4 /dev/nvme0n1p2")
        .write(&store[1..], "")
        .link("run/current-system", "nix/store/abc-system")
        .link("sbin/init", &store[1..]);
    let comment = "/boot: nvme0n1p1; /nix: nvme0n1p2";
    expect(&system.protected(), &[(NVME_LINE, comment)]);
    // A library elsewhere counts as well.
    let system = System::nvme();
    system
        .mount("0:30 / tmpfs none")
        .mount("259:3 /gnu ext4 /dev/nvme0n1p3")
        .write("proc/self/maps", "7f00-7f01 r-xp 00000000 103:03 99  /gnu/store/libc.so.6\n7f02-7f03 rw-p 0 00:00 0  [heap]\n");
    expect(&system.protected(), &[(NVME_LINE, "/gnu: nvme0n1p3")]);
}

#[test]
fn a_table_that_cannot_be_read_is_told() {
    for path in ["etc/fstab", "etc/crypttab", "proc/cmdline", "proc/swaps"] {
        let system = system();
        system.write(&format!("{path}/x"), "a directory");
        let found = system.protected();
        expect_lines(&found, &[(SATA_LINES[0], "/: sda1")]);
        expect_problem(&found, &[&format!("/{path}: "), "Is a directory"]);
    }
}

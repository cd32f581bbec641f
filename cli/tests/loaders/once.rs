//! A boot that is tried once, and kept when it was good.

use crate::tree::{Tree, WORDS};

const SET: [&str; 2] = ["--words", WORDS];
const TRY: [&str; 3] = ["--try", "--words", WORDS];
const MENU: &str = "\
if [ \"${next_entry}\" ] ; then
   set default=\"${next_entry}\"
fi
menuentry 'Debian' --class debian --unrestricted $menuentry_id_option 'gnulinux-simple-1' {
\tload_video
\tif [ x$grub_platform = xxen ]; then insmod xzio; fi
\tlinux\t/vmlinuz root=UUID=1 ro quiet
\tinitrd /initrd.img
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
";

fn grub(mounts: &str) -> Tree {
    Tree::new(&[
        ("etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"),
        ("boot/grub/grub.cfg", MENU),
        ("boot/grub/grubenv", "# GRUB Environment Block\n"),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n"),
        ("proc/self/mounts", mounts),
        ("usr/sbin/grub-mkconfig", "# \n. default/grub.d\n"),
        ("usr/sbin/update-grub", ""),
    ])
}

const EXT4: &str =
    "/dev/sda1 / ext4 rw 0 0\n/dev/sda2 /boot ext4 rw 0 0\n/dev/mapper/x /boot2 btrfs rw 0 0\n";

#[test]
fn grub_starts_an_entry_of_its_own_once() {
    let tree = grub(EXT4);
    let before = tree.files();
    let ran = tree.told(&TRY).good();
    assert_eq!(ran.run(), ["grub-reboot vfio-bind-try"]);
    assert!(
        ran.out
            .contains("The next boot has `vfio.bind=0000:42:00.0"),
        "{}",
        ran.out
    );
    let entry = tree.read("boot/grub/custom.cfg");
    for line in [
        "menuentry 'vfio-bind: tried once' --id vfio-bind-try --unrestricted {",
        "\tlinux\t/vmlinuz root=UUID=1 ro quiet vfio.bind=0000:42:00.0 vfio.group=strict",
        "\tinitrd /initrd.img",
        "}",
    ] {
        assert!(entry.lines().any(|other| other == line), "{line}: {entry}");
    }
    // What boots otherwise is as it was.
    let mut after = tree.files();
    after.remove("boot/grub/custom.cfg");
    assert_eq!(after, before);

    // GRUB has forgotten it once it was started: a second try is one.
    let again = tree.told(&TRY).good();
    assert_eq!(
        again.run(),
        [
            "grub-editenv /boot/grub/grubenv unset next_entry",
            "grub-reboot vfio-bind-try"
        ]
    );
    assert_eq!(tree.read("boot/grub/custom.cfg"), entry);

    // It is not kept before it was seen.
    let keep = tree.told(&["--keep"]).refused();
    assert!(
        keep.err.contains("this boot is not the try"),
        "{}",
        keep.err
    );
    tree.booted(WORDS);
    let keep = tree.told(&["--keep"]).good();
    assert_eq!(
        keep.run(),
        [
            "grub-editenv /boot/grub/grubenv unset next_entry",
            "update-grub"
        ]
    );
    assert!(!tree.exists("boot/grub/custom.cfg"));
    assert!(
        tree.read("etc/default/grub.d/90-vfio-bind.cfg")
            .contains(WORDS)
    );
    // A try of other words would have these too.
    let again = tree
        .told(&["--try", "--words", "vfio.bind=0000:43:00.0"])
        .refused();
    assert!(again.err.contains("is set for good"), "{}", again.err);
    tree.told(&["--undo"]).good();
    assert_eq!(tree.files(), before);
}

#[test]
fn a_try_that_is_not_kept_is_undone() {
    let tree = grub(EXT4);
    let own = "menuentry 'own' {\n}";
    tree.write("boot/grub/custom.cfg", own);
    tree.told(&TRY).good();
    assert!(tree.read("boot/grub/custom.cfg").starts_with(own));
    tree.told(&["--undo"]).good();
    assert_eq!(tree.read("boot/grub/custom.cfg"), own);
}

#[test]
fn where_grub_cannot_forget_an_entry_nothing_is_tried() {
    for (mounts, expected) in [
        ("/dev/sda1 / btrfs rw 0 0\n", "/ is btrfs on /dev/sda1"),
        (
            "/dev/sda1 / ext4 rw 0 0\n/dev/mapper/vg-boot /boot ext4 rw 0 0\n",
            "/boot is ext4 on /dev/mapper/vg-boot",
        ),
        ("rpool/ROOT / zfs rw 0 0\n", "/ is zfs"),
        ("", "nothing is mounted there"),
    ] {
        let tree = grub(mounts);
        let ran = tree.told(&TRY).refused();
        assert!(
            ran.err.contains(expected) && ran.err.contains("each boot would be the try"),
            "{}",
            ran.err
        );
        assert!(!tree.exists("boot/grub/custom.cfg") && !tree.exists("var"));
    }
    let tree = grub(EXT4);
    tree.write("boot/grub/grub.cfg", MENU.replace("next_entry", "other"));
    assert!(
        tree.told(&TRY)
            .refused()
            .err
            .contains("does not read next_entry")
    );
    let tree = grub(EXT4);
    tree.remove("boot/grub/grubenv");
    assert!(
        tree.told(&TRY)
            .refused()
            .err
            .contains("grubenv is not there")
    );
}

fn systemd_boot() -> Tree {
    let tree = Tree::new(&[
        ("proc/cmdline", "initrd=\\x root=UUID=1 rw\n"),
        (
            "boot/loader/entries/arch.conf",
            "title Arch\nlinux /vmlinuz-linux\ninitrd /x.img\noptions root=UUID=1\noptions rw # no comment\n",
        ),
        (
            "boot/loader/entries/arch-fallback.conf",
            "title Arch (fallback)\nlinux /vmlinuz-linux\noptions root=UUID=1\n",
        ),
    ]);
    tree.efi("LoaderInfo", "systemd-boot 256");
    tree
}

const ENTRY: &str = "boot/loader/entries/arch.conf";

#[test]
fn systemd_boot_starts_an_entry_of_its_own_once() {
    let tree = systemd_boot();
    let before = tree.files();
    let ran = tree.told(&TRY).good();
    assert_eq!(ran.run(), ["bootctl set-oneshot vfio-bind-try.conf"]);
    let entry = tree.read("boot/loader/entries/vfio-bind-try.conf");
    assert_eq!(
        entry,
        format!(
            "# a copy of arch.conf\ntitle vfio-bind: tried once (Arch)\nlinux /vmlinuz-linux\ninitrd /x.img\noptions root=UUID=1\noptions rw # no comment {WORDS}\n"
        )
    );
    tree.booted(WORDS);
    tree.efi("LoaderEntrySelected", "vfio-bind-try.conf");
    tree.told(&["--keep"]).good();
    assert!(!tree.exists("boot/loader/entries/vfio-bind-try.conf"));
    assert!(tree.read(ENTRY).contains(WORDS));
    tree.told(&["--undo"]).good();
    assert_eq!(tree.files(), before);
}

#[test]
fn an_entry_written_by_hand_is_changed_where_it_is_known_which() {
    let tree = systemd_boot();
    let before = tree.files();
    tree.told(&SET).good();
    assert!(
        tree.read(ENTRY)
            .contains(&format!("options rw # no comment {WORDS}\n"))
    );
    assert!(
        !tree
            .read("boot/loader/entries/arch-fallback.conf")
            .contains("vfio")
    );
    tree.told(&["--undo"]).good();
    assert_eq!(tree.files(), before);
    tree.write(
        "boot/loader/entries/lts.conf",
        "title LTS\nlinux /vmlinuz-lts\noptions root=UUID=1\n",
    );
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("which of them boots is not known"),
        "{}",
        ran.err
    );
    tree.efi("LoaderEntrySelected", "lts.conf");
    tree.told(&SET).good();
    assert!(tree.read("boot/loader/entries/lts.conf").contains(WORDS));
}

#[test]
fn a_boot_loader_that_tries_nothing_says_so() {
    let tree = Tree::new(&[
        ("proc/cmdline", "ro root=UUID=1\n"),
        ("boot/refind_linux.conf", "\"a\" \"ro root=UUID=1\"\n"),
        ("boot/efi/EFI/refind/refind_x64.efi", ""),
    ]);
    let before = tree.files();
    let ran = tree.told(&TRY).refused();
    assert!(
        ran.err.contains("has no boot that is tried once") && ran.err.contains("vfio.bind=off"),
        "{}",
        ran.err
    );
    assert_eq!(tree.files(), before);
}

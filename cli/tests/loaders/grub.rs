//! What is tricky about GRUB.

use std::os::unix::fs::symlink;

use crate::tree::{Tree, WORDS};

const SET: [&str; 2] = ["--words", WORDS];
const MENU: &str = "menuentry 'Linux' {\n\tlinux /vmlinuz root=UUID=1 ro quiet\n}\n";
const FRAGMENT: &str = "etc/default/grub.d/90-vfio-bind.cfg";

fn machine(defaults: &str, mkconfig: &str) -> Tree {
    Tree::new(&[
        ("etc/default/grub", defaults),
        ("boot/grub/grub.cfg", MENU),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n"),
        ("usr/bin/grub-mkconfig", mkconfig),
    ])
}

const DEBIAN: &str = "#!/bin/sh\nfor x in ${sysconfdir}/default/grub.d/*.cfg ; do :; done\n";
const GNU: &str = "#!/bin/sh\n# not default/grub.d\n. ${sysconfdir}/default/grub\n";

#[test]
fn a_fragment_that_sets_the_variable_anew_comes_before_ours() {
    let tree = machine("", DEBIAN);
    tree.write(
        "etc/default/grub.d/95-local.cfg",
        "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n",
    );
    tree.told(&SET).good();
    assert!(tree.exists("etc/default/grub.d/zz-vfio-bind.cfg") && !tree.exists(FRAGMENT));
    // One that is not understood may.
    let tree = machine("", DEBIAN);
    let text = "cat >/dev/null <<X\nX\nGRUB_CMDLINE_LINUX_DEFAULT=quiet\n";
    tree.write("etc/default/grub.d/95-local.cfg", text);
    tree.told(&SET).good();
    assert!(tree.exists("etc/default/grub.d/zz-vfio-bind.cfg"));
    // One that adds to it is no matter.
    let tree = machine("", DEBIAN);
    tree.write(
        "etc/default/grub.d/95-local.cfg",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT x\"\n",
    );
    tree.told(&SET).good();
    assert!(tree.exists(FRAGMENT));
    // Nothing sorts behind this one.
    let tree = machine("", DEBIAN);
    tree.write(
        "etc/default/grub.d/zzz.cfg",
        "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n",
    );
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("/etc/default/grub.d/zzz.cfg is read last"),
        "{}",
        ran.err
    );
    assert!(!tree.exists("var"));
}

#[test]
fn settings_that_make_no_menu_are_told_before_anything_is_written() {
    for (text, mkconfig, expected) in [
        (
            "A=b\nexit 0\n",
            DEBIAN,
            "/etc/default/grub:2: `exit 0` ends grub-mkconfig",
        ),
        (
            "A=b\nexit 0\n",
            GNU,
            "/etc/default/grub:2: `exit 0` ends grub-mkconfig",
        ),
        (
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\n",
            GNU,
            "a quote does not end",
        ),
        ("A=b \\\n", GNU, "the last line is to go on"),
        (
            "if true; then\nreturn\nfi\nreturn\n",
            GNU,
            "nothing behind that is read",
        ),
        ("cat <<X\nX\n", GNU, "a here-document"),
    ] {
        let tree = machine(text, mkconfig);
        let before = tree.files();
        let ran = tree.told(&SET).refused();
        assert!(ran.err.contains(expected), "{text:?}: {}", ran.err);
        assert_eq!(tree.files(), before);
    }
}

#[test]
fn dash_takes_no_plus_equals_and_bash_does() {
    let defaults = "GRUB_CMDLINE_LINUX_DEFAULT+=\" quiet\"\n";
    for (shell, good) in [("dash", false), ("bash", true)] {
        let tree = machine(defaults, DEBIAN);
        tree.write(&format!("usr/bin/{shell}"), "");
        symlink("usr/bin", tree.root.join("bin")).unwrap();
        symlink(shell, tree.root.join("usr/bin/sh")).unwrap();
        let ran = tree.told(&SET);
        assert_eq!(ran.exit == Some(0), good, "{shell}: {ran:?}");
        assert_eq!(ran.err.contains("+=` for a command"), !good, "{}", ran.err);
    }
}

#[test]
fn the_menu_that_is_booted_is_made() {
    // Red Hat before 9 on UEFI: the menu is beside GRUB on the EFI system partition.
    let efi = |text: &str| {
        let tree = machine("", GNU);
        tree.write("sys/firmware/efi/fw_platform_size", "64\n");
        tree.write("boot/efi/EFI/centos/grub.cfg", text);
        tree.told(&SET).good().run()
    };
    assert_eq!(
        efi(MENU),
        ["grub-mkconfig -o /boot/efi/EFI/centos/grub.cfg"]
    );
    // A pointer to the other one.
    assert_eq!(
        efi("search --fs-uuid 1\nconfigfile $prefix/grub.cfg\n"),
        ["grub-mkconfig -o /boot/grub/grub.cfg"]
    );
    let tree = machine("", GNU);
    tree.write("sys/firmware/efi/fw_platform_size", "64\n");
    tree.write("boot/efi/EFI/centos/grub.cfg", MENU);
    tree.write("boot/efi/EFI/fedora/grub.cfg", MENU);
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err
            .contains("/boot/efi/EFI/centos/grub.cfg, /boot/efi/EFI/fedora/grub.cfg"),
        "{}",
        ran.err
    );
}

#[test]
fn the_program_that_started_the_system_counts() {
    let tree = machine("", DEBIAN);
    tree.efi("LoaderInfo", "somebootd 3");
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("`somebootd 3` started this system"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains(WORDS), "{}", ran.err);
    tree.efi("LoaderInfo", "GRUB 2.12");
    tree.told(&SET).good();
    // A stub is no loader, and leaves it to what else is there.
    let tree = machine("", DEBIAN);
    tree.efi("LoaderInfo", "systemd-stub 256");
    tree.told(&SET).good();
}

#[test]
fn proxmox_that_started_by_grub_makes_the_menus_of_its_partitions_too() {
    let tree = machine("", DEBIAN);
    tree.write("etc/kernel/proxmox-boot-uuids", "A1B2-C3D4\n");
    tree.write("etc/kernel/cmdline", "root=x\n");
    tree.write("usr/sbin/proxmox-boot-tool", "");
    tree.write("usr/sbin/update-grub", "");
    let ran = tree.told(&SET).good();
    assert_eq!(ran.run(), ["update-grub", "proxmox-boot-tool refresh"]);
    assert_eq!(tree.read("etc/kernel/cmdline"), "root=x\n");
}

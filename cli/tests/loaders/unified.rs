//! Unified kernel images.

use crate::tree::{Tree, WORDS};

const SET: [&str; 2] = ["--words", WORDS];
const LINE: &str = "etc/kernel/cmdline";

fn mkinitcpio(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[
        ("proc/cmdline", "initrd=\\x root=UUID=1 rw quiet\n"),
        ("usr/bin/mkinitcpio", "#!/bin/bash\nversion='39.2'\n"),
        (
            "etc/mkinitcpio.d/linux.preset",
            "PRESETS=('default')\ndefault_uki=\"/efi/EFI/Linux/arch-linux.efi\"\n",
        ),
    ]);
    tree.efi("LoaderInfo", "systemd-boot 256");
    for (path, text) in files {
        tree.write(path, text);
    }
    tree
}

const DROP_IN: &str = "etc/cmdline.d/vfio-bind.conf";

#[test]
fn mkinitcpio_without_a_file_gets_the_whole_line() {
    let tree = mkinitcpio(&[]);
    tree.both_ways(
        &|tree| {
            assert_eq!(
                tree.read(DROP_IN),
                format!("root=UUID=1 rw quiet {WORDS}\n")
            )
        },
        &[DROP_IN],
    );
    // What is left keeps the words of the running line from coming back.
    assert_eq!(tree.read(DROP_IN), "root=UUID=1 rw quiet\n");
    let tree = mkinitcpio(&[("usr/lib/kernel/cmdline", "# v\nroot=UUID=1 vendor\n")]);
    tree.both_ways(
        &|tree| assert_eq!(tree.read(DROP_IN), format!("root=UUID=1 vendor {WORDS}\n")),
        &[],
    );
    // A line that has no root= while the system has one is not made.
    let tree = mkinitcpio(&[("proc/cmdline", "quiet\n")]);
    let ran = tree.told(&SET);
    assert!(ran.exit == Some(0) || ran.err.contains("root="), "{ran:?}");
}

#[test]
fn mkinitcpio_reads_what_its_version_and_its_presets_say() {
    // They add up since version 36.
    let tree = mkinitcpio(&[(LINE, "root=UUID=1\n")]);
    let (set, _) = tree.both_ways(
        &|tree| assert_eq!(tree.read(DROP_IN), format!("{WORDS}\n")),
        &[],
    );
    assert_eq!(set, ["mkinitcpio -P"]);
    let tree = mkinitcpio(&[
        (LINE, "root=UUID=1\n"),
        ("usr/bin/mkinitcpio", "#!/bin/bash\nversion=35.2\n"),
    ]);
    tree.both_ways(
        &|tree| assert_eq!(tree.read(LINE), format!("root=UUID=1 {WORDS}\n")),
        &[],
    );
    // A file that the preset names turns drop-ins off.
    let preset = "PRESETS=(default)\ndefault_uki=/efi/EFI/Linux/arch-linux.efi\ndefault_cmdline='/etc/own'\n";
    let tree = mkinitcpio(&[
        ("etc/mkinitcpio.d/linux.preset", preset),
        ("etc/cmdline.d/root.conf", "root=UUID=1\n"),
        ("etc/own", "root=UUID=1 own"),
    ]);
    tree.both_ways(
        &|tree| assert_eq!(tree.read("etc/own"), format!("root=UUID=1 own {WORDS}")),
        &[],
    );
    let preset =
        "default_uki=/efi/EFI/Linux/arch-linux.efi\ndefault_options='--cmdline /etc/own'\n";
    let tree = mkinitcpio(&[("etc/mkinitcpio.d/linux.preset", preset)]);
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err
            .contains("default_options gives mkinitcpio a command line of its own"),
        "{}",
        ran.err
    );
}

#[test]
fn the_image_that_booted_says_whose_entry_it_is() {
    let files = [
        ("etc/cmdline.d/root.conf", "root=UUID=1\n"),
        ("etc/machine-id", "m\n"),
        ("usr/bin/kernel-install", "#!/bin/sh\n"),
        ("usr/lib/modules/6.1.0/vmlinuz", ""),
        (
            "efi/loader/entries/m-6.1.0.conf",
            "version 6.1.0\nlinux /m\noptions root=UUID=1\n",
        ),
    ];
    let tree = mkinitcpio(&files);
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err
            .contains("more than one boot loader may be in use: kernel-install"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("--loader kernel-install"), "{}", ran.err);
    let named = tree
        .told(&["--words", WORDS, "--loader", "mkinitcpio-uki"])
        .good();
    assert!(named.out.contains("boot loader: mkinitcpio-uki"));
    tree.told(&["--undo"]).good();
    tree.efi("LoaderEntrySelected", "arch-linux.efi");
    assert!(
        tree.told(&SET)
            .good()
            .out
            .contains("boot loader: mkinitcpio-uki")
    );
    tree.told(&["--undo"]).good();
    tree.efi("LoaderEntrySelected", "m-6.1.0.conf");
    assert!(
        tree.told(&SET)
            .good()
            .out
            .contains("boot loader: kernel-install")
    );
}

#[test]
fn an_addon_is_built_where_unsigned_ones_are_read() {
    let tree = Tree::new(&[
        ("proc/cmdline", "root=UUID=1 quiet\n"),
        ("usr/bin/ukify", ""),
        ("efi/EFI/Linux/own.efi", "x"),
    ]);
    tree.efi("LoaderInfo", "systemd-boot 256");
    tree.efi("StubInfo", "systemd-stub 256.7");
    tree.tool("mkdir", "mkdir -p ./efi/loader/addons\n");
    tree.tool("rm", "rm -f ./efi/loader/addons/vfio-bind.addon.efi && rmdir -p efi/loader/addons 2>/dev/null; exit 0\n");
    // A PE file with one section, as `ukify build` makes it.
    tree.tool(
        "ukify",
        "line=${2#--cmdline=}; n=${#line}
{
printf 'MZ'; head -c 58 /dev/zero; printf '\\100\\0\\0\\0PE\\0\\0\\144\\206\\1\\0'; head -c 16 /dev/zero
printf '.cmdline'; printf \"\\\\$(printf %o $n)\\0\\0\\0\\0\\0\\0\\0\\\\$(printf %o $n)\\0\\0\\0\\200\\0\\0\\0\"; head -c 16 /dev/zero
printf %s \"$line\"
} >efi/loader/addons/vfio-bind.addon.efi\n",
    );
    let (set, undo) = tree.both_ways(
        &|tree| assert!(tree.exists("efi/loader/addons/vfio-bind.addon.efi")),
        &[],
    );
    assert_eq!(
        set,
        [
            "mkdir -p /efi/loader/addons".to_owned(),
            format!(
                "ukify build '--cmdline={WORDS}' --output=/efi/loader/addons/vfio-bind.addon.efi"
            ),
        ]
    );
    assert_eq!(undo, ["rm -f /efi/loader/addons/vfio-bind.addon.efi"]);
    tree.write(
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        [6, 0, 0, 0, 1],
    );
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("Secure Boot is on") && ran.err.contains("--secureboot-private-key"),
        "{}",
        ran.err
    );
    // A stub that reads none.
    tree.efi("StubInfo", "systemd-stub 253");
    assert!(
        tree.told(&SET)
            .refused()
            .err
            .contains("no boot loader that is known")
    );
}

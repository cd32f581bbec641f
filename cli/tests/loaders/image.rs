//! An image without the agent is built anew, ahead of what the boot loader's own tools copy of it.

use crate::initramfs;
use crate::tree::{Tree, WORDS};

const IMAGE: &str = "boot/initrd.img-6.12.1";
const AGENT: (&str, &str) = ("usr/bin/vfio-bind-agent", "x");
const SET: [&str; 2] = ["--words", WORDS];
const BUILD: &str = "update-initramfs -u -k all";

/// A Debian whose image is of these files, with our hook in the system.
fn debian(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[
        ("etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n"),
        ("proc/sys/kernel/osrelease", "6.12.1\n"),
        (
            "usr/sbin/grub-mkconfig",
            "#!/bin/sh\nfor x in ${sysconfdir}/default/grub.d/*.cfg ; do :; done\n",
        ),
        ("usr/sbin/update-grub", "#!/bin/sh\n"),
        ("usr/sbin/update-initramfs", "#!/bin/sh\n"),
        ("usr/share/initramfs-tools/hooks/vfio-bind", "#!/bin/sh\n"),
        (
            "boot/grub/grub.cfg",
            "menuentry 'Linux' {\n\tlinux /vmlinuz root=UUID=1 ro quiet\n}\n",
        ),
    ]);
    tree.write(IMAGE, initramfs::image(files));
    tree.write("new.img", initramfs::image(&[AGENT]));
    tree.tool(
        "update-grub",
        &format!(
            "sed -i 's/ vfio.*//' boot/grub/grub.cfg\n\
             if [ -e etc/default/grub.d/90-vfio-bind.cfg ]; then\n\
             sed -i 's/quiet$/quiet {WORDS}/' boot/grub/grub.cfg\nfi\n"
        ),
    );
    tree.tool(
        "update-initramfs",
        &format!("echo \"$*\" >>asked; cp new.img {IMAGE}\n"),
    );
    tree
}

#[test]
fn an_image_without_the_agent_is_built() {
    let tree = debian(&[]);
    let ran = tree.with_tools(&SET).good();
    assert_eq!(ran.run(), [BUILD, "update-grub"]);
    assert_eq!(tree.read("asked"), "-u -k all\n");
    assert!(!ran.out.contains("without the agent"), "{}", ran.out);
    let again = tree.with_tools(&SET).good();
    assert!(again.out.contains("set up already"), "{}", again.out);
    // What has no words does nothing: it stays.
    let undo = tree.with_tools(&["--undo"]).good();
    assert_eq!(undo.run(), ["update-grub"]);
}

#[test]
fn one_that_has_it_is_left_as_it_is() {
    let tree = debian(&[AGENT]);
    assert_eq!(tree.with_tools(&SET).good().run(), ["update-grub"]);
    assert!(!tree.exists("asked"));
}

#[test]
fn nothing_is_built_that_would_not_get_it_or_that_could_not_be_read() {
    let tree = debian(&[]);
    tree.remove("usr/share/initramfs-tools/hooks/vfio-bind");
    assert_eq!(tree.with_tools(&SET).good().run(), ["update-grub"]);

    let tree = debian(&[]);
    tree.write(IMAGE, "what is no archive");
    assert_eq!(tree.with_tools(&SET).good().run(), ["update-grub"]);

    let tree = debian(&[]);
    tree.write("run/ostree-booted", "");
    let ran = tree.told(&SET);
    assert!(!ran.run().contains(&BUILD.to_owned()), "{ran:?}");
}

#[test]
fn words_that_are_set_are_no_reason_to_leave_it_without() {
    let tree = debian(&[AGENT]);
    tree.with_tools(&SET).good();
    tree.write(IMAGE, initramfs::image(&[]));
    assert!(
        tree.with_tools(&SET)
            .good()
            .run()
            .contains(&BUILD.to_owned())
    );
    let again = tree.with_tools(&SET).good();
    assert!(again.out.contains("set up already"), "{}", again.out);
}

#[test]
fn one_that_comes_out_without_it_is_told() {
    let tree = debian(&[]);
    tree.write("new.img", initramfs::image(&[]));
    let ran = tree.with_tools(&SET).good();
    assert!(
        ran.out
            .contains("was built anew and is without the agent all the same"),
        "{}",
        ran.out
    );
}

#[test]
fn a_build_that_fails_leaves_all_as_it_was() {
    let tree = debian(&[]);
    tree.tool("update-initramfs", "exit 1\n");
    let before = tree.files();
    let ran = tree.with_tools(&SET).refused();
    assert!(
        ran.err.contains("everything is as it was before"),
        "{ran:?}"
    );
    assert_eq!(tree.files(), before);
}

//! Boot loaders whose words are in a file of their own, or of the kernel's: /etc/kernel/cmdline and the like.

use crate::tree::{Tree, WORDS};

const SET: [&str; 2] = ["--words", WORDS];
const LINE: &str = "etc/kernel/cmdline";

fn systemd_boot(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[("proc/cmdline", "initrd=\\x\\initrd root=UUID=1 ro quiet\n")]);
    tree.efi("LoaderInfo", "systemd-boot 255.4");
    for (path, text) in files {
        tree.write(path, text);
    }
    tree
}

#[test]
fn proxmox_reads_the_first_line_alone() {
    let tree = systemd_boot(&[
        (
            LINE,
            "root=ZFS=rpool/ROOT/pve-1 boot=zfs  \nintel_iommu=on\n",
        ),
        ("etc/kernel/proxmox-boot-uuids", "A1B2-C3D4\n"),
        ("usr/sbin/proxmox-boot-tool", ""),
        ("usr/bin/kernel-install", ""),
    ]);
    let set = tree.told(&SET).good();
    assert!(
        set.out.contains("reads its first line alone"),
        "{}",
        set.out
    );
    assert_eq!(
        tree.read(LINE),
        format!("root=ZFS=rpool/ROOT/pve-1 boot=zfs {WORDS}  \nintel_iommu=on\n")
    );
    tree.told(&["--undo"]).good();
    for (text, expected) in [
        ("# mine\nroot=x\n", "line 1 of /etc/kernel/cmdline"),
        ("quiet\nroot=x\n", "has no root="),
        ("", "has no line with words"),
    ] {
        tree.write(LINE, text);
        let ran = tree.told(&SET).refused();
        assert!(ran.err.contains(expected), "{text:?}: {}", ran.err);
        assert_eq!(tree.read(LINE), text);
    }
}

/// kernel-install that makes an entry of the line, and of the running one where there is none, as systemd 252's
/// 90-loaderentry does.
const KERNEL_INSTALL: &str = "line=proc/cmdline
[ -f etc/kernel/cmdline ] && line=etc/kernel/cmdline
printf 'title x\\nversion 6.1.0\\nlinux /m/6.1.0/linux\\noptions %s systemd.machine_id=m\\n' \"$(tr -s '\\n' ' ' <$line)\" >boot/loader/entries/m-6.1.0.conf
";

fn kernel_install(line: Option<&str>, entry: &str) -> Tree {
    let tree = systemd_boot(&[
        ("etc/machine-id", "m\n"),
        ("usr/bin/kernel-install", "#!/bin/sh\n"),
        ("usr/lib/modules/6.1.0/vmlinuz", ""),
        ("usr/lib/modules/6.2.0/vmlinuz", ""),
    ]);
    tree.write(
        "boot/loader/entries/m-6.1.0.conf",
        format!(
            "title x\nversion 6.1.0\nlinux /m/6.1.0/linux\noptions {entry} systemd.machine_id=m\n"
        ),
    );
    if let Some(line) = line {
        tree.write(LINE, line);
    }
    tree.tool("kernel-install", KERNEL_INSTALL);
    tree
}

#[test]
fn kernel_install_reads_all_lines_but_a_comment_is_no_place_for_words() {
    let tree = kernel_install(Some("# mine\nroot=UUID=1 ro\nquiet"), "root=UUID=1 ro");
    let (set, undo) = tree.both_ways(
        &|tree| {
            assert_eq!(
                tree.read(LINE),
                format!("# mine\nroot=UUID=1 ro {WORDS}\nquiet")
            )
        },
        &["boot/loader/entries/m-6.1.0.conf"],
    );
    // One kernel has an entry, and this one cannot do all.
    assert_eq!(
        set,
        ["kernel-install add 6.1.0 /usr/lib/modules/6.1.0/vmlinuz"]
    );
    assert_eq!(undo, set);
    tree.write("usr/bin/kernel-install", "\0ELF add-all\0");
    assert_eq!(tree.told(&SET).good().run(), ["kernel-install add-all"]);
}

#[test]
fn kernel_install_that_would_pass_over_a_kernel_in_boot_is_told_of_it() {
    // A version may have a `+` of its own, and a name a count of tries behind it.
    for version in ["6.1.0", "6.12.118+deb13-amd64"] {
        for file in ["loader/entries/m-VERSION", "EFI/Linux/m-VERSION"] {
            for tries in ["", "+3", "+2-1"] {
                let tree = kernel_install(Some("root=UUID=1 ro"), "root=UUID=1 ro");
                tree.remove("usr/lib/modules/6.1.0/vmlinuz");
                tree.remove("usr/lib/modules/6.2.0/vmlinuz");
                tree.write("usr/bin/kernel-install", "\0ELF add-all\0");
                tree.write(&format!("usr/lib/modules/{version}/modules.dep"), "");
                tree.write(&format!("boot/vmlinuz-{version}"), "");
                let text = tree.read("boot/loader/entries/m-6.1.0.conf");
                tree.remove("boot/loader/entries/m-6.1.0.conf");
                let file = format!("boot/{}{tries}", file.replace("VERSION", version));
                let end = if file.contains("EFI") { "efi" } else { "conf" };
                tree.write(&format!("{file}.{end}"), text);
                assert_eq!(
                    tree.told(&SET).good().run(),
                    [format!(
                        "kernel-install add {version} /boot/vmlinuz-{version}"
                    )],
                    "{file}"
                );
            }
        }
    }
}

#[test]
fn kernel_install_without_a_file_gets_one_that_stays_without_the_words() {
    let tree = kernel_install(None, "root=UUID=1 ro quiet");
    let entry = "boot/loader/entries/m-6.1.0.conf";
    tree.both_ways(
        &|tree| {
            assert_eq!(tree.read(LINE), format!("root=UUID=1 ro quiet {WORDS}\n"));
            assert!(tree.read(entry).contains(WORDS));
        },
        &[LINE, entry],
    );
    assert_eq!(tree.read(LINE), "root=UUID=1 ro quiet\n");
    // Without root= nothing is made.
    let tree = kernel_install(None, "quiet");
    let ran = tree.told(&SET).refused();
    assert!(ran.err.contains("no root= in `quiet`"), "{}", ran.err);
    assert!(!tree.exists(LINE) && !tree.exists("var"));
    // What the vendor says comes before the entry's.
    let tree = kernel_install(None, "root=UUID=1");
    tree.write("usr/lib/kernel/cmdline", "# vendor\nroot=UUID=1 splash\n");
    tree.told(&SET).good();
    assert_eq!(tree.read(LINE), format!("root=UUID=1 splash {WORDS}\n"));
}

#[test]
fn an_entry_that_counts_its_tries_may_stay_beside_the_new_one() {
    let tree = kernel_install(Some("root=UUID=1 ro\n"), "root=UUID=1 ro");
    let old = tree.read("boot/loader/entries/m-6.1.0.conf");
    tree.remove("boot/loader/entries/m-6.1.0.conf");
    tree.write("boot/loader/entries/m-6.1.0+3.conf", old);
    let ran = tree.with_tools(&SET).good();
    assert!(
        ran.out.contains("`m-6.1.0+3.conf` is without the words"),
        "{}",
        ran.out
    );
    assert!(
        tree.read("boot/loader/entries/m-6.1.0.conf")
            .contains(WORDS)
    );
    tree.with_tools(&["--undo"]).good();
    // It is made with a count again where there is to be one.
    tree.remove("boot/loader/entries/m-6.1.0.conf");
    tree.write("etc/kernel/tries", "3\n");
    tree.tool(
        "kernel-install",
        &KERNEL_INSTALL.replace("m-6.1.0.conf", "m-6.1.0+3.conf"),
    );
    tree.with_tools(&SET).good();
}

#[test]
fn an_entry_that_lost_its_root_is_taken_back() {
    let tree = kernel_install(Some("root=UUID=1 ro\n"), "root=UUID=1 ro");
    tree.tool("kernel-install", &format!("if grep -q vfio etc/kernel/cmdline; then echo '{WORDS}' >etc/x; printf 'version 6.1.0\\nlinux /m\\noptions {WORDS}\\n' >boot/loader/entries/m-6.1.0.conf; exit 0; fi\nrm -f etc/x\n{KERNEL_INSTALL}"));
    let ran = tree.with_tools(&SET).refused();
    assert!(ran.err.contains("has lost its root="), "{}", ran.err);
    assert!(!tree.read(LINE).contains("vfio") && !tree.exists("etc/x"));
    assert!(
        tree.read("boot/loader/entries/m-6.1.0.conf")
            .contains("root=UUID=1")
    );
}

#[test]
fn sdbootutil_gets_a_fragment_unless_a_file_has_no_end() {
    let entry = "boot/efi/loader/entries/opensuse-6.1.0-1.conf";
    let tree = systemd_boot(&[
        (LINE, "root=UUID=1 quiet\n"),
        ("usr/bin/sdbootutil", ""),
        (
            entry,
            "title x\nversion 6.1.0\nlinux /x/linux\noptions root=UUID=1 quiet\n",
        ),
    ]);
    tree.tool(
        "sdbootutil",
        "all=''; for x in etc/kernel/cmdline etc/kernel/cmdline.d/*; do [ -e $x ] || continue; while read -r l; do all=\"$all$l \"; done <$x; done
printf 'title x\\nversion 6.1.0\\nlinux /x/linux\\noptions %s\\n' \"${all% }\" >boot/efi/loader/entries/opensuse-6.1.0-1.conf\n",
    );
    let (set, _) = tree.both_ways(&|tree| assert!(tree.read(entry).contains(WORDS)), &[]);
    assert_eq!(set, ["sdbootutil update-all-entries"]);
    for path in [LINE, "etc/kernel/cmdline.d/10-own.conf"] {
        let old = if path == LINE {
            Some(tree.read(path))
        } else {
            None
        };
        tree.write(path, "root=UUID=1");
        let ran = tree.told(&SET).refused();
        assert!(
            ran.err.contains("has no newline at its end")
                && ran.err.contains(&format!("echo >>/{path}")),
            "{}",
            ran.err
        );
        match old {
            Some(old) => tree.write(path, old),
            None => tree.remove(path),
        }
    }
    tree.write("etc/kernel/cmdline.d/own.bak", "x\n");
    let ran = tree.told(&SET).good();
    assert!(
        ran.out.contains("reads every file there, backups too"),
        "{}",
        ran.out
    );
    // The same machine with GRUB that reads the entries.
    tree.told(&["--undo"]).good();
    tree.efi("LoaderInfo", "GRUB 2.12");
    tree.write("boot/grub2/grub.cfg", "blscfg\n");
    tree.write("usr/sbin/grub2-mkconfig", "");
    assert!(
        tree.told(&SET)
            .good()
            .out
            .contains("boot loader: sdbootutil")
    );
}

#[test]
fn sdboot_manage_gets_a_line_unless_it_would_delete_entries() {
    let files = [
        (
            "etc/sdboot-manage.conf",
            "#LINUX_OPTIONS=\"\"\nLINUX_OPTIONS='quiet'\n",
        ),
        ("usr/bin/sdboot-manage", ""),
        ("usr/bin/kernel-install", ""),
        (
            "boot/loader/entries/linux-cachyos.conf",
            "title x\nlinux /vmlinuz-linux-cachyos\noptions root=UUID=1 quiet\n",
        ),
    ];
    let tree = systemd_boot(&files);
    tree.tool(
        "sdboot-manage",
        ". ./etc/sdboot-manage.conf
printf 'title x\\nlinux /vmlinuz-linux-cachyos\\noptions root=UUID=1 %s\\n' \"$LINUX_OPTIONS\" >boot/loader/entries/linux-cachyos.conf\n",
    );
    let (set, _) = tree.both_ways(
        &|tree| {
            assert!(
                tree.read("boot/loader/entries/linux-cachyos.conf")
                    .contains(&format!("quiet {WORDS}"))
            )
        },
        &[],
    );
    assert_eq!(set, ["sdboot-manage gen"]);
    tree.write(
        "boot/loader/entries/windows.conf",
        "title Windows\nefi /EFI/x.efi\nlinux /other/linux\n",
    );
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("deletes boot entries") && ran.err.contains("windows.conf"),
        "{}",
        ran.err
    );
    tree.write("etc/sdboot-manage.conf", "PRESERVE_FOREIGN=\"yes\"\n");
    tree.told(&SET).good();
}

#[test]
fn clear_linux_reads_fragments_unless_there_is_a_file() {
    let entry = "boot/loader/entries/Clear-linux-native-6.1.0.conf";
    let files = [
        ("usr/bin/clr-boot-manager", ""),
        (
            entry,
            "title x\nlinux /EFI/org.clearlinux/kernel\noptions root=UUID=1 quiet\n",
        ),
    ];
    let tree = systemd_boot(&files);
    tree.tool(
        "clr-boot-manager",
        "if [ -f etc/kernel/cmdline ]; then all=$(cat etc/kernel/cmdline); else all='root=UUID=1 quiet'; for x in etc/kernel/cmdline.d/*.conf; do [ -e $x ] && all=\"$all $(cat $x)\"; done; fi
printf 'title x\\nlinux /EFI/org.clearlinux/kernel\\noptions %s\\n' \"$all\" >boot/loader/entries/Clear-linux-native-6.1.0.conf\n",
    );
    let own = "etc/kernel/cmdline.d/vfio-bind.conf";
    let (set, _) = tree.both_ways(
        &|tree| assert_eq!(tree.read(own), format!("{WORDS}\n")),
        &[],
    );
    assert_eq!(set, ["clr-boot-manager update"]);
    tree.write(LINE, "root=UUID=1 own\n");
    tree.tool("clr-boot-manager", "printf 'title x\\nlinux /k\\noptions %s\\n' \"$(cat etc/kernel/cmdline)\" >boot/loader/entries/Clear-linux-native-6.1.0.conf\n");
    tree.both_ways(
        &|tree| assert_eq!(tree.read(LINE), format!("root=UUID=1 own {WORDS}\n")),
        &[entry],
    );
    assert!(!tree.exists(own));
}

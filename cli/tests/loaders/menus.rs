//! Boot loaders with menus of their own, and those that are told about.

use crate::tree::{Tree, WORDS, case};

const SET: [&str; 2] = ["--words", WORDS];

/// Adds words that are not there, and shuffles what is left when it takes some out, as a Python set does.
const KERNELSTUB: &str = "f=etc/kernelstub/configuration
old=$(tr -d '\\n' <$f | sed 's/.*\\[//; s/\\].*//; s/[\",]/ /g')
case $1 in
-a) new=$old; for w in $2; do case \" $new \" in *\" $w \"*) ;; *) new=\"$new $w\";; esac; done;;
-d) new=; for w in $old; do case \" $2 \" in *\" $w \"*) ;; *) new=\"$w $new\";; esac; done;;
esac
list=; for w in $new; do list=\"$list${list:+, }\\\"$w\\\"\"; done
printf '{\"user\": {\"kernel_options\": [%s]}}' \"$list\" >$f
printf 'title Pop\\nlinux /x\\noptions root=UUID=1 ro %s\\n' \"$(echo $new)\" >boot/efi/loader/entries/Pop_OS-current.conf
";

#[test]
fn kernelstub_gets_back_the_order_and_the_words_of_its_owner() {
    let tree = Tree::new(&[
        ("proc/cmdline", "initrd=\\EFI\\Pop root=UUID=1 ro quiet\n"),
        (
            "etc/kernelstub/configuration",
            "{\n  \"user\": {\"kernel_options\": [\"quiet\", \"vfio.group=strict\", \"splash\"]}\n}\n",
        ),
        ("usr/bin/kernelstub", ""),
        ("usr/bin/kernel-install", ""),
        (
            "boot/efi/loader/entries/Pop_OS-current.conf",
            "title Pop\nlinux /x\noptions root=UUID=1 ro quiet vfio.group=strict splash\n",
        ),
    ]);
    tree.efi("LoaderInfo", "systemd-boot 249");
    tree.tool("kernelstub", KERNELSTUB);
    let (set, undo) = tree.both_ways(
        &|tree| {
            assert!(
                tree.read("boot/efi/loader/entries/Pop_OS-current.conf")
                    .contains("vfio.bind=0000:42:00.0")
            );
        },
        &[],
    );
    assert_eq!(set, ["kernelstub -a vfio.bind=0000:42:00.0"]);
    assert_eq!(undo, ["kernelstub -d vfio.bind=0000:42:00.0"]);
    tree.write("etc/kernelstub/configuration", "{");
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("is not understood") && ran.err.contains("kernelstub -p"),
        "{}",
        ran.err
    );
}

#[test]
fn limine_takes_the_layer_that_counts() {
    // `=` in the file behind the drop-ins would discard ours.
    let tree = case("09-limine-entry-tool");
    let text = "KERNEL_CMDLINE[default]=\"quiet root=UUID=1\"";
    tree.write("etc/default/limine", text);
    tree.told(&SET).good();
    assert!(!tree.exists("etc/limine-entry-tool.d/90-vfio-bind.conf"));
    let set = tree.read("etc/default/limine");
    assert!(
        set.starts_with(text)
            && set.contains(&format!("\nKERNEL_CMDLINE[default]+=\" {WORDS} \"\n")),
        "{set}"
    );
    tree.told(&["--undo"]).good();
    assert_eq!(tree.read("etc/default/limine"), text);
    // A drop-in behind ours.
    let tree = case("09-limine-entry-tool");
    tree.write(
        "etc/limine-entry-tool.d/99-own.conf",
        "KERNEL_CMDLINE[default]=\"x\"\n",
    );
    assert!(
        tree.told(&SET)
            .refused()
            .err
            .contains("99-own.conf is read behind ours")
    );
    // No layer: ours alone would be the whole line.
    let tree = case("09-limine-entry-tool");
    tree.write(
        "etc/default/limine",
        "ESP_PATH=\"/boot\"\n#KERNEL_CMDLINE[default]+=\"x\"\n",
    );
    assert!(tree.told(&SET).refused().err.contains("without root="));
    // Read back.
    let tree = case("09-limine-entry-tool");
    let before = tree.files();
    tree.tool("limine-update", "exit 0\n");
    assert!(tree.with_tools(&SET).refused().err.contains("`CachyOS`") || tree.files() == before);
    assert_eq!(tree.files(), before);
    // By hand.
    tree.remove("usr/bin/limine-entry-tool");
    tree.remove("usr/bin/limine-update");
    let ran = tree.told(&SET).refused();
    assert!(ran.err.contains("`cmdline:` line"), "{}", ran.err);
}

#[test]
fn refind_lines_are_quoted_texts() {
    for (text, expected) in [
        (
            "# c\n\n\"a\"\t\"root=1 \"\n\"b\" \"x\"",
            Some(format!("# c\n\n\"a\"\t\"root=1 {WORDS} \"\n\"b\" \"x\"")),
        ),
        (
            "\"a\" \"o=\"\"q\"\"\" # c\n",
            Some(format!("\"a\" \"o=\"\"q\"\" {WORDS}\" # c\n")),
        ),
        ("\"a\" \"\"\n", Some(format!("\"a\" \"{WORDS}\"\n"))),
        ("a \"root=1\"\n", None),
        ("\"a\" root=1\n", None),
        ("\"a\" \"root=1\n", None),
        ("\"a\"\n", None),
        ("", None),
    ] {
        let tree = case("08-refind");
        tree.write("boot/refind_linux.conf", text);
        let ran = tree.told(&SET);
        match expected {
            Some(expected) => {
                ran.good();
                assert_eq!(tree.read("boot/refind_linux.conf"), expected);
                tree.told(&["--undo"]).good();
            }
            None => assert!(ran.refused().err.contains("second text of its first line")),
        }
        assert_eq!(tree.read("boot/refind_linux.conf"), text);
    }
}

#[test]
fn zipl_sections_are_read_as_zipl_does() {
    let head = "[defaultboot]\ndefault = linux\n[linux]\nimage=/boot/v\n";
    for (text, expected) in [
        (format!("{head}parameters=root=1 # x\n"), Ok(format!("{head}parameters=root=1 # x {WORDS}\n"))),
        (format!("{head}  parameters = 'root=1'"), Ok(format!("{head}  parameters = 'root=1 {WORDS}'"))),
        (format!("{head}parameters=\"root=1\" # x\n"), Err("behind the closing quote")),
        (format!("{head}parameters=\"root=1\n"), Err("behind the closing quote")),
        (format!("{head}parameters=\"a\"\nparameters=\"b\"\n"), Err("2 lines of parameters")),
        (format!("{head}#parameters=\"a\"\n"), Err("0 lines of parameters")),
        ("[linux]\nimage=/v\nparameters=\"a\"\n".to_owned(), Err("does not say which section boots")),
        (
            "[defaultboot]\ndefaultmenu=menu1\n:menu1\ndefault=2\n1=rescue\n2=linux\n[linux]\nimage=/v\nparameters=\"a\"\n".to_owned(),
            Ok(format!("[defaultboot]\ndefaultmenu=menu1\n:menu1\ndefault=2\n1=rescue\n2=linux\n[linux]\nimage=/v\nparameters=\"a {WORDS}\"\n")),
        ),
    ] {
        let tree = case("11-zipl-conf");
        tree.write("etc/zipl.conf", &text);
        let ran = tree.told(&SET);
        match expected {
            Ok(expected) => {
                let ran = ran.good();
                assert_eq!(tree.read("etc/zipl.conf"), expected);
                assert_eq!(ran.run(), ["zipl"]);
                assert!(ran.out.contains("lower-case"));
                tree.told(&["--undo"]).good();
            }
            Err(expected) => {
                let ran = ran.refused();
                assert!(ran.err.contains(expected), "{text}: {}", ran.err);
            }
        }
        assert_eq!(tree.read("etc/zipl.conf"), text);
    }
    let tree = case("11-zipl-conf");
    tree.write("run/zipl/zipl.conf", head);
    assert!(
        tree.told(&SET)
            .refused()
            .err
            .contains("zipl reads /run/zipl/zipl.conf")
    );
}

fn u_boot(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[
        ("proc/cmdline", "root=LABEL=x ro quiet\n"),
        ("usr/sbin/u-boot-update", ""),
        (
            "boot/extlinux/extlinux.conf",
            "default l0\nlabel l0r\n\tappend root=LABEL=x ro single\nlabel l0\n\tappend root=LABEL=x ro quiet\n",
        ),
    ]);
    for (path, text) in files {
        tree.write(path, text);
    }
    // As u-boot-update 4.2 reads its settings.
    tree.tool(
        "u-boot-update",
        "set -e
[ -e etc/default/u-boot ] && . ./etc/default/u-boot
for f in ./usr/share/u-boot-menu/conf.d/*.conf ./etc/u-boot-menu/conf.d/*.conf; do [ -e \"$f\" ] && . \"$f\"; done
if [ -z \"$U_BOOT_PARAMETERS\" ] && [ -f etc/kernel/cmdline ]; then
  U_BOOT_PARAMETERS=$(sed -e 's/root=[^ ]*//' -e 's/^ *//' etc/kernel/cmdline)
  [ -n \"$U_BOOT_ROOT\" ] || U_BOOT_ROOT=$(sed -re 's/.*(root=[^ ]*).*/\\1/' etc/kernel/cmdline)
fi
p=${U_BOOT_PARAMETERS:-ro quiet}
r=${U_BOOT_ROOT:-root=LABEL=x}
printf 'default l0\\nlabel l0r\\n\\tappend %s %s single\\nlabel l0\\n\\tappend %s %s\\n' \"$r\" \"$(echo \"$p\" | sed 's| quiet||')\" \"$r\" \"$p\" >boot/extlinux/extlinux.conf
",
    );
    std::process::Command::new(tree.tools.join("u-boot-update"))
        .current_dir(&tree.root)
        .status()
        .unwrap();
    tree
}

#[test]
fn u_boot_menu_keeps_what_a_fragment_alone_would_drop() {
    let menu = "boot/extlinux/extlinux.conf";
    for (files, expected) in [
        (vec![], format!("append root=LABEL=x ro quiet {WORDS}")),
        (
            vec![(
                "etc/default/u-boot",
                "#U_BOOT_PARAMETERS=\"a\"\nU_BOOT_PARAMETERS=\"own\"\n",
            )],
            format!("append root=LABEL=x own {WORDS}"),
        ),
        (
            vec![("etc/kernel/cmdline", "rw root=LABEL=k splash\n")],
            format!("append root=LABEL=k rw splash {WORDS}"),
        ),
        (
            vec![
                ("etc/kernel/cmdline", "root=LABEL=k rw\n"),
                ("etc/default/u-boot", "U_BOOT_ROOT=root=LABEL=d\n"),
            ],
            format!("append root=LABEL=d rw {WORDS}"),
        ),
        (
            vec![("etc/u-boot-menu/conf.d/a.conf", "U_BOOT_PARAMETERS=a\n")],
            format!("append root=LABEL=x a {WORDS}"),
        ),
    ] {
        let tree = u_boot(&files);
        let (set, _) = tree.both_ways(
            &|tree| {
                assert!(
                    tree.read(menu).lines().any(|line| line.trim() == expected),
                    "{expected}: {}",
                    tree.read(menu)
                )
            },
            &[],
        );
        assert_eq!(set, ["u-boot-update"]);
    }
    for (path, text, expected) in [
        (
            "etc/u-boot-menu/conf.d/zz.conf",
            "U_BOOT_PARAMETERS=a\n",
            "zz.conf is read behind ours",
        ),
        (
            "etc/default/u-boot",
            "U_BOOT_UPDATE=false\n",
            "switched off",
        ),
        (
            "etc/default/u-boot",
            "cat >/dev/null <<X\nX\nU_BOOT_PARAMETERS=own\n",
            "/etc/default/u-boot:1: a here-document",
        ),
        (
            "etc/kernel/cmdline",
            "root=x a=\"b c\"\n",
            "has quotes in it",
        ),
    ] {
        let tree = u_boot(&[(path, text)]);
        let ran = tree.told(&SET).refused();
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
}

#[test]
fn alpine_gets_a_line_that_its_shell_reads() {
    let tree = Tree::new(&[
        ("proc/cmdline", "BOOT_IMAGE=vmlinuz-lts root=UUID=1 quiet\n"),
        (
            "etc/update-extlinux.conf",
            "overwrite=1\ndefault_kernel_opts=\"quiet rootfstype=ext4\"\n",
        ),
        ("sbin/update-extlinux", ""),
        (
            "boot/extlinux.conf",
            "DEFAULT lts\nLABEL lts\n  APPEND root=UUID=1 quiet rootfstype=ext4\n",
        ),
    ]);
    tree.tool("update-extlinux", ". ./etc/update-extlinux.conf; printf 'DEFAULT lts\\nLABEL lts\\n  APPEND root=UUID=1 %s\\n' \"$default_kernel_opts\" >boot/extlinux.conf\n");
    let (set, _) = tree.both_ways(
        &|tree| {
            assert!(
                tree.read("boot/extlinux.conf")
                    .contains(&format!("ext4 {WORDS}"))
            )
        },
        &[],
    );
    assert_eq!(set, ["update-extlinux"]);
    tree.write("etc/update-extlinux.conf", "overwrite=0\n");
    assert!(tree.told(&SET).refused().err.contains("overwrite is not 1"));
}

#[test]
fn the_raspberry_pi_reads_the_first_line_of_the_file_that_it_is_told() {
    for (config, file) in [
        ("dtparam=x\n", "boot/firmware/cmdline.txt"),
        ("cmdline=own.txt\n", "boot/firmware/own.txt"),
    ] {
        let tree = Tree::new(&[
            (
                "proc/cmdline",
                "coherent_pool=1M root=PARTUUID=1 rootwait\n",
            ),
            ("boot/firmware/config.txt", config),
            (file, "console=tty1 root=PARTUUID=1 rootwait\nmine\n"),
            ("usr/sbin/flash-kernel", ""),
            ("etc/default/flash-kernel", ""),
        ]);
        let (set, _) = tree.both_ways(
            &|tree| {
                assert_eq!(
                    tree.read(file),
                    format!("console=tty1 root=PARTUUID=1 rootwait {WORDS}\nmine\n")
                );
            },
            &[],
        );
        assert!(set.is_empty());
    }
}

#[test]
fn flash_kernel_gets_a_line_that_its_shell_reads() {
    let tree = Tree::new(&[
        ("proc/cmdline", "root=UUID=1 quiet\n"),
        ("usr/sbin/flash-kernel", ""),
        (
            "etc/default/flash-kernel",
            "LINUX_KERNEL_CMDLINE=\"quiet\"\nLINUX_KERNEL_CMDLINE_DEFAULTS=\"\"\n",
        ),
    ]);
    tree.tool(
        "flash-kernel",
        ". ./etc/default/flash-kernel; echo \"$LINUX_KERNEL_CMDLINE\" >boot.scr\n",
    );
    tree.write("boot.scr", "quiet\n");
    let (set, _) = tree.both_ways(
        &|tree| assert_eq!(tree.read("boot.scr"), format!("quiet {WORDS}\n")),
        &[],
    );
    assert_eq!(set, ["flash-kernel"]);
}

#[test]
fn what_is_done_by_hand_is_told() {
    for (files, expected) in [
        (
            vec![
                ("etc/unraid-version", "version=\"7.0\"\n"),
                ("boot/config/vfio-pci.cfg", "BIND=0000:42:00.0|10de:1b80\n"),
                ("boot/syslinux/syslinux.cfg", ""),
            ],
            vec!["unraid", "Syslinux Configuration", "vfio-pci.cfg"],
        ),
        (
            vec![("boot/extlinux/extlinux.conf", "default l\n")],
            vec!["`append` line", "/boot/extlinux/extlinux.conf"],
        ),
        (
            vec![(
                "etc/default/efibootmgr-kernel-hook",
                "MODIFY_EFI_ENTRIES=1\nOPTIONS=\"root=x\"\n",
            )],
            vec!["OPTIONS", "xbps-reconfigure"],
        ),
        (
            vec![
                ("etc/zfsbootmenu/config.yaml", ""),
                ("proc/cmdline", "root=zfs:zroot/ROOT/void quiet\n"),
            ],
            vec!["zfs set org.zfsbootmenu:commandline=", "zroot/ROOT/void"],
        ),
        (
            vec![],
            vec![
                "no boot loader that is known",
                "kernel command line where it is kept",
            ],
        ),
    ] {
        let tree = Tree::new(&[("proc/cmdline", "root=x quiet\n")]);
        for (path, text) in &files {
            tree.write(path, text);
        }
        let before = tree.files();
        let ran = tree.told(&SET).refused();
        for piece in expected.iter().chain(&["vfio.bind=0000:42:00.0"]) {
            assert!(
                ran.err.to_lowercase().contains(&piece.to_lowercase()),
                "{piece}: {}",
                ran.err
            );
        }
        assert_eq!(tree.files(), before);
        assert!(!tree.exists("var"));
    }
}

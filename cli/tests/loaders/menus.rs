//! Boot loaders with menus of their own, and those that are told about.

use std::path::Path;

use crate::tree::{Tree, WORDS, copy};

const SET: [&str; 2] = ["--words", WORDS];

fn case(name: &str) -> Tree {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loaders/cases");
    let tree = Tree::copy(&cases.join(name).join("root"));
    if cases.join(name).join("tool").exists() {
        copy(&cases.join(name).join("tool"), &tree.tools);
    }
    tree
}

/// Sets and undoes, with the words on the running line in between; every file is as it was.
#[track_caller]
fn both_ways(tree: &Tree, check: &dyn Fn(&Tree)) -> (Vec<String>, Vec<String>) {
    let before = tree.files();
    let set = tree.with_tools(&SET).good();
    check(tree);
    let line = tree.read("proc/cmdline");
    tree.booted(WORDS);
    let undo = tree.with_tools(&["--undo"]).good();
    tree.write("proc/cmdline", line);
    assert_eq!(tree.files(), before);
    (set.run(), undo.run())
}

fn fedora() -> Tree {
    case("04-fedora-bls")
}

const ENTRY: &str =
    "boot/loader/entries/0f1e2d3c4b5a69788796a5b4c3d2e1f0-6.11.5-300.fc41.x86_64.conf";

#[test]
fn grubby_gives_back_the_owners_words_of_the_same_name() {
    let tree = fedora();
    tree.write(
        ENTRY,
        tree.read(ENTRY)
            .replace("rhgb", "vfio.bind=0000:01:00.0 rhgb"),
    );
    let (set, undo) = both_ways(&tree, &|tree| {
        let entry = tree.read(ENTRY);
        assert!(
            entry.contains("vfio.bind=0000:01:00.0")
                && entry.contains(WORDS)
                && entry.contains("$tuned_params"),
            "{entry}"
        );
    });
    assert_eq!(
        set,
        [format!(
            "grubby --update-kernel=ALL '--args=vfio.bind=0000:01:00.0 {WORDS}'"
        )]
    );
    assert_eq!(
        undo,
        [
            "grubby --update-kernel=ALL '--remove-args=vfio.bind vfio.group'",
            "grubby --update-kernel=ALL --args=vfio.bind=0000:01:00.0"
        ]
    );
    // And when ours are replaced by others in between.
    let before = tree.files();
    tree.with_tools(&SET).good();
    tree.with_tools(&["--words", "vfio.bind=0000:43:00.0"])
        .good();
    let entry = tree.read(ENTRY);
    assert!(
        entry.contains("vfio.bind=0000:01:00.0 vfio.bind=0000:43:00.0"),
        "{entry}"
    );
    assert!(
        !entry.contains("vfio.group") && !entry.contains("42:00"),
        "{entry}"
    );
    tree.with_tools(&["--undo"]).good();
    assert_eq!(tree.files(), before);
}

#[test]
fn what_grubby_damages_is_given_back() {
    let tree = fedora();
    let tool = std::fs::read_to_string(tree.tools.join("grubby")).unwrap();
    std::fs::write(
        tree.tools.join("grubby"),
        tool.replace("DAMAGE = False", "DAMAGE = True"),
    )
    .unwrap();
    tree.write(
        "etc/default/grub",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"splash\"\nGRUB_CMDLINE_LINUX=\"rhgb quiet\"\n",
    );
    tree.write("etc/kernel/cmdline", "root=UUID=1 ro\nsecond=line\n");
    both_ways(&tree, &|tree| {
        assert!(!tree.read("etc/kernel/cmdline").contains("second"));
        assert!(!tree.read("etc/default/grub").contains("splash"));
    });
    // An edit in between stays; what is ours goes.
    tree.with_tools(&SET).good();
    tree.write(
        "etc/kernel/cmdline",
        tree.read("etc/kernel/cmdline").replace(" ro", " rw"),
    );
    tree.with_tools(&["--undo"]).good();
    assert_eq!(tree.read("etc/kernel/cmdline").trim(), "root=UUID=1 rw");
}

#[test]
fn a_grubby_that_breaks_on_commas_is_read_back() {
    let tree = fedora();
    let before = tree.files();
    // It takes what is behind a comma for nothing.
    tree.tool("grubby", &format!("case \"$*\" in *--info*) echo 'args=\"ro rhgb vfio.bind=0000:42:00.0\"';; *--args*) sed -i 's/rhgb/rhgb vfio.bind=0000:42:00.0/' {ENTRY};; *--remove*) sed -i 's/ vfio.bind=0000:42:00.0//' {ENTRY};; esac\n"));
    let ran = tree
        .with_tools(&["--words", "vfio.bind=0000:42:00.0,0000:43:00.0"])
        .refused();
    assert!(
        ran.err.contains("reading back") && ran.err.contains("without the words"),
        "{}",
        ran.err
    );
    assert_eq!(tree.files(), before);
}

#[test]
fn entries_that_grubby_would_damage_are_left_alone() {
    let tree = fedora();
    tree.write(ENTRY, tree.read(ENTRY) + "options more\n");
    let ran = tree.told(&SET).refused();
    assert!(ran.err.contains("has 2 lines of options"), "{}", ran.err);
    let tree = fedora();
    tree.write(
        &ENTRY.replace("6.11.5", "6.10.1"),
        tree.read(ENTRY)
            .replace("6.11.5", "6.10.1")
            .replace("rhgb", "vfio.bind=0000:01:00.0"),
    );
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("words of their own") && ran.err.contains("grubby --update-kernel=KERNEL"),
        "{}",
        ran.err
    );
}

#[test]
fn kernelopts_of_the_environment_count() {
    let tree = fedora();
    tree.write(
        "boot/grub2/grubenv",
        "# GRUB Environment Block\nkernelopts=root=UUID=1 ro vfio.bind=0000:01:00.0\n",
    );
    tree.write(
        ENTRY,
        "version 6.11\nlinux /vmlinuz-6.11\noptions $kernelopts $tuned_params\n",
    );
    let (set, _) = both_ways(&tree, &|tree| {
        assert!(tree.read("boot/grub2/grubenv").contains(WORDS))
    });
    assert!(set[0].contains("vfio.bind=0000:01:00.0"), "{set:?}");
}

#[test]
fn zipl_is_run_behind_grubby() {
    let tree = fedora();
    tree.write("sys/firmware/ipl/ipl_type", "ccw\n");
    tree.write("usr/sbin/zipl", "");
    tree.write(
        "etc/zipl.conf",
        "[defaultboot]\ndefaultauto\ntarget=/boot\n",
    );
    let (set, undo) = both_ways(&tree, &|tree| assert!(tree.read(ENTRY).contains(WORDS)));
    assert_eq!((set.len(), set[1].as_str()), (2, "zipl"));
    assert_eq!((undo.len(), undo[1].as_str()), (2, "zipl"));
}

#[test]
fn rpm_ostree_leaves_a_word_that_was_there() {
    let tree = case("12-rpm-ostree");
    let entry = "boot/loader/entries/ostree-1.conf";
    tree.write(
        entry,
        tree.read(entry).replace("rhgb", "rhgb vfio.group=strict"),
    );
    let (set, undo) = both_ways(&tree, &|tree| {
        assert!(tree.read(entry).contains("vfio.bind=0000:42:00.0"))
    });
    assert_eq!(
        set,
        ["rpm-ostree kargs --append-if-missing=vfio.bind=0000:42:00.0"]
    );
    assert_eq!(
        undo,
        ["rpm-ostree kargs --delete-if-present=vfio.bind=0000:42:00.0"]
    );
    // Other words in place of ours.
    tree.with_tools(&SET).good();
    let again = tree
        .with_tools(&["--words", "vfio.bind=0000:43:00.0"])
        .good();
    assert_eq!(
        again.run(),
        [
            "rpm-ostree kargs --delete-if-present=vfio.bind=0000:42:00.0",
            "rpm-ostree kargs --append-if-missing=vfio.bind=0000:43:00.0"
        ]
    );
    assert!(tree.read(entry).contains("vfio.group=strict") && !tree.read(entry).contains("42:00"));
    // It says that it worked.
    let tree = case("12-rpm-ostree");
    tree.tool("rpm-ostree", "[ $# -gt 1 ] || echo 'ro rhgb'\n");
    let ran = tree.with_tools(&SET).refused();
    assert!(
        ran.err
            .contains("rpm-ostree kargs: an entry is without the words"),
        "{}",
        ran.err
    );
}

#[test]
fn bootc_owns_the_words_where_it_can() {
    let tree = case("12-rpm-ostree");
    tree.write("usr/bin/bootc", "");
    tree.write(
        "usr/share/man/man8/bootc-loader-entries-set-options-for-source.8.gz",
        "",
    );
    let set = tree.told(&SET).good();
    assert_eq!(
        set.run(),
        [format!(
            "bootc loader-entries set-options-for-source --source vfio-bind --options '{WORDS}'"
        )]
    );
    let undo = tree.told(&["--undo"]).good();
    assert_eq!(
        undo.run(),
        ["bootc loader-entries set-options-for-source --source vfio-bind"]
    );
    // Without pages it is asked.
    tree.remove("usr/share/man/man8/bootc-loader-entries-set-options-for-source.8.gz");
    tree.tool("bootc", "[ \"$3\" = --help ] || echo \"$*\" >>asked\n");
    assert!(tree.with_tools(&SET).good().run()[0].starts_with("bootc "));
    assert!(tree.read("asked").contains("--options"));
    tree.with_tools(&["--undo"]).good();
    tree.tool("bootc", "exit 2\n");
    tree.tool("rpm-ostree", "exit 0\n");
    assert!(tree.told(&SET).good().run()[0].starts_with("rpm-ostree "));
    // With neither it is the image's.
    let tree = case("12-rpm-ostree");
    tree.remove("usr/bin/rpm-ostree");
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err
            .contains("/usr/lib/bootc/kargs.d/vfio-bind.toml: kargs = [\"vfio.bind=0000:42:00.0\""),
        "{}",
        ran.err
    );
}

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
    let (set, undo) = both_ways(&tree, &|tree| {
        assert!(
            tree.read("boot/efi/loader/entries/Pop_OS-current.conf")
                .contains("vfio.bind=0000:42:00.0")
        );
    });
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
        let (set, _) = both_ways(&tree, &|tree| {
            assert!(
                tree.read(menu).lines().any(|line| line.trim() == expected),
                "{expected}: {}",
                tree.read(menu)
            )
        });
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
    let (set, _) = both_ways(&tree, &|tree| {
        assert!(
            tree.read("boot/extlinux.conf")
                .contains(&format!("ext4 {WORDS}"))
        )
    });
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
        let (set, _) = both_ways(&tree, &|tree| {
            assert_eq!(
                tree.read(file),
                format!("console=tty1 root=PARTUUID=1 rootwait {WORDS}\nmine\n")
            );
        });
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
    let (set, _) = both_ways(&tree, &|tree| {
        assert_eq!(tree.read("boot.scr"), format!("quiet {WORDS}\n"))
    });
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

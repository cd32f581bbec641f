//! Boot entries that grubby writes.

use crate::tree::{Tree, WORDS, case};

const SET: [&str; 2] = ["--words", WORDS];

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
    let (set, undo) = tree.both_ways(
        &|tree| {
            let entry = tree.read(ENTRY);
            assert!(
                entry.contains("vfio.bind=0000:01:00.0")
                    && entry.contains(WORDS)
                    && entry.contains("$tuned_params"),
                "{entry}"
            );
        },
        &[],
    );
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
    tree.both_ways(
        &|tree| {
            assert!(!tree.read("etc/kernel/cmdline").contains("second"));
            assert!(!tree.read("etc/default/grub").contains("splash"));
        },
        &[],
    );
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
    let (set, _) = tree.both_ways(
        &|tree| assert!(tree.read("boot/grub2/grubenv").contains(WORDS)),
        &[],
    );
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
    let (set, undo) = tree.both_ways(&|tree| assert!(tree.read(ENTRY).contains(WORDS)), &[]);
    assert_eq!((set.len(), set[1].as_str()), (2, "zipl"));
    assert_eq!((undo.len(), undo[1].as_str()), (2, "zipl"));
}

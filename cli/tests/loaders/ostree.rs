//! Systems that boot an image.

use crate::tree::{WORDS, case};

const SET: [&str; 2] = ["--words", WORDS];

#[test]
fn rpm_ostree_leaves_a_word_that_was_there() {
    let tree = case("12-rpm-ostree");
    let entry = "boot/loader/entries/ostree-1.conf";
    tree.write(
        entry,
        tree.read(entry).replace("rhgb", "rhgb vfio.group=strict"),
    );
    let (set, undo) = tree.both_ways(
        &|tree| assert!(tree.read(entry).contains("vfio.bind=0000:42:00.0")),
        &[],
    );
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
fn an_older_rpm_ostree_takes_words_of_one_name_for_one_word() {
    let tree = case("12-rpm-ostree");
    let tool = std::fs::read_to_string(tree.tools.join("rpm-ostree")).unwrap();
    std::fs::write(
        tree.tools.join("rpm-ostree"),
        tool.replace("KEY_ONLY = False", "KEY_ONLY = True"),
    )
    .unwrap();
    let entry = "boot/loader/entries/ostree-1.conf";
    tree.write(
        entry,
        tree.read(entry)
            .replace("rhgb", "vfio.bind=0000:01:00.0 rhgb"),
    );
    let (set, _) = tree.both_ways(
        &|tree| {
            let entry = tree.read(entry);
            assert!(
                entry.contains("vfio.bind=0000:01:00.0") && entry.contains(WORDS),
                "{entry}"
            );
        },
        &[],
    );
    assert_eq!(
        set,
        ["rpm-ostree kargs --append=vfio.bind=0000:42:00.0 --append-if-missing=vfio.group=strict"]
    );
    let before = tree.files();
    tree.with_tools(&["--words", "vfio.bind=0000:42:00.0 vfio.bind=0000:43:00.0"])
        .good();
    assert!(
        tree.read(entry)
            .contains("vfio.bind=0000:42:00.0 vfio.bind=0000:43:00.0")
    );
    tree.with_tools(&["--undo"]).good();
    assert_eq!(tree.files(), before);
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

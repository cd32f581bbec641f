//! What must be true whatever the boot loader: all or nothing, twice is once, and undoing is exact.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::tree::{Ran, Tree, WORDS};

const FRAGMENT: &str = "etc/default/grub.d/90-vfio-bind.cfg";
const DEFAULTS: &str = "etc/default/grub";
const MENU: &str = "boot/grub/grub.cfg";
const MENU_TEXT: &str = "menuentry 'Linux' {\n\tlinux /vmlinuz root=UUID=1 ro quiet\n}\n";
const GRUB: &str = "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n";
/// Makes the menu of what the settings say, as grub-mkconfig does.
const UPDATE_GRUB: &str = "set -e
. ./etc/default/grub
for x in ./etc/default/grub.d/*.cfg; do if [ -e \"$x\" ]; then . \"$x\"; fi; done
{
  printf \"menuentry 'Linux' {\\n\\tlinux /vmlinuz root=UUID=1 ro %s %s\\n}\\n\" \"$GRUB_CMDLINE_LINUX\" \"$GRUB_CMDLINE_LINUX_DEFAULT\"
  printf \"menuentry 'Linux (recovery mode)' {\\n\\tlinux /vmlinuz root=UUID=1 ro single %s\\n}\\n\" \"$GRUB_CMDLINE_LINUX\"
} >boot/grub/grub.cfg
";

/// A machine whose grub-mkconfig reads fragments.
fn debian() -> Tree {
    let tree = Tree::new(&[
        (DEFAULTS, GRUB),
        (MENU, MENU_TEXT),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n"),
        (
            "usr/sbin/grub-mkconfig",
            "#!/bin/sh\nfor x in ${sysconfdir}/default/grub.d/*.cfg ; do :; done\n",
        ),
        ("usr/sbin/update-grub", "#!/bin/sh\n"),
    ]);
    tree.tool("update-grub", UPDATE_GRUB);
    tree
}

/// One whose grub-mkconfig does not.
fn arch() -> Tree {
    let tree = Tree::new(&[
        (DEFAULTS, "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\""),
        (MENU, MENU_TEXT),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n"),
        (
            "usr/bin/grub-mkconfig",
            "#!/bin/sh\n. ${sysconfdir}/default/grub\n",
        ),
    ]);
    tree.tool("grub-mkconfig", UPDATE_GRUB);
    tree
}

const SET: [&str; 2] = ["--words", WORDS];

#[test]
fn the_menu_is_made_and_read_back() {
    let tree = debian();
    let set = tree.with_tools(&SET).good();
    assert!(tree.read(MENU).contains(WORDS), "{}", tree.read(MENU));
    for piece in [
        "+++ /etc/default/grub.d/90-vfio-bind.cfg",
        "run: update-grub",
        "note: the entry `Linux (recovery mode)` is without the words",
        "/proc/cmdline has: vfio.bind=0000:42:00.0 vfio.group=strict",
        "vfio-bind setup --undo",
        "vfio.bind=off",
    ] {
        assert!(set.out.contains(piece), "{piece}: {}", set.out);
    }
    tree.with_tools(&["--undo"]).good();
    assert!(!tree.read(MENU).contains("vfio"), "{}", tree.read(MENU));
    assert!(!tree.exists("etc/default/grub.d") && !tree.exists("var/lib/vfio-bind"));
}

#[test]
fn a_dry_run_writes_nothing() {
    let tree = debian();
    let before = tree.files();
    let ran = tree.with_tools(&["--words", WORDS, "--dry-run"]).good();
    assert!(ran.out.contains("run: update-grub"), "{}", ran.out);
    assert_eq!(tree.files(), before);
    assert!(!tree.exists("var"));
}

#[test]
fn other_words_take_the_place_of_ours_and_leave_the_owners() {
    for tree in [debian(), arch()] {
        let own = tree
            .read(DEFAULTS)
            .replace("quiet", "quiet vfio.bind=0000:01:00.0");
        tree.write(DEFAULTS, &own);
        let before = tree.files();
        tree.told(&SET).good();
        tree.told(&["--words", "vfio.bind=0000:43:00.0"]).good();
        let all: String = tree
            .files()
            .iter()
            .filter(|(path, _)| path.starts_with("etc"))
            .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
            .collect();
        assert!(
            all.contains("vfio.bind=0000:43:00.0") && all.contains("vfio.bind=0000:01:00.0"),
            "{all}"
        );
        assert!(
            !all.contains("0000:42:00.0") && !all.contains("strict"),
            "{all}"
        );
        tree.told(&["--undo"]).good();
        assert_eq!(tree.files(), before);
    }
}

#[test]
fn an_edit_in_between_stays() {
    let tree = arch();
    tree.told(&SET).good();
    let edited = tree.read(DEFAULTS).replace("quiet", "quiet splash") + "GRUB_TIMEOUT=1\n";
    tree.write(DEFAULTS, edited);
    tree.told(&["--undo"]).good();
    assert_eq!(
        tree.read(DEFAULTS),
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash\"\nGRUB_TIMEOUT=1\n"
    );

    let tree = debian();
    tree.told(&SET).good();
    tree.write(FRAGMENT, format!("# mine\n{}", tree.read(FRAGMENT)));
    tree.told(&["--undo"]).good();
    assert_eq!(tree.read(FRAGMENT), "# mine\n");

    // Taken out by hand before.
    let tree = debian();
    tree.told(&SET).good();
    tree.remove(FRAGMENT);
    tree.told(&["--undo"]).good();
    assert!(!tree.exists(FRAGMENT));
}

#[test]
fn what_cannot_be_told_apart_is_left_with_what_to_do() {
    let tree = arch();
    tree.told(&SET).good();
    let twice = tree.read(DEFAULTS)
        + &format!("GRUB_CMDLINE_LINUX=\"{WORDS}\"\n")
        + &format!("X=\"{WORDS}\"\n");
    let twice = twice.replace(
        "$GRUB_CMDLINE_LINUX_DEFAULT vfio",
        "$GRUB_CMDLINE_LINUX_DEFAULT  vfio",
    );
    tree.write(DEFAULTS, &twice);
    let ran = tree.told(&["--undo"]).refused();
    assert!(
        ran.err.contains("was edited since") && ran.err.contains("take `"),
        "{}",
        ran.err
    );
    assert_eq!(tree.read(DEFAULTS), twice);
    tree.write(DEFAULTS, GRUB);
    tree.told(&["--undo"]).good();
    assert_eq!(tree.read(DEFAULTS), GRUB);
}

#[test]
fn a_tool_that_fails_half_way_leaves_everything_as_it_was() {
    for tool in [
        "exit 1",
        "echo broken >boot/grub/grub.cfg; exit 1",
        // It says that it worked: the menu is without the words, or there is none.
        "exit 0",
        ": >boot/grub/grub.cfg",
    ] {
        let tree = debian();
        // Works again when there is nothing of ours.
        let script = format!("if [ -e {FRAGMENT} ]; then\n{tool}\nexit 0; fi\n{UPDATE_GRUB}");
        tree.tool("update-grub", &script);
        Command::new(tree.tools.join("update-grub"))
            .current_dir(&tree.root)
            .status()
            .unwrap();
        let before = tree.files();
        let ran = tree.with_tools(&SET).refused();
        assert!(
            ran.err.contains("everything is as it was before"),
            "{tool}: {}",
            ran.err
        );
        if tool == "exit 1" {
            assert!(
                ran.err.contains("run(update-grub): exit status: 1"),
                "{}",
                ran.err
            );
        }
        assert_eq!(tree.files(), before, "{tool}");
        assert!(
            !tree.exists("var/lib/vfio-bind") && !tree.exists("etc/default/grub.d"),
            "{tool}"
        );
    }
}

#[test]
fn a_failure_while_ours_is_replaced_leaves_the_old_words() {
    let tree = debian();
    tree.with_tools(&SET).good();
    let before = tree.files();
    tree.tool(
        "update-grub",
        &format!("if grep -q 43:00 {FRAGMENT}; then exit 3; fi\n{UPDATE_GRUB}"),
    );
    tree.with_tools(&["--words", "vfio.bind=0000:43:00.0"])
        .refused();
    assert_eq!(tree.files(), before);
    tree.with_tools(&["--undo"]).good();
    assert!(!tree.exists(FRAGMENT));
}

#[test]
fn an_undo_that_fails_leaves_it_set() {
    let tree = debian();
    tree.with_tools(&SET).good();
    let before = tree.files();
    tree.tool(
        "update-grub",
        &format!("if [ ! -e {FRAGMENT} ]; then exit 3; fi\n{UPDATE_GRUB}"),
    );
    let ran = tree.with_tools(&["--undo"]).refused();
    assert!(
        ran.err.contains("it is set as it was before"),
        "{}",
        ran.err
    );
    assert_eq!(tree.files(), before);
    tree.tool("update-grub", UPDATE_GRUB);
    tree.with_tools(&["--undo"]).good();
    assert!(!tree.exists(FRAGMENT));
}

/// Every write beyond this many blocks of 512 bytes fails with EFBIG, as one on a full disk does with ENOSPC.
fn with_a_small_disk(tree: &Tree, blocks: u32, arguments: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    command
        .arg("-c")
        .arg(script)
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_vfio-bind"));
    command
        .arg("setup")
        .arg("--root")
        .arg(&tree.root)
        .args(arguments);
    Ran::of(command.output().unwrap())
}

#[test]
fn a_full_disk_changes_nothing() {
    for (blocks, padding) in [(0, 0), (1, 0), (4, 1980), (4, 3000)] {
        let tree = arch();
        let text = format!("#{}\n{GRUB}", "x".repeat(padding));
        tree.write(DEFAULTS, text);
        let before = tree.files();
        let ran = with_a_small_disk(&tree, blocks, &SET).refused();
        assert!(
            ran.err.contains("write(") && ran.err.contains("File too large"),
            "{}",
            ran.err
        );
        assert_eq!(tree.files(), before, "{blocks} {padding}");
        assert!(!tree.exists("var/lib/vfio-bind"), "{blocks} {padding}");
    }
}

#[test]
fn a_full_disk_while_undoing_leaves_it_set() {
    let tree = arch();
    tree.write(DEFAULTS, format!("#{}\n{GRUB}", "x".repeat(3000)));
    tree.told(&SET).good();
    let before = tree.files();
    let ran = with_a_small_disk(&tree, 4, &["--undo"]).refused();
    assert!(
        ran.err.contains("it is set as it was before"),
        "{}",
        ran.err
    );
    assert_eq!(tree.files(), before);
    tree.told(&["--undo"]).good();
}

#[test]
fn what_was_cut_off_is_undone() {
    let tree = debian();
    tree.told(&SET).good();
    let manifest = tree.read("var/lib/vfio-bind/setup.json");
    tree.write(
        "var/lib/vfio-bind/setup.json",
        manifest.replace("\"set\",\n  \"done\"", "\"begun\",\n  \"done\""),
    );
    assert!(
        tree.read("var/lib/vfio-bind/setup.json")
            .contains("\"begun\"")
    );
    tree.told(&SET).good();
    assert!(
        tree.read("var/lib/vfio-bind/setup.json")
            .contains("\"state\": \"set\"")
    );
    // Before the file was written.
    tree.remove(FRAGMENT);
    tree.told(&["--undo"]).good();
    assert!(!tree.exists("var/lib/vfio-bind"));
}

#[test]
fn mode_and_link_of_a_file_stay() {
    let tree = arch();
    fs::set_permissions(tree.root.join(DEFAULTS), fs::Permissions::from_mode(0o640)).unwrap();
    fs::rename(
        tree.root.join(DEFAULTS),
        tree.root.join("etc/grub-settings"),
    )
    .unwrap();
    symlink("/etc/grub-settings", tree.root.join(DEFAULTS)).unwrap();
    let text = tree.read("etc/grub-settings");
    tree.told(&SET).good();
    let data = fs::symlink_metadata(tree.root.join("etc/grub-settings")).unwrap();
    assert_eq!(data.mode() & 0o777, 0o640);
    assert!(
        fs::symlink_metadata(tree.root.join(DEFAULTS))
            .unwrap()
            .is_symlink()
    );
    assert!(tree.read("etc/grub-settings").contains(WORDS));
    tree.told(&["--undo"]).good();
    assert_eq!(tree.read("etc/grub-settings"), text);
}

#[test]
fn an_ordinary_user_is_told_what_is_refused() {
    let tree = debian();
    // The directories around it are for everybody, as those of a real root are.
    for path in [tree.root.parent().unwrap(), &tree.root] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Where the tests' own program cannot be reached by another user, they run as one already.
    let mut command = tree.command(&SET);
    let root = rustix::process::geteuid().is_root();
    let reached = root && {
        let mut probe = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
        probe
            .arg("--version")
            .uid(65534)
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !reached {
        fs::set_permissions(&tree.root, fs::Permissions::from_mode(0o555)).unwrap();
    }
    if root && !reached {
        return;
    }
    if root {
        command.uid(65534);
    }
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.exit, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("nothing is changed") && ran.err.contains("Permission denied"),
        "{}",
        ran.err
    );
    assert!(!tree.exists("var") && !tree.exists(FRAGMENT));
}

#[test]
fn bad_input_is_an_error_and_loses_nothing() {
    let tree = debian();
    let before = tree.files();
    for (arguments, expected) in [
        (vec!["--words", "vfio.bind=$x"], "means something else"),
        (vec!["--words", "vfio.bind=zz"], "zz"),
        (vec!["--words", ""], "name a device"),
        (vec![], "name a device"),
        (vec!["nonsense"], "nonsense"),
        (vec!["--undo", "--keep"], "cannot be used with"),
        (vec!["42:00.0", "--words", "x"], "cannot be used with"),
    ] {
        let ran = tree.told(&arguments);
        assert_eq!(ran.exit, Some(2), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    let ran = tree.told(&["--words", WORDS, "--loader", "lilo"]).refused();
    assert!(
        ran.err.contains("name one of") && ran.err.contains("grub.d"),
        "{}",
        ran.err
    );
    let keep = tree.told(&["--keep"]).refused();
    assert!(keep.err.contains("nothing is being tried"), "{}", keep.err);
    tree.write("var/lib/vfio-bind/setup.json", "{");
    let ran = tree.told(&["--undo"]).refused();
    assert!(
        ran.err.contains("setup.json: not understood"),
        "{}",
        ran.err
    );
    tree.write("var/lib/vfio-bind/setup.json", "");
    assert_eq!(tree.files(), before);
    let ran = Ran::of(
        Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
            .args(["setup", "--root", "/none", "--undo"])
            .output()
            .unwrap(),
    );
    assert!(
        ran.exit == Some(1) && ran.err.contains("--root wants a directory"),
        "{ran:?}"
    );
}

#[test]
fn words_go_along_to_another_boot_loader() {
    let tree = debian();
    tree.told(&SET).good();
    tree.efi("LoaderInfo", "Limine 9.3");
    tree.write("usr/bin/limine-update", "");
    tree.write(
        "etc/default/limine",
        "KERNEL_CMDLINE[default]+=\"root=UUID=1\"\n",
    );
    let ran = tree.told(&SET).good();
    assert!(
        ran.out.contains("boot loader: limine-entry-tool"),
        "{}",
        ran.out
    );
    assert!(!tree.exists(FRAGMENT) && tree.exists("etc/limine-entry-tool.d/90-vfio-bind.conf"));
    tree.told(&["--undo"]).good();
    assert!(!tree.exists("etc/limine-entry-tool.d"));
}

#[test]
fn one_setup_waits_for_no_other() {
    let tree = debian();
    let held = fs::File::open(&tree.root).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ran = tree.told(&SET).refused();
    assert!(
        ran.err.contains("another setup is under way"),
        "{}",
        ran.err
    );
    assert!(!tree.exists("var"));
    drop(held);
    tree.told(&SET).good();
}

#[test]
fn a_device_is_its_address() {
    let tree = debian();
    tree.told(&["0000:42:00.0", "43:00.0"]).good();
    assert!(
        tree.read(FRAGMENT)
            .contains("vfio.bind=0000:42:00.0 vfio.bind=43:00.0")
    );
}

//! Where a run takes place: in an initramfs, where nothing is in use yet, or in the real root.

use crate::machine::Root;
use crate::text::misread::split;

/// systemd's own sign of an initramfs (`in_initrd`), in all that dracut makes and in mkinitcpio's with
/// systemd.
const SIGN: &str = "etc/initrd-release";

/// What the kernel calls the file system that it unpacks an initramfs into (init/do_mounts.c). A root
/// that lives in memory for good is `tmpfs`.
const FIRST_ROOT: &[u8] = b"rootfs";

/// Room for the mounts of an initramfs: a handful, before udev.
const MOUNTS_LEN: usize = 4096;

/// Whether this is an initramfs: it has the sign, or its root directory is the kernel's first one,
/// which every real root leaves behind. What cannot be told for one is none.
#[must_use]
pub fn is_initramfs(root: &dyn Root) -> bool {
    let mut buffer = [0; MOUNTS_LEN];
    let mounts = root.read("proc/self/mountinfo", &mut buffer);
    let first = |mounts: &[u8]| mounts.len() < MOUNTS_LEN && root_type(mounts) == Some(FIRST_ROOT);
    root.exists(SIGN) || mounts.is_ok_and(first)
}

/// The type of the file system that is mounted last on `/`: `ID PARENT DEVICE ROOT POINT OPTIONS...
/// - TYPE ...` (proc_pid_mountinfo(5)).
fn root_type(mounts: &[u8]) -> Option<&[u8]> {
    let on_root = |line: &&[u8]| line.split(is_blank).nth(4) == Some(b"/");
    let line = split(mounts, b'\n').rfind(on_root)?;
    // The kernel escapes blanks in names, so that no other field is a lone dash.
    line.split(is_blank)
        .skip_while(|field| *field != b"-")
        .nth(1)
}

fn is_blank(byte: &u8) -> bool {
    *byte == b' '
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::machine::tree::Tree;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::{format, fs};

    #[test]
    fn an_initramfs_has_a_sign_or_the_first_root() {
        let first =
            "1 1 0:2 / / rw - rootfs rootfs rw,size=1k\n20 1 0:20 / /proc rw - proc proc rw\n";
        let disk = "27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n";
        for (mounts, sign, expected) in [
            (Some(first.into()), false, true),
            (Some(disk.into()), false, false),
            // dracut's, from an image in a file, and a service's own view.
            (Some(disk.into()), true, true),
            (None, true, true),
            (None, false, false),
            // A real root that covers the first one.
            (Some(format!("{first}{disk}")), false, false),
            (
                Some("27 1 0:30 / / rw - tmpfs none rw\n".into()),
                false,
                false,
            ),
            (
                Some("27 1 0:30 / / rw - overlay rootfs rw\n".into()),
                false,
                false,
            ),
            (
                Some("27 1 0:30 / /x rw - rootfs - rw\n".into()),
                false,
                false,
            ),
            (Some("- - - - / -\n".into()), false, false),
            // More than an initramfs has: who knows what else is mounted.
            (
                Some(format!("{}{first}", "x\n".repeat(MOUNTS_LEN))),
                false,
                false,
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = directory.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            if let Some(mounts) = &mounts {
                write("proc/self/mountinfo", mounts);
            }
            if sign {
                write("etc/initrd-release", "");
            }
            let path = CString::new(directory.path().as_os_str().as_bytes()).unwrap();
            let tree = Tree::open(&path).unwrap();
            assert_eq!(is_initramfs(&tree), expected, "{mounts:?} {sign}");
        }
    }
}

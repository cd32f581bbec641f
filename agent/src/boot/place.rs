//! Where this process stands: in the machine's own root, or in a container or a chroot.

use core::ffi::CStr;

use rustix::io::Errno;

/// The inode number of the first PID namespace (`PROC_PID_INIT_INO` in include/linux/proc_ns.h).
const FIRST_NAMESPACE: u64 = 0xefff_fffc;

/// Whether this process is in the PID namespace that the kernel starts with.
///
/// # Errors
/// What stat answered, where there is no /proc.
pub fn is_first_namespace() -> Result<bool, Errno> {
    match rustix::fs::stat(c"/proc/self/ns/pid") {
        Ok(namespace) => Ok(namespace.st_ino == FIRST_NAMESPACE),
        // A kernel without such namespaces has one process 1 only.
        Err(Errno::NOENT) => rustix::fs::stat(c"/proc/self/stat").map(|_| true),
        Err(errno) => Err(errno),
    }
}

/// Whether the root directory is the one of the machine's own first process. What cannot be told for
/// that is not: of another one's mounts nobody knows what is in use.
pub fn is_in_machines_root() -> bool {
    is_first_namespace() == Ok(true) && is_same(c"/", c"/proc/1/root/")
}

/// Whether something is mounted on a directory of the root.
pub fn is_mounted(directory: &CStr) -> bool {
    let device = |path| rustix::fs::stat(path).map(|stat| stat.st_dev);
    matches!((device(directory), device(c"/")), (Ok(this), Ok(root)) if this != root)
}

fn is_same(one: &CStr, other: &CStr) -> bool {
    let file = |path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((file(one), file(other)), (Ok(one), Ok(other)) if one == other)
}

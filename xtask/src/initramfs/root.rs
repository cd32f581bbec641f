//! Debian systems with initramfs tools in them, unpacked and never changed; what builds an image
//! works in a copy of hard links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::ARCHITECTURE;
use crate::apt::Apt;
use crate::cache::Cache;
use crate::tools::UNSHARE;

/// Every system has these. `?essential` is apt's word for what is on every Debian system.
const COMMON: [&str; 6] = ["?essential", "cpio", "kmod", "mount", "systemd", "udev"];
/// The file in a system that says what it was made of.
const LABEL: &str = "packages";

/// A Debian system to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What is in it, in a word.
    pub name: &'static str,
    /// The release.
    pub release: &'static str,
    /// Packages besides those that every system has.
    pub packages: &'static [&'static str],
}

impl Recipe {
    /// Takes the system from the cache, or gets it.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn get(&self, cache: &Cache) -> Result<PathBuf> {
        let packages = [&COMMON, self.packages].concat();
        let label = format!("{} {}\n", self.release, packages.join(" "));
        let check = |root: &Path| {
            let found = fs::read_to_string(root.join(LABEL)).context("it says not what it is")?;
            ensure!(
                found == label,
                "it was made of other packages: {}",
                found.trim_end()
            );
            Ok(())
        };
        let name = format!(
            "debian-{}-{}-{}",
            self.release,
            ARCHITECTURE.debian(),
            self.name
        );
        cache.folder(&name, check, |root| {
            Apt::with(self.release, ARCHITECTURE, |apt| {
                apt.unpack_system(&packages, root)
            })?;
            configure(root)?;
            fs::write(root.join(LABEL), &label).with_context(|| format!("write({LABEL})"))
        })
    }
}

/// Does what the packages' own scripts would do, as far as a build of an image needs it.
fn configure(root: &Path) -> Result<()> {
    for (link, target) in [
        ("usr/bin/awk", "mawk"),
        // Of systemd-sysv, which would make systemd the init of this system.
        ("usr/sbin/halt", "../bin/systemctl"),
        ("usr/sbin/poweroff", "../bin/systemctl"),
        ("usr/sbin/reboot", "../bin/systemctl"),
    ] {
        if fs::symlink_metadata(root.join(link)).is_err() {
            std::os::unix::fs::symlink(target, root.join(link))
                .with_context(|| format!("symlink({link})"))?;
        }
    }
    for name in ["passwd", "group"] {
        let from = root.join(format!("usr/share/base-passwd/{name}.master"));
        fs::copy(&from, root.join("etc").join(name))
            .with_context(|| format!("copy({})", from.display()))?;
    }
    // Images take the line of root; nobody logs in.
    fs::write(root.join("etc/shadow"), "root:*::::::\n").context("write(etc/shadow)")
}

/// Copies a folder with everything in it: files are hard links where that is possible.
///
/// # Errors
/// Where something cannot be read or made.
pub fn link_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("mkdir({})", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list({})", from.display()))? {
        link(&entry?, to)?;
    }
    Ok(())
}

/// Copies what a folder lists into the folder `to`, as [`link_tree`] does.
///
/// # Errors
/// Where something cannot be read or made.
pub fn link(entry: &fs::DirEntry, to: &Path) -> Result<()> {
    let (kind, old, new) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
    if kind.is_dir() {
        link_tree(&old, &new)?;
    } else if kind.is_symlink() {
        let target = fs::read_link(&old).with_context(|| format!("readlink({})", old.display()))?;
        std::os::unix::fs::symlink(target, &new)
            .with_context(|| format!("symlink({})", new.display()))?;
    } else if fs::hard_link(&old, &new).is_err() {
        // On another file system.
        fs::copy(&old, &new)
            .with_context(|| format!("copy({}, {})", old.display(), new.display()))?;
    }
    Ok(())
}

/// A command inside the system at `root`, with mounts of its own that vanish with it.
///
/// # Errors
/// Where unshare is not on this machine.
pub fn command(root: &Path, words: &[&str]) -> Result<Command> {
    // /proc and /sys as well: in hostonly mode dracut asks this machine.
    const MOUNT: &str = "mount --rbind /dev \"$0/dev\" && mount -t proc proc \"$0/proc\" \
                         && mount --rbind /sys \"$0/sys\" && mount -t tmpfs tmpfs \"$0/run\" \
                         && exec chroot \"$0\" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C \"$@\"";
    let mut command = UNSHARE.command()?;
    command.args(["--mount", "--pid", "--fork"]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-c", MOUNT]).arg(root).args(words);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_its_own_where_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("etc")).unwrap();
        fs::write(from.join("etc/x"), "old").unwrap();
        std::os::unix::fs::symlink("etc", from.join("link")).unwrap();
        link_tree(&from, &to).unwrap();
        crate::install::write(&to.join("link/x"), b"new", 0o644).unwrap();
        assert_eq!(fs::read(to.join("etc/x")).unwrap(), b"new");
        assert_eq!(fs::read(from.join("etc/x")).unwrap(), b"old");
    }
}

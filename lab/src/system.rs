//! Debian systems with initramfs tools in them, unpacked and never changed; what builds an image
//! works in a copy of hard links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;

use crate::debian::{Debian, Lists, Release};
use crate::lack::Unavailable;
use crate::tools::UNSHARE;

/// What the systems are of, and so the machines that boot their images.
pub const ARCHITECTURE: Architecture = Architecture::X86_64;

/// Every system has these. `?essential` is apt's word for what is on every Debian system.
const COMMON: [&str; 6] = ["?essential", "cpio", "kmod", "mount", "systemd", "udev"];
/// The file in a system that says what it was made of.
const LABEL: &str = "packages";

/// The folder in a system with the packages that its tool installs.
pub const POOL: &str = "pool";

/// A Debian system to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipe {
    /// What is in it, in a word.
    pub name: &'static str,
    /// The package that it is about and how its version starts, where a release that changes has it.
    pub version: Option<(&'static str, &'static str)>,
    /// The packages that the tool installs into its images: they, and all that they depend on, lie as
    /// files in [`POOL`].
    pub pool: &'static [&'static str],
    /// The releases that have it, the best first, and its packages there besides those that every
    /// system has.
    pub releases: &'static [(Release, &'static [&'static str])],
}

impl Recipe {
    /// Takes the system from the cache, or gets it.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn get(&self, debian: &Debian) -> Result<PathBuf> {
        self.make(debian, |lists, all, root| {
            lists.unpack_system(all, root)?;
            if !self.pool.is_empty() {
                lists.collect(&[&["?essential"], self.pool].concat(), &root.join(POOL))?;
            }
            configure(root)
        })
    }

    /// Takes the system from the cache, or has its packages installed: dpkg can change a copy of it.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn install(&self, debian: &Debian) -> Result<PathBuf> {
        self.make(debian, |lists, all, root| {
            // The essential ones come by themselves.
            let named: Vec<_> = all
                .iter()
                .copied()
                .filter(|name| !name.starts_with('?'))
                .collect();
            lists.install_system(&named, root)
        })
    }

    /// The system as `fill` makes it of packages.
    fn make(
        &self,
        debian: &Debian,
        fill: impl Fn(&Lists, &[&str], &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let packages = |release: Release| {
            let mut all = self.releases.iter();
            let (_, own) = all.find(|(one, _)| *one == release)?;
            Some([&COMMON, *own].concat())
        };
        let label = |release: Release| {
            let all = [packages(release)?, self.pool.to_vec()].concat();
            Some(format!("{release} {}\n", all.join(" ")))
        };
        let releases: Vec<_> = self.releases.iter().map(|(release, _)| *release).collect();
        let labels: Vec<_> = releases.iter().filter_map(|one| label(one)).collect();
        let check = |root: &Path| {
            let found = fs::read_to_string(root.join(LABEL)).context("it says not what it is")?;
            ensure!(
                labels.contains(&found),
                "it was made of other packages: {}",
                found.trim_end()
            );
            Ok(())
        };
        let (_, root) =
            debian.unpacked(&releases, ARCHITECTURE, self.name, check, |lists, root| {
                let release = lists.release();
                self.check_version(lists)?;
                let all = packages(release).context("a release that is named")?;
                fill(lists, &all, root)?;
                let label = label(release).unwrap_or_default();
                fs::write(root.join(LABEL), label).with_context(|| format!("write({LABEL})"))
            })?;
        Ok(root)
    }

    /// Whether the lists name the version that is wanted: a row must not boot another one than it says.
    fn check_version(&self, lists: &Lists) -> Result<()> {
        let Some((package, start)) = self.version else {
            return Ok(());
        };
        let versions = lists.versions(package)?;
        let newest = versions.first().context("a version")?;
        if newest.starts_with(start) {
            return Ok(());
        }
        let wanted = start.trim_end_matches('-');
        Err(Unavailable {
            reason: format!("{} has {package} {newest}, not {wanted}", lists.release()),
            log: None,
        }
        .into())
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
    fs::write(root.join("etc/shadow"), "root:*::::::\n").context("write(etc/shadow)")?;
    // What is only loaded at run time, as libkmod is by udev, is found by dracut in ld.so's cache.
    crate::program::output(&mut command(root, &["ldconfig"])?).map(drop)
}

/// A command inside the system at `root`, with mounts of its own that vanish with it.
///
/// # Errors
/// Where unshare is not on this machine.
pub fn command(root: &Path, words: &[&str]) -> Result<Command> {
    // A mount point itself, which mkosi leaves by pivot_root; and with /proc and /sys, for in hostonly
    // mode dracut asks this machine.
    const MOUNT: &str = "mount --bind \"$0\" \"$0\" \
                         && mount --rbind /dev \"$0/dev\" && mount -t proc proc \"$0/proc\" \
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

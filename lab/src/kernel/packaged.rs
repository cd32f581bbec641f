//! Kernels that Debian packages.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qemu_tests::architecture::Architecture;
use qemu_tests::scenario::NEWEST;

use super::{Kernel, bzimage};
use crate::debian::{Debian, Lists, Release};
use crate::files::only_entry;
use crate::lack::Unavailable;
use crate::program;
use crate::progress::say;
use crate::tools::DEPMOD;

/// A kernel that Debian packages, under the same name for every architecture.
pub(super) struct Packaged {
    /// As on the command line.
    pub(super) version: &'static str,
    /// The releases of Debian that have it, the best first.
    releases: &'static [Release],
    /// How the package of a build starts.
    prefix: &'static str,
}

pub(super) const PACKAGED: [Packaged; 4] = [
    Packaged {
        version: "6.1",
        releases: &["bookworm", "bookworm-proposed-updates"],
        prefix: "linux-image-6.1.",
    },
    Packaged {
        version: "5.10",
        releases: &["bullseye"],
        prefix: "linux-image-5.10.",
    },
    Packaged {
        version: "6.12",
        releases: &["trixie", "trixie-proposed-updates", "bookworm-backports"],
        prefix: "linux-image-6.12.",
    },
    Packaged {
        version: NEWEST,
        releases: &["forky", "sid"],
        prefix: "linux-image-",
    },
];

/// What the packages of a kernel are called where they are more than one.
const PARTS: [&str; 3] = ["linux-base-", "linux-binary-", "linux-modules-"];

/// The kernel that is used where none is named.
pub const DEFAULT: &str = PACKAGED[0].version;

/// Builds of a kernel that are tried before it counts as one that cannot be had.
const BUILDS: usize = 4;

impl Kernel {
    /// The kernel in an unpacked package, in its quickest form.
    fn unpacked(root: &Path, architecture: Architecture) -> Result<Self> {
        let folder = root.join("lib/modules");
        let release = only_entry(&folder)?;
        let modules = folder.join(&release);
        let packed = image_in(root, &release)?;
        let quick = Some(beside(&packed, &release)).filter(|path| path.is_file());
        let packaged = Self::own(&packed, &modules, architecture)?;
        Ok(Self {
            image: quick.unwrap_or(packed),
            ..packaged
        })
    }
}

/// The image of `release` in an unpacked package: in /boot, or beside the modules since Linux 7.0's
/// packages.
fn image_in(root: &Path, release: &str) -> Result<PathBuf> {
    let places = [
        root.join(format!("boot/vmlinuz-{release}")),
        root.join(format!("lib/modules/{release}/vmlinuz")),
    ];
    let found = places.iter().find(|path| path.is_file());
    found.cloned().with_context(|| {
        let names = places.map(|path| path.display().to_string());
        format!("the package has none of {}", names.join(", "))
    })
}

/// Where the unpacked image of `release` is, beside the packaged one.
fn beside(packed: &Path, release: &str) -> PathBuf {
    packed.with_file_name(format!("vmlinux-{release}"))
}

impl Packaged {
    /// Takes it from the cache, whichever release it is of, or gets it from the first that has it.
    pub(super) fn get(&self, architecture: Architecture, debian: &Debian) -> Result<Kernel> {
        let name = format!("linux-{}", self.version);
        let check = |root: &Path| Kernel::unpacked(root, architecture).map(drop);
        let (release, root) =
            debian.unpacked(self.releases, architecture, &name, check, |lists, root| {
                self.unpack(&self.builds(lists, architecture)?, lists, root)
            })?;
        Ok(Kernel {
            debian: Some(release),
            ..Kernel::unpacked(&root, architecture)?
        })
    }

    /// Gets the build that the archive has at present, beside an older one in the cache: only for that
    /// does it have the headers.
    pub(super) fn current(&self, architecture: Architecture, debian: &Debian) -> Result<Kernel> {
        debian.get(self.releases, architecture, |lists| {
            let builds = self.builds(lists, architecture)?;
            let build = builds.first().context("no build of it is named")?;
            let name = format!(
                "debian-{}-{}-{build}",
                lists.release(),
                architecture.debian()
            );
            let check = |root: &Path| Kernel::unpacked(root, architecture).map(drop);
            let root = debian
                .cache()
                .folder(&name, check, |root| self.unpack(&builds[..1], lists, root))?;
            Ok(Kernel {
                debian: Some(lists.release()),
                ..Kernel::unpacked(&root, architecture)?
            })
        })
    }

    /// Unpacks the first of `builds`, or another one where the archive does not give that.
    fn unpack(&self, builds: &[String], lists: &Lists, root: &Path) -> Result<()> {
        let mut first = None;
        for build in builds.iter().take(BUILDS) {
            let result = packages(lists, build).and_then(|all| lists.unpack(&all, root));
            let Err(error) = result else {
                return prepare(root);
            };
            if Unavailable::behind(&error).is_none() {
                return Err(error);
            }
            say(format_args!(
                "{error:#}: trying other builds of {}",
                self.version
            ));
            first.get_or_insert(error);
        }
        Err(first.context("no build of it is named")?)
    }

    /// The packages of all builds that the lists name, the current one first.
    fn builds(&self, lists: &Lists, architecture: Architecture) -> Result<Vec<String>> {
        let end = format!("-{}", architecture.debian());
        let current = lists.dependency(&format!("linux-image{end}"), self.prefix);
        let is_build = |name: &String| {
            let rest = name.strip_prefix("linux-image-");
            let rest = rest.and_then(|rest| rest.strip_suffix(&end));
            rest.is_some_and(|rest| {
                let plain = |word: &str| !["cloud", "rt", "unsigned"].contains(&word);
                rest.starts_with(|c: char| c.is_ascii_digit()) && rest.split('-').all(plain)
            })
        };
        let named = lists.names(self.prefix, &end)?.into_iter().filter(is_build);
        let current = match (current, named.collect::<Vec<_>>()) {
            (Ok(current), mut all) => {
                all.retain(|name| *name != current);
                all.insert(0, current);
                all
            }
            (Err(error), all) if all.is_empty() => return Err(error),
            // Backports have a metapackage of the release itself, too.
            (Err(_), all) => all,
        };
        Ok(current)
    }
}

/// The packages of a build: one, or the parts that it was split into in Linux 7.0's.
fn packages(lists: &Lists, build: &str) -> Result<Vec<String>> {
    let is_part = |name: &String| PARTS.iter().any(|part| name.starts_with(part));
    let dependencies = lists.dependencies(build)?.into_iter();
    let parts: Vec<_> = dependencies.filter(is_part).collect();
    Ok(if parts.is_empty() {
        vec![build.to_owned()]
    } else {
        parts
    })
}

/// Makes of unpacked packages what can be booted quickly.
fn prepare(root: &Path) -> Result<()> {
    if !root.join("lib").exists() {
        // Packages since Debian 13 know only this folder, depmod only that one.
        symlink("usr/lib", root.join("lib")).context("symlink(lib)")?;
    }
    let release = only_entry(&root.join("lib/modules"))?;
    let mut depmod = DEPMOD.command()?;
    program::output(depmod.arg("-b").arg(root).arg(&release))?;
    let path = image_in(root, &release)?;
    let image = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
    if let Some(kernel) = bzimage::unpack(&image)? {
        let path = beside(&path, &release);
        fs::write(&path, kernel).with_context(|| format!("write({})", path.display()))?;
    }
    Ok(())
}

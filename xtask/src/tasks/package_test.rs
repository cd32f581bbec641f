//! Packages, installed and removed by the programs that they are for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::debian::Debian;
use lab::lack::Memo;
use lab::packages::{self, Packages, Packer, Pair};
use lab::rig::Rig;
use lab::schedule::Task;
use lab::system::ARCHITECTURE;

use super::{conclusion, dist};
use crate::build::Workshop;
use crate::dist::built::Built;
use crate::dist::{Package, Time, arch, deb, rpm, same};
use crate::options::{MachineOptions, RunOptions};
use crate::workspace;

/// Make packages twice, and have dpkg, rpm and pacman install, upgrade and remove them.
///
/// That is in Debian 12 and 13, with initramfs-tools and with dracut, in copies of systems that are installed into
/// the cache: 300 MB to download, once. It wants root, as dpkg does. lintian and rpmlint must have nothing to say.
#[derive(Clone, Debug, clap::Args)]
pub struct PackageTest {
    /// Only the rows with this in their names.
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    run: RunOptions,
}

/// Runs all rows, or those that are named.
///
/// # Errors
/// Where it cannot be begun; whatever happens in it is a row.
pub fn run(options: &PackageTest, debian: &Debian) -> Result<bool> {
    let workshop = Workshop(debian);
    let rig = Rig::new(options.machine.settings(), &workshop, debian)?;
    let maker = Maker::new(debian);
    let mut tasks = tasks(&rig, &maker);
    let parts = &options.parts;
    tasks.retain(|task| parts.is_empty() || parts.iter().any(|part| task.name.contains(part)));
    anyhow::ensure!(
        !tasks.is_empty(),
        "no row has {} in its name",
        parts.join(" or ")
    );
    let run = &options.run;
    conclusion::run(&tasks, &rig, run.jobs(), run.rules(false))
}

/// Makes packages for the rows.
pub struct Maker<'a> {
    debian: &'a Debian,
    made: Memo<(), Packages>,
}

impl<'a> Maker<'a> {
    /// Nothing is made yet.
    #[must_use]
    pub fn new(debian: &'a Debian) -> Self {
        Self {
            debian,
            made: Memo::default(),
        }
    }

    fn same(&self) -> Result<String> {
        let folder = folder("same");
        fs::create_dir_all(&folder).with_context(|| format!("mkdir({})", folder.display()))?;
        let options = ["--architecture", ARCHITECTURE.name()];
        let ours = folder.join("ours");
        dist::make(&dist::Dist::only(ARCHITECTURE), &ours, self.debian)?;
        same::compare(&ours, &folder.join("theirs"), &options)
    }
}

/// Where the rows have what they make.
fn folder(name: &str) -> PathBuf {
    workspace::folder().join("target/package-test").join(name)
}

impl Packer for Maker<'_> {
    fn packages(&self) -> Result<Packages> {
        self.made.get((), || {
            let folder = folder("packages");
            fs::create_dir_all(&folder).with_context(|| format!("mkdir({})", folder.display()))?;
            let time = Time::of(workspace::folder())?;
            let built = Built::new(ARCHITECTURE, self.debian)?;
            let pair = |build: fn(&Package<'_>, &Path) -> Result<PathBuf>| -> Result<Pair> {
                Ok(Pair {
                    first: build(&built.package(1, time), &folder)?,
                    newer: build(&built.package(2, time), &folder)?,
                })
            };
            let archive = crate::dist::source::write(time, &folder)?;
            Ok(Packages {
                deb: pair(deb::build)?,
                rpm: pair(rpm::build)?,
                arch: pair(arch::build)?,
                rpmlint: workspace::folder().join("packaging/rpm/rpmlint.toml"),
                pkgbuild: arch::pkgbuild(&archive, &folder)?,
            })
        })
    }
}

/// A task for each row.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, maker: &'a Maker<'a>) -> Vec<Task<'a>> {
    const NAME: &str = "packages: the same bytes from two folders";
    let mut tasks = packages::tasks(rig, maker);
    tasks.push(Task::cargo(NAME, || maker.same()));
    tasks
}

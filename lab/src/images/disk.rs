//! File systems of guests: ext4 images, made without root rights.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qemu_tests::protocol::{ORDERS_PATH, Orders};
use qemu_tests::{hotplug, rerun};

use crate::files::{self, link_tree};
use crate::initrd::{self, Choice, LINKS};
use crate::program;
use crate::rig::Rig;
use crate::supply::{AGENT, COMMAND, Program};
use crate::system::ARCHITECTURE;
use crate::tools::MKE2FS;
use crate::userland::{self, Files};

/// What initramfs images want to find before they call something a root.
const FOLDERS: [&str; 10] = [
    "dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/lib", "usr/sbin", "sysroot",
];

/// What a real root has in which somebody works.
pub struct System {
    /// The agent, the command, and kmod with its libraries.
    programs: Files,
    /// The folder with `lib/modules`.
    modules: tempfile::TempDir,
    /// More files, and folders: their places there, and where they are.
    data: Vec<(&'static str, PathBuf)>,
    /// The policy that its owner has written.
    policy: &'static str,
}

impl System {
    /// Gets all of it.
    ///
    /// # Errors
    /// Where something cannot be had or built.
    pub fn get(rig: &Rig<'_>) -> Result<Self> {
        let choice = Choice {
            natives: &rerun::MODULES,
            ..Choice::default()
        };
        let mut programs = rig.image_programs(ARCHITECTURE)?.kmod;
        programs.insert(AGENT.to_owned(), rig.agent(ARCHITECTURE)?);
        let command = rig.program(Program::Command, ARCHITECTURE)?;
        programs.insert(COMMAND.to_owned(), command);
        Ok(Self {
            programs,
            modules: initrd::stage_modules(&rig.kernel(None, ARCHITECTURE)?, &choice)?,
            data: Vec::new(),
            policy: rerun::POLICY,
        })
    }

    /// Gets one where the udev of the Debian at `debian` runs, by its own rules.
    ///
    /// # Errors
    /// Where something cannot be had or built.
    pub fn with_udev(rig: &Rig<'_>, debian: &Path) -> Result<Self> {
        let choice = Choice {
            natives: &hotplug::MODULES,
            ..Choice::default()
        };
        let mut programs = userland::collect("kmod", debian, ARCHITECTURE)?;
        let opens = ["libkmod.so.2", "libblkid.so.1"];
        let udev = userland::collect_with("udevadm", &opens, debian, ARCHITECTURE)?;
        programs.extend(udev);
        programs.insert(AGENT.to_owned(), rig.agent(ARCHITECTURE)?);
        let command = rig.program(Program::Command, ARCHITECTURE)?;
        programs.insert(COMMAND.to_owned(), command);
        let data = ["etc/passwd", "etc/group", "usr/lib/udev/rules.d"];
        Ok(Self {
            programs,
            modules: initrd::stage_modules(&rig.kernel(None, ARCHITECTURE)?, &choice)?,
            data: data.map(|place| (place, debian.join(place))).to_vec(),
            policy: "",
        })
    }

    fn place(&self, root: &Path) -> Result<()> {
        for (place, file) in &self.programs {
            let content = fs::read(file).with_context(|| format!("read({})", file.display()))?;
            files::write(&root.join(place), &content, 0o755)?;
        }
        let modules = self.modules.path().join("lib/modules");
        link_tree(&modules, &root.join("usr/lib/modules"))?;
        for (place, from) in &self.data {
            if from.is_dir() {
                link_tree(from, &root.join(place))?;
                continue;
            }
            let content = fs::read(from).with_context(|| format!("read({})", from.display()))?;
            files::write(&root.join(place), &content, 0o644)?;
        }
        if self.policy.is_empty() {
            return Ok(());
        }
        let policy = root.join("etc/vfio-bind/policy.conf");
        files::write(&policy, self.policy.as_bytes(), 0o644)
    }
}

/// Makes the image of a real root at `path`: `init` is its init, and carries out `orders`.
///
/// # Errors
/// Where something cannot be written or mke2fs fails.
pub fn make(path: &Path, init: &Path, orders: &Orders, system: Option<&System>) -> Result<()> {
    let root = tempfile::tempdir().context("a folder for a root file system")?;
    let place = |name: &str| root.path().join(name.trim_start_matches('/'));
    for folder in FOLDERS {
        fs::create_dir_all(place(folder)).with_context(|| format!("mkdir({folder})"))?;
    }
    for (link, target) in LINKS {
        std::os::unix::fs::symlink(target, place(link))
            .with_context(|| format!("symlink({link})"))?;
    }
    let content = fs::read(init).with_context(|| format!("read({})", init.display()))?;
    files::write(&place("usr/sbin/init"), &content, 0o755)?;
    // systemd does not switch to a root without it.
    files::write(&place("etc/os-release"), b"NAME=test\nID=test\n", 0o644)?;
    let text = serde_json::to_vec(orders).context("orders as JSON")?;
    files::write(&place(ORDERS_PATH), &text, 0o644)?;
    if let Some(system) = system {
        system.place(root.path())?;
    }
    small(path, Some(root.path()))
}

/// Makes a file system at `path` with nothing in it.
///
/// # Errors
/// Where mke2fs fails.
pub fn empty(path: &Path) -> Result<()> {
    small(path, None)
}

/// A file system of its own, which is gone after one boot.
fn small(path: &Path, content: Option<&Path>) -> Result<()> {
    mke2fs(&FileSystem {
        path,
        label: "test",
        content,
        offset: 0,
        size: 64 << 20,
        journal: false,
    })
}

/// A file system to make.
#[derive(Clone, Copy, Debug)]
pub struct FileSystem<'a> {
    /// The file that it goes into, made where it is not there.
    pub path: &'a Path,
    /// Its label.
    pub label: &'a str,
    /// The folder with what is to be in it.
    pub content: Option<&'a Path>,
    /// Where in the file it begins.
    pub offset: u64,
    /// How large it is: a multiple of 1024.
    pub size: u64,
    /// Whether it has a journal: for one that is written to, and whose machine ends at once.
    pub journal: bool,
}

/// Makes an ext4 that boot loaders of today can read.
///
/// # Errors
/// Where mke2fs fails.
pub fn mke2fs(what: &FileSystem<'_>) -> Result<()> {
    let mut mke2fs = MKE2FS.command()?;
    let journal = if what.journal {
        "has_journal"
    } else {
        "^has_journal"
    };
    mke2fs.args(["-q", "-F", "-t", "ext4", "-O"]);
    mke2fs.arg(format!("{journal},^orphan_file,^metadata_csum_seed"));
    mke2fs.args(["-L", what.label, "-E"]);
    mke2fs.arg(format!("offset={}", what.offset));
    if let Some(folder) = what.content {
        mke2fs.arg("-d").arg(folder);
    }
    mke2fs.arg(what.path).arg(format!("{}k", what.size / 1024));
    program::output(&mut mke2fs).map(drop)
}

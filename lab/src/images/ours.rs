//! A Debian on one disk, with us in it: its files, an image that its own tool builds, and the disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use qemu_tests::installed::PROTECTED;
use qemu_tests::judge::Evidence;
use qemu_tests::machine::{Machine, TWIN_DISK};
use qemu_tests::protocol::Orders;

use super::build::stand_in;
use super::tool::{IMAGE, Tool};
use super::{disk, guest, storage};
use crate::files;
use crate::kernel::Kernel;
use crate::program;
use crate::rig::Rig;
use crate::supply::COMMAND;
use crate::system::{self, ARCHITECTURE, Recipe};
use crate::vm;

/// The modules of the system: its disks' and the card's drivers, and what ext4 asks for by an alias.
const MODULES: [&str; 5] = ["nvme", "ext4", "crc32c_generic", "bochs", "snd_hda_intel"];
/// What its images load whatever the machine has.
const LISTED: &str = "ext4\ncrc32c_generic\nnvme\n";
/// Whose image is built.
const TOOL: Tool = Tool::HOOKS;

/// What a boot of it starts with.
pub struct Start<'a> {
    /// What it runs on.
    pub machine: &'a Machine,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The image.
    pub image: &'a Path,
    /// The kernel command line.
    pub cmdline: String,
    /// How many times the limit of a boot it may take.
    pub patience: u32,
    /// Where the console is kept.
    pub log: &'a Path,
}

/// The system.
pub struct Ours<'a> {
    pub rig: &'a Rig<'a>,
    /// Where all of it is made.
    folder: PathBuf,
    /// What its root file system holds; images are built there.
    pub root: PathBuf,
    /// Its disk.
    pub disk: PathBuf,
}

impl<'a> Ours<'a> {
    /// Unpacks the system, with its kernel and with us.
    ///
    /// # Errors
    /// Where something cannot be had or written.
    pub fn lay_out(rig: &'a Rig<'a>, name: &str, recipe: Recipe) -> Result<Self> {
        let folder = rig.folder().join(name);
        let system = Self {
            rig,
            root: folder.join("root"),
            disk: folder.join("disk"),
            folder,
        };
        storage::lay_out(rig, recipe, &system.root, &MODULES, LISTED)?;
        rig.install(&system.root)?;
        Ok(system)
    }

    /// Builds an image that knows the disk of the system.
    ///
    /// # Errors
    /// Where the tool fails.
    pub fn image(&self, name: &str) -> Result<PathBuf> {
        stand_in(
            &self.root.join(COMMAND),
            &format!("{PROTECTED} # /: disk\n"),
        )?;
        let kernel = self.rig.kernel(None, ARCHITECTURE)?;
        let words = TOOL.command(&kernel.release);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        program::output(&mut system::command(&self.root, &words)?)
            .with_context(|| format!("no image {name}"))?;
        let path = self.folder.join(format!("{name}.img"));
        fs::rename(self.root.join(IMAGE), &path)
            .with_context(|| format!("rename({IMAGE}, {})", path.display()))?;
        Ok(path)
    }

    /// Has the system carry out orders: with the command itself, in place of what stood for it.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn order(&self, orders: &Orders) -> Result<()> {
        self.rig.install(&self.root)?;
        guest::add(self.rig, &self.root, orders)?;
        self.write("etc/fstab", "LABEL=root / ext4 ro 0 0\n", 0o644)
    }

    /// Makes the disk, of so many bytes.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn make_disk(&self, size: u64) -> Result<()> {
        let file =
            File::create(&self.disk).with_context(|| format!("create({})", self.disk.display()))?;
        file.set_len(size).context("set_len")?;
        disk::mke2fs(&disk::FileSystem {
            path: &self.disk,
            label: "root",
            content: Some(&self.root),
            offset: 0,
            size,
            journal: false,
        })
    }

    /// Writes a file of the system.
    ///
    /// # Errors
    /// Where that fails.
    pub fn write(&self, place: &str, text: &str, mode: u32) -> Result<()> {
        files::write(&self.root.join(place), text.as_bytes(), mode)
    }

    /// Boots it; tells what was seen, and how long that took.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn boot(&self, start: &Start<'_>) -> Result<(Evidence, Duration)> {
        let settings = &self.rig.settings;
        let vm = vm::Boot {
            machine: start.machine,
            kernel: start.kernel,
            image: Some(start.image),
            firmware: None,
            variables: None,
            disk: None,
            nodes: &[(TWIN_DISK, &self.disk)],
            cmdline: &start.cmdline,
            accelerator: &settings.accelerator,
            limit: settings.limit * start.patience,
            log: start.log,
        };
        let started = Instant::now();
        let evidence = vm.start()?.finish(|_| {})?;
        Ok((evidence, started.elapsed()))
    }

    /// Removes all that was made.
    ///
    /// # Errors
    /// Where that fails.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("remove({})", self.folder.display()))
    }
}

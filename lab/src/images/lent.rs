//! A Debian with systemd and QEMU on a disk, which lends a card to a machine of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use qemu_tests::installed::PROTECTED;
use qemu_tests::judge;
use qemu_tests::lent::{self, NAME, PROVES};
use qemu_tests::machine::TWIN_DISK;

use super::build::stand_in;
use super::tool::{IMAGE, Tool};
use super::{disk, guest, systems};
use crate::files::{self, link_tree};
use crate::initrd::{self, Choice};
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::supply::{COMMAND, Executables, Program};
use crate::system::{self, ARCHITECTURE, Recipe};
use crate::vm;

/// The modules of the system: its disk's and the card's drivers, and what ext4 asks for by an alias.
const MODULES: [&str; 5] = ["nvme", "ext4", "crc32c_generic", "bochs", "snd_hda_intel"];
/// Whose image is built.
const TOOL: Tool = Tool::HOOKS;
const MIB: u64 = 1 << 20;
const DISK_SIZE: u64 = 1024 * MIB;
/// A QEMU in QEMU is slow.
const PATIENCE: u32 = 3;

fn recipe() -> Recipe {
    const PACKAGES: &[&str] = &[
        "initramfs-tools-core",
        "busybox",
        "zstd",
        "systemd-sysv",
        "qemu-system-x86",
    ];
    Recipe {
        name: "lent",
        version: None,
        pool: &[],
        releases: &[("bookworm", PACKAGES)],
    }
}

/// The one system.
#[derive(Clone, Copy)]
struct Lent;

const ALL: [Lent; 1] = [Lent];

/// Whether it is among `names`, and the other names.
#[must_use]
pub fn choose(names: &[String]) -> (bool, Vec<String>) {
    let (chosen, others) = systems::chosen(names, &ALL, |_| NAME);
    (!chosen.is_empty(), others)
}

/// Its task.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>) -> Vec<Task<'a>> {
    let mut wants = rig.machine_parts(None, ARCHITECTURE);
    wants.extend([Part::ImageTools, Part::System(recipe())]);
    systems::tasks(rig, &ALL, &wants, |_| NAME, |rig, _| boots(rig))
}

/// What it proves, as a table.
#[must_use]
pub fn list() -> String {
    systems::list("System that lends", &ALL, |_| [NAME, PROVES])
}

fn boots(rig: &Rig<'_>) -> Result<Row> {
    let folder = rig.folder().join(NAME);
    let system = System {
        rig,
        root: folder.join("root"),
        disk: folder.join("disk"),
        folder,
    };
    system.lay_out()?;
    let image = system.image()?;
    system.make_disk()?;
    let row = system.boot(&image)?;
    fs::remove_dir_all(&system.folder)
        .with_context(|| format!("remove({})", system.folder.display()))?;
    Ok(row)
}

/// The system.
struct System<'a> {
    rig: &'a Rig<'a>,
    /// Where all of it is made.
    folder: PathBuf,
    /// What its root file system holds; its image is built there.
    root: PathBuf,
    /// Its disk.
    disk: PathBuf,
}

impl System<'_> {
    /// Unpacks the system, with its kernel and with us.
    fn lay_out(&self) -> Result<()> {
        link_tree(&self.rig.system(recipe())?, &self.root)?;
        let kernel = self.rig.kernel(None, ARCHITECTURE)?;
        let choice = Choice {
            natives: &MODULES,
            ..Choice::default()
        };
        let staged = initrd::stage_modules(&kernel, &choice)?;
        TOOL.add_kernel(&self.root, &kernel, staged.path())?;
        self.write(
            "etc/initramfs-tools/modules",
            "ext4\ncrc32c_generic\nnvme\n",
            0o644,
        )?;
        self.write(
            "etc/initramfs-tools/conf.d/test",
            "COMPRESS=gzip\nCOMPRESSLEVEL=1\nRESUME=none\n",
            0o644,
        )?;
        self.install()
    }

    fn install(&self) -> Result<()> {
        let executables = Executables {
            agent: &self.rig.agent(ARCHITECTURE)?,
            command: &self.rig.program(Program::Command, ARCHITECTURE)?,
        };
        self.rig.supply().install(executables, &self.root)
    }

    /// Builds an image that knows the disk of the system.
    fn image(&self) -> Result<PathBuf> {
        stand_in(
            &self.root.join(COMMAND),
            &format!("{PROTECTED} # /: disk\n"),
        )?;
        let kernel = self.rig.kernel(None, ARCHITECTURE)?;
        let words = TOOL.command(&kernel.release);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        program::output(&mut system::command(&self.root, &words)?).context("no image")?;
        let path = self.folder.join("image");
        fs::rename(self.root.join(IMAGE), &path)
            .with_context(|| format!("rename({IMAGE}, {})", path.display()))?;
        Ok(path)
    }

    fn make_disk(&self) -> Result<()> {
        // The command itself, in place of what stood for it.
        self.install()?;
        guest::add(self.rig, &self.root, &lent::orders())?;
        self.write(lent::SCRIPT, &lent::script(), 0o644)?;
        self.write("etc/fstab", "LABEL=root / ext4 ro 0 0\n", 0o644)?;
        let file =
            File::create(&self.disk).with_context(|| format!("create({})", self.disk.display()))?;
        file.set_len(DISK_SIZE).context("set_len")?;
        disk::mke2fs(&disk::FileSystem {
            path: &self.disk,
            label: "root",
            content: Some(&self.root),
            offset: 0,
            size: DISK_SIZE,
            journal: false,
        })
    }

    /// Boots it and judges.
    fn boot(&self, image: &Path) -> Result<Row> {
        let log = logs::folder()?.join(format!("{NAME}.log"));
        let machine = lent::machine();
        let started = Instant::now();
        let vm = vm::Boot {
            machine: &machine,
            kernel: &self.rig.kernel(None, ARCHITECTURE)?,
            image: Some(image),
            firmware: None,
            variables: None,
            disk: None,
            nodes: &[(TWIN_DISK, &self.disk)],
            cmdline: &lent::cmdline(),
            accelerator: &self.rig.settings.accelerator,
            limit: self.rig.settings.limit * PATIENCE,
            log: &log,
        };
        let evidence = vm.start()?.finish(|_| {})?;
        let time = started.elapsed();
        let judgement = judge::judge_lent(&evidence);
        let mut row = Row::passed(NAME);
        row.add_boot(None, time, judgement, Verdict::Failed, &log);
        Ok(row)
    }

    fn write(&self, place: &str, text: &str, mode: u32) -> Result<()> {
        files::write(&self.root.join(place), text.as_bytes(), mode)
    }
}

//! A Debian with systemd on a disk, where the units of the real root are enabled.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use qemu_tests::installed::PROTECTED;
use qemu_tests::judge;
use qemu_tests::machine::TWIN_DISK;
use qemu_tests::units::{self, Boot, ENABLED, HELPERS, NAME, PROVES};

use super::build::stand_in;
use super::tool::{IMAGE, Tool};
use super::{disk, guest, storage, systems};
use crate::files;
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::supply::{COMMAND, Executables, Program};
use crate::system::{self, ARCHITECTURE};
use crate::vm;

/// The modules of the system: its disks' and the card's drivers, and what ext4 asks for by an alias.
const MODULES: [&str; 5] = ["nvme", "ext4", "crc32c_generic", "bochs", "snd_hda_intel"];
/// Whose image is built.
const TOOL: Tool = Tool::HOOKS;
/// A hook that leaves vfio-pci out of an image, and its file.
const WITHOUT: (&str, &str) = (
    "etc/initramfs-tools/hooks/zz-without-vfio",
    "#!/bin/sh\n[ \"$1\" = prereqs ] && exit 0\n\
     find \"$DESTDIR/\" -name 'vfio-pci.ko*' -exec rm {} +\n",
);
const MIB: u64 = 1 << 20;
const DISK_SIZE: u64 = 384 * MIB;

/// The one system.
#[derive(Clone, Copy)]
struct Units;

const ALL: [Units; 1] = [Units];

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
    wants.extend([Part::ImageTools, Part::System(storage::recipe())]);
    systems::tasks(rig, &ALL, &wants, |_| NAME, |rig, _| boots(rig))
}

/// What it proves, as a table.
#[must_use]
pub fn list() -> String {
    systems::list("System with its units", &ALL, |_| [NAME, PROVES])
}

/// Boots it in every way.
fn boots(rig: &Rig<'_>) -> Result<Row> {
    let folder = rig.folder().join(NAME);
    let system = System {
        rig,
        root: folder.join("root"),
        disk: folder.join("disk"),
        folder,
    };
    system.lay_out()?;
    let whole = system.image("whole")?;
    system.write(WITHOUT.0, WITHOUT.1, 0o755)?;
    let without = system.image("without")?;
    system.make_disk()?;
    let mut row = Row::passed(NAME);
    for boot in Boot::ALL {
        let image = match boot.image_has_vfio() {
            true => &whole,
            false => &without,
        };
        system.boot(boot, image, &mut row)?;
    }
    fs::remove_dir_all(&system.folder)
        .with_context(|| format!("remove({})", system.folder.display()))?;
    Ok(row)
}

/// The system.
struct System<'a> {
    rig: &'a Rig<'a>,
    /// Where all of it is made.
    folder: PathBuf,
    /// What its root file system holds; images are built there.
    root: PathBuf,
    /// Its disk.
    disk: PathBuf,
}

impl System<'_> {
    /// Unpacks the system, with its kernel and with us.
    fn lay_out(&self) -> Result<()> {
        let listed = "ext4\ncrc32c_generic\nnvme\n";
        storage::lay_out(self.rig, &self.root, &MODULES, listed)?;
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
    fn image(&self, name: &str) -> Result<PathBuf> {
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

    /// Enables the units as their owner does, and makes the disk.
    fn make_disk(&self) -> Result<()> {
        // The command itself, in place of what stood for it.
        self.install()?;
        guest::add(self.rig, &self.root, &units::orders())?;
        for (place, text) in units::files() {
            self.write(place, &text, 0o644)?;
        }
        self.write("etc/fstab", "LABEL=root / ext4 ro 0 0\n", 0o644)?;
        let enable = [&["systemctl", "enable"], &ENABLED[..], &HELPERS[..]].concat();
        program::output(&mut system::command(&self.root, &enable)?)?;
        for unit in ENABLED {
            let link = format!("etc/systemd/system/multi-user.target.wants/{unit}");
            ensure!(
                self.root.join(&link).is_symlink(),
                "`systemctl enable` made no {link}"
            );
        }
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

    /// Boots it, judges, and adds to the row.
    fn boot(&self, boot: Boot, image: &Path, row: &mut Row) -> Result<()> {
        let name = format!("{NAME}-{}", boot.name());
        let log = logs::folder()?.join(format!("{name}.log"));
        let machine = boot.machine();
        let mut kernel = self.rig.kernel(None, ARCHITECTURE)?;
        if machine.sleeps {
            kernel = kernel.as_packaged();
        }
        let started = Instant::now();
        let vm = vm::Boot {
            machine: &machine,
            kernel: &kernel,
            image: Some(image),
            firmware: None,
            variables: None,
            disk: None,
            nodes: &[(TWIN_DISK, &self.disk)],
            cmdline: &boot.cmdline(),
            accelerator: &self.rig.settings.accelerator,
            limit: self.rig.settings.limit * 2,
            log: &log,
        };
        let evidence = vm.start()?.finish(|_| {})?;
        let time = started.elapsed();
        let judgement = judge::judge_units(boot, &evidence);
        row.add_boot(Some(&name), time, judgement, Verdict::Failed, &log);
        let comma = if row.note.is_empty() { "" } else { ", " };
        row.note += &format!("{comma}{} {:.0} s", boot.name(), time.as_secs_f64());
        Ok(())
    }

    fn write(&self, place: &str, text: &str, mode: u32) -> Result<()> {
        files::write(&self.root.join(place), text.as_bytes(), mode)
    }
}

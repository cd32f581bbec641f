//! Systems on two disks, each a Debian with systemd and LVM: a disk is needed that the root file system
//! is not on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use qemu_tests::judge;
use qemu_tests::machine::{ROOT_DISK, SECOND_DISK, THIRD_DISK, TWIN_DISK};
use qemu_tests::storage::{self, Boot, Stack};

use super::build::{PROTECTED_PLACE, stand_in};
use super::repack::{self, Instead};
use super::systems;
use super::tool::{IMAGE, Tool};
use super::{disk, guest};
use crate::files::{self, link_tree};
use crate::initrd::{self, Choice};
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::supply::COMMAND;
use crate::system::{self, ARCHITECTURE, Recipe};
use crate::vm;

/// The modules of the system; ext4 asks for crc32c by an alias.
const MODULES: [&str; 5] = ["nvme", "ext4", "crc32c_generic", "dm_mod", "dm_snapshot"];
/// Whose image is built.
const TOOL: Tool = Tool::HOOKS;
/// The script that makes the volumes, in the image of the first boot.
const SCRIPT: &str = "etc/initramfs-tools/scripts/init-premount/volumes";
const MIB: u64 = 1 << 20;
/// The root file system.
const ROOT_SIZE: u64 = 384 * MIB;
/// Either disk.
const DISK_SIZE: u64 = 512 * MIB;
/// Where LVM's first extent lies on a disk, and how large each is.
const FIRST_EXTENT: u64 = MIB;
const EXTENT: u64 = 4 * MIB;

/// The system that they all are.
pub(super) fn recipe() -> Recipe {
    const PACKAGES: &[&str] = &[
        "initramfs-tools-core",
        "busybox",
        "zstd",
        "lvm2",
        "systemd-sysv",
    ];
    Recipe {
        name: "storage",
        version: None,
        pool: &[],
        releases: &[("bookworm", PACKAGES), ("trixie", PACKAGES)],
    }
}

/// A task for each of `stacks`.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, stacks: &[Stack]) -> Vec<Task<'a>> {
    let mut wants = rig.machine_parts(None, ARCHITECTURE);
    wants.extend([Part::ImageTools, Part::System(recipe())]);
    systems::tasks(rig, stacks, &wants, Stack::name, boots)
}

/// The stacks among `names`, and the other names. Where there are no names, no stack is meant but by
/// a whole run.
#[must_use]
pub fn choose(names: &[String]) -> (Vec<Stack>, Vec<String>) {
    systems::chosen(names, &Stack::ALL, Stack::name)
}

/// Every stack and what it proves, as a table.
#[must_use]
pub fn list() -> String {
    systems::list("System on two disks", &Stack::ALL, |one| {
        [one.name(), one.proves()]
    })
}

/// Boots a system three times.
fn boots(rig: &Rig<'_>, stack: Stack) -> Result<Row> {
    let folder = rig.folder().join(stack.name());
    let system = System {
        rig,
        stack,
        root: folder.join("root"),
        disks: ["first.disk", "second.disk"].map(|name| folder.join(name)),
        folder,
    };
    system.lay_out()?;
    let native = system.native_image()?;
    system.make_disks()?;
    let mut row = Row::passed(stack.name());
    let mut list = String::new();
    let mut image = native;
    for boot in Boot::ALL {
        match boot {
            Boot::Native => {}
            Boot::Listed => image = system.listed_image(&list)?,
            Boot::HalfListed => image = system.half_listed_image(&image, &list)?,
        }
        list = system.boot(boot, &image, &list, &mut row)?;
        if row.verdict != Verdict::Passed {
            break;
        }
    }
    fs::remove_dir_all(&system.folder)
        .with_context(|| format!("remove({})", system.folder.display()))?;
    Ok(row)
}

/// One system.
struct System<'a> {
    rig: &'a Rig<'a>,
    stack: Stack,
    /// Where all of it is made.
    folder: PathBuf,
    /// What its root file system holds; images are built there.
    root: PathBuf,
    /// The disk of the root and the second one.
    disks: [PathBuf; 2],
}

/// Unpacks a system into `root`, with its kernel and these of its modules; `listed` is what its images load
/// whatever the machine has.
pub(super) fn lay_out(
    rig: &Rig<'_>,
    recipe: Recipe,
    root: &Path,
    modules: &[&str],
    listed: &str,
) -> Result<()> {
    link_tree(&rig.system(recipe)?, root)?;
    let kernel = rig.kernel(None, ARCHITECTURE)?;
    let choice = Choice {
        natives: modules,
        ..Choice::default()
    };
    let staged = initrd::stage_modules(&kernel, &choice)?;
    TOOL.add_kernel(root, &kernel, staged.path())?;
    for (place, text) in [
        ("etc/initramfs-tools/modules", listed),
        (
            "etc/initramfs-tools/conf.d/test",
            "COMPRESS=gzip\nCOMPRESSLEVEL=1\nRESUME=none\n",
        ),
    ] {
        files::write(&root.join(place), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

impl System<'_> {
    /// Unpacks the system, with its kernel.
    fn lay_out(&self) -> Result<()> {
        // Those that nothing asks for by an alias of a device.
        let listed = "ext4\ncrc32c_generic\ndm_mod\ndm_snapshot\n";
        lay_out(self.rig, recipe(), &self.root, &MODULES, listed)
    }

    /// The image of the first boot: without us, and with the script that makes the volumes.
    fn native_image(&self) -> Result<PathBuf> {
        if self.stack.has_volumes() {
            self.write(SCRIPT, &self.script(), 0o755)?;
        }
        let image = self.build("native")?;
        if self.stack.has_volumes() {
            let script = self.root.join(SCRIPT);
            fs::remove_file(&script).with_context(|| format!("remove({})", script.display()))?;
        }
        Ok(image)
    }

    /// udev has settled by then, and nothing has looked for the root yet. The driver goes on in a thread of
    /// its own after its probe.
    fn script(&self) -> String {
        format!(
            "#!/bin/sh
[ \"$1\" = prereqs ] && exit 0
node() {{
    for _ in $(seq 200); do
        for path in /sys/bus/pci/devices/$1/nvme/nvme*/nvme*n1; do
            [ -b /dev/${{path##*/}} ] && echo /dev/${{path##*/}} && return
        done
        sleep 0.1
    done
}}
first=$(node {ROOT_DISK}) second=$(node {SECOND_DISK})
modprobe -a dm_mod dm_snapshot
set -ex
{}",
            self.stack.commands(ROOT_SIZE / EXTENT)
        )
    }

    /// The image that the system's own hook builds, with the list that the system told.
    fn listed_image(&self, list: &str) -> Result<PathBuf> {
        let part = Boot::Listed.part(list);
        stand_in(&self.root.join(COMMAND), &part)?;
        let image = self.build(Boot::Listed.name())?;
        let found = repack::content(&image, PROTECTED_PLACE)?;
        ensure!(
            found.as_deref() == Some(part.as_bytes()),
            "{PROTECTED_PLACE} in the image is not the list `{part}`"
        );
        Ok(image)
    }

    /// The same image with a part of the list.
    fn half_listed_image(&self, listed: &Path, list: &str) -> Result<PathBuf> {
        let path = self.folder.join("half-listed.img");
        let part = Boot::HalfListed.part(list);
        let instead = Instead::File(initrd::DATA, part.as_bytes());
        repack::replace(listed, &path, PROTECTED_PLACE, instead)?;
        Ok(path)
    }

    /// Builds an image of what is in the system.
    fn build(&self, name: &str) -> Result<PathBuf> {
        let kernel = self.rig.kernel(None, ARCHITECTURE)?;
        let words = TOOL.command(&kernel.release);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        program::output(&mut system::command(&self.root, &words)?)
            .with_context(|| format!("no image for {}", self.stack.name()))?;
        let path = self.folder.join(format!("{name}.img"));
        fs::rename(self.root.join(IMAGE), &path)
            .with_context(|| format!("rename({IMAGE}, {})", path.display()))?;
        Ok(path)
    }

    /// Installs us and what carries out the orders, and makes the disks.
    fn make_disks(&self) -> Result<()> {
        self.rig.install(&self.root)?;
        guest::add(self.rig, &self.root, &self.stack.orders())?;
        self.write("etc/fstab", &self.stack.fstab(), 0o644)?;
        let srv = self.root.join("srv");
        fs::create_dir_all(&srv).with_context(|| format!("mkdir({})", srv.display()))?;

        let [first, second] = &self.disks;
        for disk in [first, second] {
            let file = File::create(disk).with_context(|| format!("create({})", disk.display()))?;
            file.set_len(DISK_SIZE).context("set_len")?;
        }
        let volumes = self.stack.has_volumes();
        disk::mke2fs(&disk::FileSystem {
            path: first,
            label: "root",
            content: Some(&self.root),
            // Where the extents of the volume come to lie, so that nothing has to be copied.
            offset: if volumes { FIRST_EXTENT } else { 0 },
            size: ROOT_SIZE,
            journal: false,
        })?;
        if volumes {
            return Ok(());
        }
        disk::mke2fs(&disk::FileSystem {
            path: second,
            label: "srv",
            content: None,
            offset: 0,
            size: DISK_SIZE,
            journal: false,
        })
    }

    /// Boots it, judges, and adds to the row; gives the list that the system told, or that it was told.
    fn boot(&self, boot: Boot, image: &Path, list: &str, row: &mut Row) -> Result<String> {
        let name = format!("{}-{}", self.stack.name(), boot.name());
        let log = logs::folder()?.join(format!("{name}.log"));
        let machine = storage::machine();
        let [first, second] = &self.disks;
        let started = Instant::now();
        let vm = vm::Boot {
            machine: &machine,
            kernel: &self.rig.kernel(None, ARCHITECTURE)?,
            image: Some(image),
            firmware: None,
            variables: None,
            disk: None,
            nodes: &[(TWIN_DISK, first), (THIRD_DISK, second)],
            cmdline: &self.stack.cmdline(boot),
            accelerator: &self.rig.settings.accelerator,
            limit: self.rig.settings.limit,
            log: &log,
        };
        let evidence = vm.start()?.finish(|_| {})?;
        let time = started.elapsed();
        let judgement = judge::judge_storage(self.stack, boot, list, &evidence);
        // The first boot has no agent in it.
        let otherwise = match boot == Boot::Native && !judgement.ended_well {
            true => Verdict::Broken,
            false => Verdict::Failed,
        };
        row.add_boot(Some(&name), time, judgement, otherwise, &log);
        row.note_time(boot.name(), time);
        Ok(judge::told_list(&evidence).unwrap_or_else(|| list.to_owned()))
    }

    fn write(&self, place: &str, text: &str, mode: u32) -> Result<()> {
        files::write(&self.root.join(place), text.as_bytes(), mode)
    }
}

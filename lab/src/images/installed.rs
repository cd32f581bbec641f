//! Debian 13 on a disk of its own, booted by firmware and a real boot loader.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use qemu_tests::installed::{self, Boot, Loader, NEXT, SOURCE, State, System};
use qemu_tests::judge;
use qemu_tests::machine::TWIN_DISK;

use super::disk;
use super::guest::{self, MACHINE_ID};
use super::systems;
use super::tool::Tool;
use crate::files::{self, link_tree};
use crate::initrd::{self, Choice};
use crate::kernel::Kernel;
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::supply::{Executables, Program};
use crate::system::{self, ARCHITECTURE, Recipe};
use crate::tools::{MCOPY, MKFS_FAT, MMD, SFDISK};
use crate::vm;

/// Debian 13's.
const KERNEL: &str = "6.12";
/// The modules of the system: its disks' and the card's drivers, what ext4 asks for by an alias, and what
/// vfat does.
const MODULES: [&str; 9] = [
    "nvme",
    "efivarfs",
    "ext4",
    "crc32c_generic",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "bochs",
    "snd_hda_intel",
];
/// Whose image is built.
const TOOL: Tool = Tool::HOOKS;

const MIB: u64 = 1 << 20;
/// Where EFI's partition begins, and how large it is.
const ESP: (u64, u64) = (MIB, 160 * MIB);
/// Where that of the root begins, and how large it is.
const ROOT: (u64, u64) = (161 * MIB, 640 * MIB);
/// The disk: behind the last partition the table comes again.
const DISK_SIZE: u64 = 802 * MIB;

/// A boot takes a minute, and a script that builds an image in an emulated machine as long again.
const PATIENCE: u32 = 3;

/// The system.
fn recipe() -> Recipe {
    const PACKAGES: &[&str] = &[
        "initramfs-tools",
        "grub-efi-amd64",
        "systemd-sysv",
        "systemd-boot",
        "e2fsprogs",
        "zstd",
    ];
    Recipe {
        name: "installed",
        version: None,
        pool: &[],
        releases: &[("trixie", PACKAGES)],
    }
}

/// A task for each of `chosen`.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, chosen: &[System]) -> Vec<Task<'a>> {
    let mut wants = rig.machine_parts(Some(KERNEL), ARCHITECTURE);
    wants.extend([
        Part::Firmware(ARCHITECTURE),
        Part::ImageTools,
        Part::DiskTools,
        Part::System(recipe()),
    ]);
    systems::tasks(rig, chosen, &wants, System::name, boots)
}

/// The systems among `names`, and the other names.
#[must_use]
pub fn choose(names: &[String]) -> (Vec<System>, Vec<String>) {
    systems::chosen(names, &System::ALL, System::name)
}

/// Every system and what it proves, as a table.
#[must_use]
pub fn list() -> String {
    systems::list("System on a disk", &System::ALL, |one| {
        [one.name(), one.proves()]
    })
}

/// Boots a system through its course.
fn boots(rig: &Rig<'_>, system: System) -> Result<Row> {
    let folder = rig.folder().join(system.name());
    let machine = Installed {
        rig,
        system,
        kernel: rig.kernel(Some(KERNEL), ARCHITECTURE)?,
        root: folder.join("root"),
        disk: folder.join("disk"),
        variables: folder.join("variables"),
        folder,
    };
    machine.lay_out()?;
    machine.add_ours()?;
    machine.make_disk()?;
    let firmware = rig.firmware_with_variables(ARCHITECTURE)?;
    fs::copy(&firmware.variables, &machine.variables)
        .with_context(|| format!("copy({})", firmware.variables.display()))?;
    let mut row = Row::passed(system.name());
    for boot in system.boots() {
        machine.boot(&boot, &firmware.code, &mut row)?;
        if row.verdict != Verdict::Passed {
            break;
        }
    }
    fs::remove_dir_all(&machine.folder)
        .with_context(|| format!("remove({})", machine.folder.display()))?;
    Ok(row)
}

/// One system, as it lies here.
struct Installed<'a> {
    rig: &'a Rig<'a>,
    system: System,
    kernel: Kernel,
    /// Where all of it is made.
    folder: PathBuf,
    /// What its root file system holds.
    root: PathBuf,
    /// Its disk.
    disk: PathBuf,
    /// What its firmware remembers from boot to boot.
    variables: PathBuf,
}

impl Installed<'_> {
    /// The words of the kernel command line that have nothing to do with us.
    fn words(&self) -> String {
        installed::machine().kernel_parameters.join(" ")
    }

    /// Debian as its installer leaves it, with kernel, image and configuration.
    fn lay_out(&self) -> Result<()> {
        let (root, release) = (&self.root, &*self.kernel.release);
        link_tree(&self.rig.system(recipe())?, root)?;
        let choice = Choice {
            natives: &MODULES,
            ..Choice::default()
        };
        let staged = initrd::stage_modules(&self.kernel, &choice)?;
        TOOL.add_kernel(root, &self.kernel, staged.path())?;
        let vmlinuz = read(&self.kernel.packed)?;
        files::write(
            &root.join(format!("boot/vmlinuz-{release}")),
            &vmlinuz,
            0o644,
        )?;
        self.write(
            "etc/initramfs-tools/conf.d/test",
            "COMPRESS=gzip\nCOMPRESSLEVEL=1\nRESUME=none\n",
        )?;
        self.write("etc/initramfs-tools/modules", "ext4\ncrc32c_generic\n")?;
        self.write(
            "etc/fstab",
            "LABEL=root / ext4 defaults 0 0\n\
             LABEL=ESP /boot/efi vfat umask=0077,x-systemd.device-timeout=300 0 0\n",
        )?;
        let mount = root.join("boot/efi");
        fs::create_dir_all(&mount).with_context(|| format!("mkdir({})", mount.display()))?;
        let image = format!("/boot/initrd.img-{release}");
        let build = ["mkinitramfs", "-o", &image, release];
        program::output(&mut system::command(root, &build)?).context("the first image")?;
        if self.system.loader == Loader::Grub {
            let words = self.words();
            self.write(
                "etc/default/grub",
                &format!(
                    "GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_TERMINAL=console\n\
                     GRUB_CMDLINE_LINUX_DEFAULT=\"\"\nGRUB_CMDLINE_LINUX=\"{words}\"\n"
                ),
            )?;
            self.write(
                "boot/grub/grub.cfg",
                &format!("linux /boot/vmlinuz-{release} root=LABEL=root ro {words}\ninitrd {image}\nboot\n"),
            )?;
        }
        Ok(())
    }

    /// What is done in it, and the files that it is done with.
    fn add_ours(&self) -> Result<()> {
        let source = self.root.join(SOURCE.trim_start_matches('/'));
        let executables = Executables {
            agent: &self.rig.agent(ARCHITECTURE)?,
            command: &self.rig.program(Program::Command, ARCHITECTURE)?,
        };
        let target = source.join("target/install");
        self.rig.supply().install(executables, &target)?;
        let boots = self.system.boots();
        for boot in &boots {
            let place = boot.script();
            self.write(place.trim_start_matches('/'), &self.system.script(boot))?;
            let orders = self.system.orders(boot);
            let text = serde_json::to_string(&orders).context("orders as JSON")?;
            self.write(&format!("{}/{}", &NEXT[1..], boot.name), &text)?;
        }
        let first = boots.first().context("a course without boots")?;
        guest::add(self.rig, &self.root, &self.system.orders(first))
    }

    /// The disk, with EFI's partition and that of the root.
    fn make_disk(&self) -> Result<()> {
        let file =
            File::create(&self.disk).with_context(|| format!("create({})", self.disk.display()))?;
        file.set_len(DISK_SIZE).context("set_len")?;
        let partition = |(start, size): (u64, u64), kind: &str| {
            format!(
                "start={}KiB, size={}KiB, type={kind}\n",
                start / 1024,
                size / 1024
            )
        };
        let table = format!(
            "label: gpt\n{}{}",
            partition(ESP, "uefi"),
            partition(ROOT, "linux")
        );
        let input = self.folder.join("table");
        files::write(&input, table.as_bytes(), 0o644)?;
        let input = File::open(&input).with_context(|| format!("open({})", input.display()))?;
        let mut sfdisk = SFDISK.command()?;
        sfdisk.args(["--quiet", "--no-tell-kernel", "--no-reread"]);
        program::output_from(sfdisk.arg(&self.disk), input.into())?;
        disk::mke2fs(&disk::FileSystem {
            path: &self.disk,
            label: "root",
            content: Some(&self.root),
            offset: ROOT.0,
            size: ROOT.1,
            journal: true,
        })?;
        let mut mkfs = MKFS_FAT.command()?;
        // By itself it counts with larger clusters and the size of the whole file.
        mkfs.args(["-F", "32", "-s", "1", "-n", "ESP"]);
        mkfs.args(["--offset", &(ESP.0 / 512).to_string()]);
        program::output(mkfs.arg(&self.disk).arg((ESP.1 / 1024).to_string()))?;
        let at = format!("{}@@{}", self.disk.display(), ESP.0);
        let files = self.esp()?;
        let folders = files.iter().flat_map(|(place, _)| {
            let ends = place.match_indices('/');
            ends.map(|(end, _)| &place[..end])
        });
        // Each after the one that it is in.
        for folder in folders.collect::<BTreeSet<_>>() {
            let mut mmd = MMD.command()?;
            program::output(mmd.args(["-i", &at]).arg(format!("::{folder}")))?;
        }
        for (place, file) in &files {
            let mut mcopy = MCOPY.command()?;
            mcopy.args(["-i", &at]).arg(file).arg(format!("::{place}"));
            program::output(&mut mcopy)?;
        }
        Ok(())
    }

    /// What is in EFI's partition, by its place there: the loader where firmware looks for one, and what
    /// leads it on, as the packages of Debian leave it.
    fn esp(&self) -> Result<Vec<(String, PathBuf)>> {
        const REMOVABLE: &str = "EFI/BOOT/BOOTX64.EFI";
        let root = &self.root;
        let text = |name: &str, text: &str| -> Result<PathBuf> {
            let path = self.folder.join(name);
            files::write(&path, text.as_bytes(), 0o644)?;
            Ok(path)
        };
        let release = &*self.kernel.release;
        let all = match self.system.loader {
            Loader::Grub => vec![
                (
                    REMOVABLE.to_owned(),
                    root.join("usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"),
                ),
                (
                    "EFI/debian/grub.cfg".to_owned(),
                    text(
                        "grub.cfg",
                        "search.fs_label root root\nset prefix=($root)'/boot/grub'\n\
                         configfile $prefix/grub.cfg\n",
                    )?,
                ),
            ],
            Loader::SystemdBoot => {
                let loader = root.join("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed");
                let folder = format!("{MACHINE_ID}/{release}");
                let image = format!("initrd.img-{release}");
                let entry = format!(
                    "title Debian\nversion {release}\nlinux /{folder}/linux\n\
                     initrd /{folder}/{image}\noptions root=LABEL=root ro {}\n",
                    self.words()
                );
                vec![
                    (REMOVABLE.to_owned(), loader.clone()),
                    ("EFI/systemd/systemd-bootx64.efi".to_owned(), loader),
                    (
                        "loader/loader.conf".to_owned(),
                        text("loader.conf", "timeout 0\n")?,
                    ),
                    (
                        format!("loader/entries/{MACHINE_ID}-{release}.conf"),
                        text("entry.conf", &entry)?,
                    ),
                    (
                        format!("{folder}/linux"),
                        root.join(format!("boot/vmlinuz-{release}")),
                    ),
                    (format!("{folder}/{image}"), root.join("boot").join(image)),
                ]
            }
        };
        Ok(all)
    }

    /// Boots it, judges, and adds to the row.
    fn boot(&self, boot: &Boot, firmware: &Path, row: &mut Row) -> Result<()> {
        let name = self.system.orders(boot).scenario;
        let log = logs::folder()?.join(format!("{name}.log"));
        let machine = installed::machine();
        let vm = vm::Boot {
            machine: &machine,
            kernel: &self.kernel,
            image: None,
            firmware: Some(firmware),
            variables: Some(&self.variables),
            disk: None,
            nodes: &[(TWIN_DISK, &self.disk)],
            cmdline: "",
            accelerator: &self.rig.settings.accelerator,
            limit: self.rig.settings.limit * PATIENCE,
            log: &log,
        };
        let started = Instant::now();
        let evidence = vm.start()?.finish(|_| {})?;
        let time = started.elapsed();
        let judgement = judge::judge_installed(&name, boot, &evidence);
        // Nothing of us has run in the first boot.
        let otherwise = match boot.state == State::Untouched && !judgement.ended_well {
            true => Verdict::Broken,
            false => Verdict::Failed,
        };
        row.add_boot(Some(&name), time, judgement, otherwise, &log);
        let comma = if row.note.is_empty() { "" } else { ", " };
        row.note += &format!("{comma}{} {:.0} s", boot.name, time.as_secs_f64());
        Ok(())
    }

    fn write(&self, place: &str, text: &str) -> Result<()> {
        files::write(&self.root.join(place), text.as_bytes(), 0o644)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read({})", path.display()))
}

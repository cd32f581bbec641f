//! Debian 13 on a disk of its own, booted by firmware and a real boot loader.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use qemu_tests::installed::{
    self, ARCHIVE_AND_LIST, Boot, Course, Loader, NEXT, PROTECTED, SOURCE, State, System,
};
use qemu_tests::judge;
use qemu_tests::machine::TWIN_DISK;

use super::esp::Esp;
use super::gpt;
use super::guest;
use super::systems;
use super::tool::Tool;
use crate::appended;
use crate::files::{self, link_tree};
use crate::initrd::{self, Choice};
use crate::kernel::Kernel;
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::system::{self, ARCHITECTURE, Recipe};
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
/// A boot takes a minute, and a script that builds an image in an emulated machine as long again.
const PATIENCE: u32 = 3;
/// Where it builds two, and looks at every file twice.
const MORE_PATIENCE: u32 = 6;

/// Debian 13, as a system wants it.
fn recipe(system: System) -> Recipe {
    const PACKAGES: &[&str] = &[
        "initramfs-tools",
        "grub-efi-amd64",
        "systemd-sysv",
        "systemd-boot",
        "e2fsprogs",
        "zstd",
    ];
    const UNIFIED: &[&str] = &[
        "initramfs-tools",
        "systemd-sysv",
        "systemd-boot",
        "systemd-boot-efi",
        "systemd-ukify",
        "e2fsprogs",
        "zstd",
    ];
    const LENDS: &[&str] = &[
        "initramfs-tools",
        "grub-efi-amd64",
        "systemd-sysv",
        "e2fsprogs",
        "zstd",
        "qemu-system-x86",
    ];
    let (name, releases): (_, &[_]) = match (system.course, system.loader) {
        (Course::Journey, _) => ("journey", &[("trixie", LENDS)]),
        (_, Loader::Unified) => ("installed-unified", &[("trixie", UNIFIED)]),
        _ => ("installed", &[("trixie", PACKAGES)]),
    };
    Recipe {
        name,
        version: None,
        pool: &[],
        releases,
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
    ]);
    let tasks = |system: &System| {
        let recipe = recipe(*system);
        let own = match system.course {
            Course::Journey => [Part::Installed(recipe)],
            _ => [Part::System(recipe)],
        };
        let wants = [&wants[..], &own].concat();
        systems::tasks(rig, &[*system], &wants, System::name, boots)
    };
    chosen.iter().flat_map(tasks).collect()
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
        let recipe = recipe(self.system);
        if self.system.course == Course::Journey {
            self.rig.copy_installed(recipe, root)?;
        } else {
            link_tree(&self.rig.system(recipe)?, root)?;
        }
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
        let listed = match self.system.course {
            // As docs/install.md says.
            Course::Archive => "ext4\ncrc32c_generic\nvfio_pci\nvfio_iommu_type1\n",
            _ => "ext4\ncrc32c_generic\n",
        };
        self.write("etc/initramfs-tools/modules", listed)?;
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
        let words = self.words();
        match self.system.loader {
            Loader::Grub => {
                self.write(
                    "etc/default/grub",
                    &format!(
                        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_TERMINAL=console\n\
                         GRUB_CMDLINE_LINUX_DEFAULT=\"\"\nGRUB_CMDLINE_LINUX=\"{words}\"\n"
                    ),
                )?;
                let menu = format!(
                    "linux /boot/vmlinuz-{release} root=LABEL=root ro {words}\ninitrd {image}\nboot\n"
                );
                self.write("boot/grub/grub.cfg", &menu)
            }
            Loader::SystemdBoot => Ok(()),
            Loader::Unified => self.write("etc/kernel/install.conf", "layout=uki\n"),
        }
    }

    /// What is done in it, and the files that it is done with.
    fn add_ours(&self) -> Result<()> {
        let source = self.root.join(SOURCE.trim_start_matches('/'));
        self.rig.install(&source.join("target/install"))?;
        if self.system.course == Course::Journey {
            let package = self.rig.supply().package(ARCHITECTURE, &self.folder)?;
            let content = read(&package)?;
            files::write(&source.join("vfio-bind.deb"), &content, 0o644)?;
        }
        if self.system.course == Course::Archive {
            let [archive, list] = ARCHIVE_AND_LIST.map(|name| source.join(name));
            files::write(&list, format!("{PROTECTED}\n").as_bytes(), 0o644)?;
            let content = appended::Content {
                agent: &self.rig.agent(ARCHITECTURE)?,
                policy: None,
                protected: Some(&list),
            };
            appended::write(&archive, content)?;
        }
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
        let esp = Esp {
            loader: self.system.loader,
            root: &self.root,
            release: &self.kernel.release,
            words: &self.words(),
            folder: &self.folder,
        };
        gpt::make(&gpt::Disk {
            path: &self.disk,
            esp: &esp.files()?,
            root: &self.root,
            root_size: match self.system.course {
                Course::Journey => 1280 * MIB,
                _ => 640 * MIB,
            },
            folder: &self.folder,
        })
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
            limit: self.rig.settings.limit
                * match self.system.course {
                    Course::Journey => MORE_PATIENCE,
                    _ => PATIENCE,
                },
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
        row.note_time(boot.name, time);
        Ok(())
    }

    fn write(&self, place: &str, text: &str) -> Result<()> {
        files::write(&self.root.join(place), text.as_bytes(), 0o644)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read({})", path.display()))
}

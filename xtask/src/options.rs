//! The command line of `cargo xtask`. An option that would have no effect is refused.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use clap::{Parser, Subcommand};
use lab::images::{self, Dracut, Framework, InitramfsTools};
use lab::kernel;
use lab::rig::Settings;
use lab::row::Rules;
use lab::supply::Program;

use crate::workspace;

/// The tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, max_term_width = 100)]
pub struct Arguments {
    /// Which one.
    #[command(subcommand)]
    pub task: Task,
}

/// A task.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Build the agent; the last line of the output is its path.
    Build {
        /// For another machine than this one, or for a target with another C library, of which the
        /// agent uses none.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Lay every file in its place, as a package does.
    Install {
        /// What the places are under.
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        /// Only list the files.
        #[arg(long)]
        dry_run: bool,
        /// An agent to install instead of building one.
        #[arg(long, value_name = "PATH")]
        agent: Option<PathBuf>,
        /// A command `vfio-bind` to install instead of building one.
        #[arg(long, value_name = "PATH")]
        command: Option<PathBuf>,
    },
    /// Write an archive that brings the agent into an image that cannot be rebuilt.
    ///
    /// Give it to the boot loader as a second initrd, behind the image or in front of it (or append it
    /// to a copy of the image, however that is compressed), and add `rdinit=/usr/bin/vfio-bind-agent` to the kernel command line: the
    /// kernel starts the agent, which binds and becomes the image's own /init. The image itself
    /// must have modprobe and the modules vfio-pci and vfio_iommu_type1.
    Cpio {
        /// The archive.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A policy for the image, in the words of the command line, one to a line.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// What `vfio-bind protected` printed on the machine that the archive is for: the functions that
        /// it boots from, which are left alone.
        #[arg(long, value_name = "FILE")]
        protected: Option<PathBuf>,
        /// An agent to pack instead of building one.
        #[arg(long, value_name = "PATH")]
        agent: Option<PathBuf>,
    },
    /// Boot a machine with vfio.bind= and one without, and show the difference.
    Demo {
        /// What to boot.
        #[command(flatten)]
        machine: MachineOptions,
    },
    /// Check the code, and boot what proves each promise once, on what this machine needs anyway.
    Test {
        /// Everything: every scenario, kernel, architecture and version of an initramfs tool. It
        /// downloads 4 GB and builds a kernel, once.
        #[arg(long)]
        all: bool,
        /// What to boot.
        #[command(flatten)]
        machine: MachineOptions,
        /// How to run.
        #[command(flatten)]
        run: RunOptions,
        /// A program that boots images.
        #[command(flatten)]
        mkinitcpio: MkinitcpioOption,
    },
    /// Run the unit and property tests, for another architecture under qemu-user.
    ///
    /// For another one, only the agent's; and what its executable prints is compared with this
    /// machine's. qemu-user, a cross compiler and a C library are installed or named where they are
    /// missing; without libraries of rustc's for the target, Debian's compiler goes into the cache
    /// folder (200 MB to download, 760 MB on disk).
    UnitTests {
        /// For another machine than this one.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Run scenarios in QEMU, all of `test --all` where none is named.
    QemuTest(QemuTest),
}

/// Which boots to run.
#[derive(Clone, Debug, clap::Args)]
pub struct QemuTest {
    /// Scenarios; with `--initramfs`, parts of the names of its rows.
    pub names: Vec<String>,
    /// Show what there is.
    #[arg(long, conflicts_with_all = ["names", "matrix", "disk", "prove_it_can_fail", "initramfs", "kernel",
        "modules", "accel", "agent", "timeout", "jobs", "strict"])]
    pub list: bool,
    /// Run the core scenarios with each kernel on each machine, and print a table of those.
    #[arg(long, conflicts_with_all = ["names", "prove_it_can_fail", "initramfs", "kernel", "modules",
        "seed"])]
    pub matrix: bool,
    /// Run an agent that does nothing: every scenario must fail.
    #[arg(long, conflicts_with_all = ["agent", "initramfs"])]
    pub prove_it_can_fail: bool,
    /// Install into a Debian 13 on a disk as docs/install.md says, boot it by firmware and a real boot
    /// loader, remove it again, and boot once more. Downloads 50 MB besides a kernel, once.
    #[arg(long, conflicts_with_all = ["names", "matrix", "initramfs", "kernel", "modules", "seed"])]
    pub disk: bool,
    /// Boot images that this tool builds, with and without our module in them; may be repeated.
    #[arg(long, value_name = "TOOL", value_parser = named(&Framework::ALL), conflicts_with = "seed")]
    pub initramfs: Vec<Framework>,
    /// Only this version of dracut.
    #[arg(long, value_name = "VERSION", value_parser = named(&Dracut::ALL), requires = "initramfs")]
    pub dracut_version: Option<Dracut>,
    /// Only this version of initramfs-tools.
    #[arg(long, value_name = "VERSION", value_parser = named(&InitramfsTools::ALL),
        requires = "initramfs")]
    pub initramfs_tools_version: Option<InitramfsTools>,
    /// What to boot.
    #[command(flatten)]
    pub machine: MachineOptions,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
    /// A program that boots images.
    #[command(flatten)]
    pub mkinitcpio: MkinitcpioOption,
}

/// A program of this machine's that builds images.
#[derive(Clone, Debug, clap::Args)]
pub struct MkinitcpioOption {
    /// The program of an installed mkinitcpio, where it is not on the PATH.
    #[arg(long = "mkinitcpio", value_name = "PATH")]
    pub program: Option<PathBuf>,
}

/// What to boot, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct MachineOptions {
    /// Of Debian's kernels 5.10, 6.1 (the default), 6.12 or `newest`; or `built-in`, a kernel with
    /// vfio-pci in it, built from Debian's source when it is first wanted; or the path of an image.
    #[arg(long, value_name = "PATH|VERSION")]
    pub kernel: Option<String>,
    /// The folder with modules.dep that belongs to an image named by its path.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub modules: Option<PathBuf>,
    /// QEMU's accelerator, tcg where none is named: kvm is faster where it works.
    #[arg(long, value_parser = ["tcg", "kvm"])]
    pub accel: Option<String>,
    /// An agent to test instead of building one, on machines of this one's architecture.
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// The wall-clock limit of one machine: 240 where none is named.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// How to run many rows.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Rows at a time: 2 where nothing is said.
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    /// Chooses the random vfio_pci.ids= values: 1 where nothing is said.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Count a row that did not run as a failure, for a release.
    #[arg(long)]
    pub strict: bool,
}

impl MachineOptions {
    /// For the rig.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            kernel: self
                .kernel
                .clone()
                .unwrap_or_else(|| kernel::DEFAULT.to_owned()),
            modules: self.modules.clone(),
            accelerator: self.accel.clone().unwrap_or_else(|| "tcg".to_owned()),
            agent: self.agent.clone(),
            stand_in: None,
            limit: Duration::from_secs(self.timeout.unwrap_or(240)),
            work: workspace::folder().join("target/qemu-tests"),
        }
    }
}

impl RunOptions {
    /// Rows at a time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.jobs.unwrap_or(2)
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// How a run is judged.
    #[must_use]
    pub fn rules(&self, must_fail: bool) -> Rules {
        Rules {
            strict: self.strict,
            must_fail,
        }
    }
}

impl QemuTest {
    /// For the rig.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            stand_in: self.prove_it_can_fail.then_some(Program::DoNothing),
            ..self.machine.settings()
        }
    }

    /// The images to boot, if images are what is wanted.
    ///
    /// # Errors
    /// Where an option has no effect on those.
    pub fn images(&self) -> Result<Option<images::Choice>> {
        let wants = |all: &[Framework]| self.initramfs.iter().any(|one| all.contains(one));
        ensure!(
            self.mkinitcpio.program.is_none()
                || wants(&[Framework::Mkinitcpio, Framework::MkinitcpioSystemd]),
            "--mkinitcpio has no effect without --initramfs mkinitcpio or mkinitcpio-systemd"
        );
        ensure!(
            self.dracut_version.is_none() || wants(&[Framework::Dracut, Framework::DracutSystemd]),
            "--dracut-version has no effect without --initramfs dracut or dracut-systemd"
        );
        ensure!(
            self.initramfs_tools_version.is_none() || wants(&[Framework::InitramfsTools]),
            "--initramfs-tools-version has no effect without --initramfs initramfs-tools"
        );
        Ok((!self.initramfs.is_empty()).then(|| images::Choice {
            frameworks: self.initramfs.clone(),
            dracut: self.dracut_version,
            initramfs_tools: self.initramfs_tools_version,
            mkinitcpio: self.mkinitcpio.program.clone(),
            small: false,
        }))
    }
}

/// Reads one of these names.
fn named<T: Copy + Send + Sync>(
    all: &'static [(&'static str, T)],
) -> impl clap::builder::TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(all.iter().map(|(name, _)| *name));
    names.try_map(move |name| {
        let found = all.iter().find(|(one, _)| *one == name);
        found.map(|(_, value)| *value).ok_or("no such name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_option_without_effect_is_refused() {
        for line in [
            "qemu-test --matrix --kernel 6.1",
            "qemu-test --matrix --seed 2",
            "qemu-test --matrix twins",
            "qemu-test --list twins",
            "qemu-test --list --jobs 4",
            "qemu-test --initramfs dracut --seed 2",
            "qemu-test --initramfs dracut --prove-it-can-fail",
            "qemu-test --disk --matrix",
            "qemu-test --disk twins",
            "qemu-test --initramfs moon",
            "qemu-test --dracut-version 059",
            "qemu-test --modules /lib/modules/x",
            "qemu-test --prove-it-can-fail --agent /bin/true",
        ] {
            let words = ["xtask"].into_iter().chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
        for line in [
            "qemu-test --initramfs dracut --mkinitcpio /usr/bin/mkinitcpio",
            "qemu-test --initramfs cpio --dracut-version 059",
            "qemu-test --initramfs dracut --initramfs-tools-version 0.142",
            "qemu-test twins --mkinitcpio /usr/bin/mkinitcpio",
        ] {
            let words = ["xtask"].into_iter().chain(line.split(' '));
            let Task::QemuTest(options) = Arguments::try_parse_from(words).unwrap().task else {
                panic!("{line}")
            };
            options.images().unwrap_err();
        }
    }
}

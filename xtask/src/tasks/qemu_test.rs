//! Boots by their names.

use anyhow::{Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lab::debian::Debian;
use lab::images::{
    self, Builds, Dracut, Framework, InitramfsTools, installed, lent, storage, units,
};
use lab::progress::say;
use lab::rig::{Rig, Settings};
use lab::supply::Program;
use lab::{boots, matrix, row, schedule};
use qemu_tests::installed::System;
use qemu_tests::scenario::Scenario;

use super::conclusion::{self, conclude};
use crate::build::Workshop;
use crate::options::{MachineOptions, MkinitcpioOption, RunOptions};

/// Run scenarios in QEMU, all of `test --all` where none is named.
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
    /// loader, remove it again, and boot once more; and boot a Debian 12 with the units of the real root,
    /// and one that lends a card to a QEMU of its own.
    /// Downloads 50 MB besides a kernel, once.
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

/// Runs what is named, or lists what there is.
///
/// # Errors
/// Where a name is unknown, or the run cannot be begun; whatever happens in it is a row.
pub fn run(options: &QemuTest, debian: &Debian) -> Result<bool> {
    let seed = options.run.seed();
    if options.list {
        print!("{}", boots::list(&qemu_tests::scenarios::all(seed)));
        print!("\n{}", storage::list());
        print!("\n{}", installed::list());
        print!("\n{}", units::list());
        print!("\n{}", lent::list());
        print!("\n{}", matrix::names());
        return Ok(true);
    }
    let images = options.images()?;
    let workshop = Workshop(debian);
    let rig = Rig::new(options.settings(), &workshop, debian)?;
    let jobs = options.run.jobs();
    let rules = options.run.rules(options.prove_it_can_fail);
    if let Some(images) = images {
        let builds = Builds::new(&rig);
        let mut tasks = images::tasks(&rig, &builds, &images);
        let wanted = |name: &str| options.names.iter().any(|part| name.contains(part));
        if !options.names.is_empty() {
            let all: Vec<_> = tasks.iter().map(|task| task.name.clone()).collect();
            tasks.retain(|task| wanted(&task.name));
            let parts = options.names.join(", ");
            ensure!(
                !tasks.is_empty(),
                "no row has {parts} in its name; there are\n{}",
                all.join("\n")
            );
        }
        return conclusion::run(&tasks, &rig, jobs, rules);
    }
    let (stacks, names) = storage::choose(&options.names);
    let (mut systems, names) = installed::choose(&names);
    let (mut units, names) = units::choose(&names);
    let (mut lent, names) = lent::choose(&names);
    if options.disk {
        systems = System::ALL.to_vec();
        (units, lent) = (true, true);
    }
    let others = units || lent || !(stacks.is_empty() && systems.is_empty());
    let scenarios = match options.matrix {
        true => qemu_tests::matrix::all(),
        // Where nothing else is named.
        false if names.is_empty() && others => Vec::new(),
        false => boots::choose(seed, &names)?,
    };
    if !scenarios.is_empty() {
        tell(&scenarios, &rig, options);
    }
    let mut tasks = boots::tasks(&rig, &scenarios);
    tasks.extend(storage::tasks(&rig, &stacks));
    tasks.extend(installed::tasks(&rig, &systems));
    if units {
        tasks.extend(images::units::tasks(&rig));
    }
    if lent {
        tasks.extend(images::lent::tasks(&rig));
    }
    let rows = schedule::run(&tasks, &rig, jobs, rules)?;
    let table = match options.matrix {
        true => row::shortcomings(&rows, rules) + &matrix::render(&rows),
        false => row::report(&rows, rules),
    };
    Ok(conclude(&rows, rules, &table))
}

fn tell(scenarios: &[Scenario], rig: &Rig<'_>, options: &QemuTest) {
    let own = scenarios.iter().all(|one| one.kernel.is_some());
    let kernel = match own {
        true => String::new(),
        false => format!(
            ", on Linux {} where they name no kernel",
            rig.settings.kernel
        ),
    };
    say(format_args!(
        "{} scenarios{kernel}, {} at a time, seed {}",
        scenarios.len(),
        options.run.jobs(),
        options.run.seed()
    ));
}

/// Reads one of these names.
fn named<T: Copy + Send + Sync>(
    all: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(all.iter().map(|(name, _)| *name));
    names.try_map(move |name| {
        let found = all.iter().find(|(one, _)| *one == name);
        found.map(|(_, value)| *value).ok_or("no such name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The command line behind `qemu-test`.
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: QemuTest,
    }

    fn read(line: &str) -> Result<QemuTest, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.options)
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
            assert!(read(line).is_err(), "{line}");
        }
        for line in [
            "qemu-test --initramfs dracut --mkinitcpio /usr/bin/mkinitcpio",
            "qemu-test --initramfs cpio --dracut-version 059",
            "qemu-test --initramfs dracut --initramfs-tools-version 0.142",
            "qemu-test twins --mkinitcpio /usr/bin/mkinitcpio",
        ] {
            read(line).unwrap().images().unwrap_err();
        }
    }
}

//! The test run: every check, then boots; none hides another.

use anyhow::Result;
use lab::boots;
use lab::debian::Debian;
use lab::images::{self, Builds};
use lab::progress::say;
use lab::rig::Rig;
use qemu_tests::scenarios;

use super::conclusion;
use super::package_test::Maker;
use crate::build::Workshop;
use crate::options::{MachineOptions, MkinitcpioOption, RunOptions};
use crate::{checks, exports, fleets};

/// Check the code, and boot what proves each promise once, on what this machine needs anyway.
#[derive(Clone, Debug, clap::Args)]
pub struct Test {
    /// Everything: every scenario, kernel, architecture and version of an initramfs tool. It
    /// downloads 4 GB and builds a kernel, once; and where root runs it, it installs chromium, node and
    /// npm on this machine, for `page-test`.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    mkinitcpio: MkinitcpioOption,
}

/// Runs it, in its small or its full size.
///
/// # Errors
/// Where it cannot be begun; whatever happens in it is a row.
pub fn run(options: &Test, debian: &Debian) -> Result<bool> {
    let Test {
        all,
        machine,
        run,
        mkinitcpio,
    } = options;
    let workshop = Workshop(debian);
    let rig = Rig::new(machine.settings(), &workshop, debian)?;
    let builds = Builds::new(&rig);
    let mut chosen = match *all {
        true => scenarios::all(run.seed()),
        false => scenarios::small(run.seed()),
    };
    chosen.sort_by_key(|scenario| scenario.kernel.is_some());
    let images = images::Choice {
        mkinitcpio: mkinitcpio.program.clone(),
        small: !all,
        ..images::Choice::default()
    };
    let limits = super::bench::limits();
    let maker = Maker::new(debian);
    let mut tasks = checks::tasks(&rig, debian, *all);
    // What other kernels and architectures need is got while the rest runs.
    let own = chosen.partition_point(|one| one.kernel.is_none());
    let (own, others) = chosen.split_at(own);
    tasks.extend(boots::tasks(&rig, own));
    tasks.extend(images::tasks(&rig, &builds, &images));
    if *all {
        tasks.extend(exports::tasks(&rig));
        tasks.extend(fleets::tasks(&rig));
        tasks.extend(super::package_test::tasks(&rig, &maker));
        tasks.push(lab::bench::task(&rig, &limits));
        tasks.push(super::page_test::task());
    }
    tasks.extend(boots::tasks(&rig, others));
    say(format_args!(
        "{} rows, on Linux {} where they name no kernel, {} at a time, seed {}",
        tasks.len(),
        rig.settings.kernel,
        run.jobs(),
        run.seed()
    ));
    conclusion::run(&tasks, &rig, run.jobs(), run.rules(false))
}

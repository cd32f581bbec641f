//! The test run: every check, then boots; none hides another.

use std::path::PathBuf;

use anyhow::Result;
use lab::debian::Debian;
use lab::images::{self, Builds};
use lab::progress::say;
use lab::rig::Rig;
use lab::{boots, row, schedule};
use qemu_tests::scenarios;

use super::conclude;
use crate::build::Workshop;
use crate::checks;
use crate::options::{MachineOptions, RunOptions};

/// Runs it, in its small or its full size.
///
/// # Errors
/// Where it cannot be begun; whatever happens in it is a row.
pub fn run(
    all: bool,
    machine: &MachineOptions,
    run: &RunOptions,
    mkinitcpio: Option<PathBuf>,
    debian: &Debian,
) -> Result<bool> {
    let workshop = Workshop(debian);
    let rig = Rig::new(machine.settings(), &workshop, debian)?;
    let builds = Builds::new(&rig);
    let mut chosen = match all {
        true => scenarios::all(run.seed()),
        false => scenarios::small(run.seed()),
    };
    chosen.sort_by_key(|scenario| scenario.kernel.is_some());
    let images = images::Choice {
        mkinitcpio,
        small: !all,
        ..images::Choice::default()
    };
    let limits = super::bench::limits();
    let mut tasks = checks::tasks(&rig, debian, all);
    // What other kernels and architectures need is got while the rest runs.
    let own = chosen.partition_point(|one| one.kernel.is_none());
    let (own, others) = chosen.split_at(own);
    tasks.extend(boots::tasks(&rig, own));
    tasks.extend(images::tasks(&rig, &builds, &images));
    if all {
        tasks.push(lab::bench::task(&rig, &limits));
    }
    tasks.extend(boots::tasks(&rig, others));
    say(format_args!(
        "{} rows, on Linux {} where they name no kernel, {} at a time, seed {}",
        tasks.len(),
        rig.settings.kernel,
        run.jobs(),
        run.seed()
    ));
    let rules = run.rules(false);
    let rows = schedule::run(&tasks, &rig, run.jobs(), rules)?;
    Ok(conclude(&rows, rules, &row::report(&rows, rules)))
}

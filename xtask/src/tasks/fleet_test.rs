//! What fleets and other distributions are given, read by those it is for.

use anyhow::Result;
use lab::debian::Debian;
use lab::rig::{Rig, Settings};
use lab::{row, schedule};

use super::conclusion::conclude;
use crate::build::Workshop;
use crate::fleets;
use crate::options::{MachineOptions, RunOptions};

/// Have Ansible, cloud-init, Ignition, promtool, systemd and Nix read what is in fleets/, distributions/ and systemd/.
///
/// They are Debian's, unpacked into the cache.
#[derive(Clone, Debug, clap::Args)]
pub struct FleetTest {
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    run: RunOptions,
}

/// Runs all readers.
///
/// # Errors
/// Where it cannot be begun; whatever happens in it is a row.
pub fn run(options: &FleetTest, debian: &Debian) -> Result<bool> {
    let workshop = Workshop(debian);
    let settings: Settings = options.machine.settings();
    let rig = Rig::new(settings, &workshop, debian)?;
    let rules = options.run.rules(false);
    let rows = schedule::run(&fleets::tasks(&rig), &rig, options.run.jobs(), rules)?;
    Ok(conclude(&rows, rules, &row::report(&rows, rules)))
}

//! What fleets and other distributions are given, read by those it is for.

use anyhow::Result;
use lab::debian::Debian;
use lab::rig::Rig;

use super::conclusion;
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
    let rig = Rig::new(options.machine.settings(), &workshop, debian)?;
    let run = &options.run;
    conclusion::run(&fleets::tasks(&rig), &rig, run.jobs(), run.rules(false))
}

//! What `vfio-bind export` prints, read by those it is for.

use anyhow::Result;
use lab::debian::Debian;
use lab::rig::{Rig, Settings};
use lab::{row, schedule};

use super::conclusion::conclude;
use crate::build::Workshop;
use crate::exports;
use crate::options::{MachineOptions, RunOptions};

/// Have libvirt's validator, QEMU, promtool and parsers read what `vfio-bind export` prints.
///
/// They are Debian's, unpacked into the cache: 163 MB to download, once.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportTest {
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    run: RunOptions,
}

/// Runs all readers.
///
/// # Errors
/// Where it cannot be begun; whatever happens in it is a row.
pub fn run(options: &ExportTest, debian: &Debian) -> Result<bool> {
    let workshop = Workshop(debian);
    let settings: Settings = options.machine.settings();
    let rig = Rig::new(settings, &workshop, debian)?;
    let rules = options.run.rules(false);
    let rows = schedule::run(&exports::tasks(&rig), &rig, options.run.jobs(), rules)?;
    Ok(conclude(&rows, rules, &row::report(&rows, rules)))
}

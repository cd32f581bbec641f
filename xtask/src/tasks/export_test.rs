//! What `vfio-bind export` prints, read by those it is for.

use anyhow::Result;
use lab::debian::Debian;
use lab::rig::Rig;

use super::conclusion;
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
    let rig = Rig::new(options.machine.settings(), &workshop, debian)?;
    let run = &options.run;
    conclusion::run(&exports::tasks(&rig), &rig, run.jobs(), run.rules(false))
}

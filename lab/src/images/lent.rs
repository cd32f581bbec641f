//! A Debian with systemd and QEMU on a disk, which lends a card to a machine of its own.

use std::path::Path;

use anyhow::Result;
use qemu_tests::judge;
use qemu_tests::lent::{self, NAME, PROVES};

use super::ours::{Ours, Start};
use super::systems;
use crate::logs;
use crate::part::Part;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::system::{ARCHITECTURE, Recipe};

const MIB: u64 = 1 << 20;
const DISK_SIZE: u64 = 1024 * MIB;
/// A QEMU in QEMU is slow.
const PATIENCE: u32 = 3;

fn recipe() -> Recipe {
    const PACKAGES: &[&str] = &[
        "initramfs-tools-core",
        "busybox",
        "zstd",
        "systemd-sysv",
        "qemu-system-x86",
    ];
    Recipe {
        name: "lent",
        version: None,
        pool: &[],
        releases: &[("bookworm", PACKAGES)],
    }
}

/// The one system.
#[derive(Clone, Copy)]
struct Lent;

const ALL: [Lent; 1] = [Lent];

/// Whether it is among `names`, and the other names.
#[must_use]
pub fn choose(names: &[String]) -> (bool, Vec<String>) {
    let (chosen, others) = systems::chosen(names, &ALL, |_| NAME);
    (!chosen.is_empty(), others)
}

/// Its task.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>) -> Vec<Task<'a>> {
    let mut wants = rig.machine_parts(None, ARCHITECTURE);
    wants.extend([Part::ImageTools, Part::System(recipe())]);
    systems::tasks(rig, &ALL, &wants, |_| NAME, |rig, _| boots(rig))
}

/// What it proves, as a table.
#[must_use]
pub fn list() -> String {
    systems::list("System that lends", &ALL, |_| [NAME, PROVES])
}

fn boots(rig: &Rig<'_>) -> Result<Row> {
    let system = Ours::lay_out(rig, NAME, recipe())?;
    let image = system.image("image")?;
    system.order(&lent::orders())?;
    system.write(lent::SCRIPT, &lent::script(), 0o644)?;
    system.make_disk(DISK_SIZE)?;
    let row = boot(&system, &image)?;
    system.remove()?;
    Ok(row)
}

/// Boots it and judges.
fn boot(system: &Ours<'_>, image: &Path) -> Result<Row> {
    let log = logs::folder()?.join(format!("{NAME}.log"));
    let machine = lent::machine();
    let (evidence, time) = system.boot(&Start {
        machine: &machine,
        kernel: &system.rig.kernel(None, ARCHITECTURE)?,
        image,
        cmdline: lent::cmdline(),
        patience: PATIENCE,
        log: &log,
    })?;
    let judgement = judge::judge_lent(&evidence);
    let mut row = Row::passed(NAME);
    row.add_boot(None, time, judgement, Verdict::Failed, &log);
    Ok(row)
}

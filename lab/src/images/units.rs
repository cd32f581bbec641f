//! A Debian with systemd on a disk, where the units of the real root are enabled.

use std::path::Path;

use anyhow::{Result, ensure};
use qemu_tests::judge;
use qemu_tests::units::{self, Boot, ENABLED, HELPERS, NAME, PROVES};

use super::ours::{Ours, Start};
use super::{storage, systems};
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::system::{self, ARCHITECTURE};

/// A hook that leaves vfio-pci out of an image, and its file.
const WITHOUT: (&str, &str) = (
    "etc/initramfs-tools/hooks/zz-without-vfio",
    "#!/bin/sh\n[ \"$1\" = prereqs ] && exit 0\n\
     find \"$DESTDIR/\" -name 'vfio-pci.ko*' -exec rm {} +\n",
);
const MIB: u64 = 1 << 20;
const DISK_SIZE: u64 = 384 * MIB;

/// The one system.
#[derive(Clone, Copy)]
struct Units;

const ALL: [Units; 1] = [Units];

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
    wants.extend([Part::ImageTools, Part::System(storage::recipe())]);
    systems::tasks(rig, &ALL, &wants, |_| NAME, |rig, _| boots(rig))
}

/// What it proves, as a table.
#[must_use]
pub fn list() -> String {
    systems::list("System with its units", &ALL, |_| [NAME, PROVES])
}

/// Boots it in every way.
fn boots(rig: &Rig<'_>) -> Result<Row> {
    let system = Ours::lay_out(rig, NAME, storage::recipe())?;
    let whole = system.image("whole")?;
    system.write(WITHOUT.0, WITHOUT.1, 0o755)?;
    let without = system.image("without")?;
    system.order(&units::orders())?;
    enable(&system)?;
    system.make_disk(DISK_SIZE)?;
    let mut row = Row::passed(NAME);
    for one in Boot::ALL {
        let image = match one.image_has_vfio() {
            true => &whole,
            false => &without,
        };
        boot(&system, one, image, &mut row)?;
    }
    system.remove()?;
    Ok(row)
}

/// Enables the units as their owner does.
fn enable(system: &Ours<'_>) -> Result<()> {
    for (place, text) in units::files() {
        system.write(place, &text, 0o644)?;
    }
    let enable = [&["systemctl", "enable"], &ENABLED[..], &HELPERS[..]].concat();
    program::output(&mut system::command(&system.root, &enable)?)?;
    for unit in ENABLED {
        let link = format!("etc/systemd/system/multi-user.target.wants/{unit}");
        ensure!(
            system.root.join(&link).is_symlink(),
            "`systemctl enable` made no {link}"
        );
    }
    Ok(())
}

/// Boots it, judges, and adds to the row.
fn boot(system: &Ours<'_>, boot: Boot, image: &Path, row: &mut Row) -> Result<()> {
    let name = format!("{NAME}-{}", boot.name());
    let log = logs::folder()?.join(format!("{name}.log"));
    let machine = boot.machine();
    let mut kernel = system.rig.kernel(None, ARCHITECTURE)?;
    if machine.sleeps {
        kernel = kernel.as_packaged();
    }
    let (evidence, time) = system.boot(&Start {
        machine: &machine,
        kernel: &kernel,
        image,
        cmdline: boot.cmdline(),
        patience: 2,
        log: &log,
    })?;
    let judgement = judge::judge_units(boot, &evidence);
    row.add_boot(Some(&name), time, judgement, Verdict::Failed, &log);
    row.note_time(boot.name(), time);
    Ok(())
}

//! Boots in which functions come and go: under the udev of an image, and under that of the same Debian in
//! the real root.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use qemu_tests::hotplug::{CASES, Case};
use qemu_tests::judge;

use super::build::Builds;
use super::disk::{self, System};
use super::tool::{Dracut, Tool};
use crate::logs;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::supply::Program;
use crate::system::ARCHITECTURE;
use crate::vm::Boot;

/// A boot has up to six changes, each with its own quiet second.
const PATIENCE: u32 = 2;

/// The cases of a run in which nobody names a tool.
const UNASKED: [&str; 2] = ["loaded", "early"];

/// Each case of those `tools` that have them, with the name of its row; few of them where no tool is
/// `named`.
pub fn cases(tools: &[Tool], named: bool) -> Vec<(Tool, Case, String)> {
    let mut rows = Vec::new();
    for case in CASES {
        for tool in tools.iter().filter(|tool| has_script(tool)) {
            let unasked = *tool == Tool::HOOKS && UNASKED.contains(&case.name);
            if named || unasked {
                let name = format!("{}, hotplug-{}", tool.name(), case.name);
                rows.push((tool.clone(), case, name));
            }
        }
    }
    rows
}

/// Whether images of a tool can have a card plugged in: those of each tool that has its own way with udev.
fn has_script(tool: &Tool) -> bool {
    matches!(
        tool,
        Tool::InitramfsTools(_) | Tool::Dracut(Dracut::V059, false)
    )
}

/// Builds an image, boots it with `parameters` of every boot and judges.
///
/// # Errors
/// Where something cannot be built or the machine not be run.
pub fn boot(
    rig: &Rig<'_>,
    builds: &Builds<'_>,
    (tool, case, row): &(Tool, Case, String),
    parameters: &str,
) -> Result<Row> {
    let name = format!("{}-hotplug-{}", tool.name(), case.name);
    let built = builds.plugged_image(tool, case.ours)?;
    let root = rig.folder().join(format!("{name}.ext4"));
    let init = rig.program(Program::GuestInit, ARCHITECTURE)?;
    let system = System::with_udev(rig, &rig.system(tool.recipe())?)?;
    disk::make(&root, &init, &case.orders(&name), Some(&system))?;
    let log = logs::folder()?.join(format!("{name}.log"));
    let boot = Boot {
        machine: &case.machine(),
        kernel: &rig.kernel(None, ARCHITECTURE)?,
        image: Some(&built.path),
        firmware: None,
        variables: None,
        disk: Some(&root),
        nodes: &[],
        cmdline: &format!("{parameters} {}", case.cmdline()),
        accelerator: &rig.settings.accelerator,
        limit: rig.settings.limit * PATIENCE,
        log: &log,
    };
    let started = Instant::now();
    let evidence = boot.start()?.finish(|_| {})?;
    let time = started.elapsed();
    fs::remove_file(&root).with_context(|| format!("remove({})", root.display()))?;
    let judgement = judge::judge_hotplug(&name, case, &evidence);
    let mut row = Row::passed(row);
    row.add_boot(None, time, judgement, Verdict::Failed, &log);
    Ok(row)
}

//! Boots in which functions come and go: under the udev of an image, and under that of the same Debian in
//! the real root.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
pub use qemu_tests::hotplug::MODULES;
use qemu_tests::hotplug::{CASES, Case, EARLY, LOADED};
use qemu_tests::judge;

use super::build::Builds;
use super::disk::{self, System};
use super::tool::{Dracut, Tool};
use super::{Choice, PARAMETERS};
use crate::files;
use crate::logs;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::supply::Program;
use crate::system::ARCHITECTURE;
use crate::vm::Boot;

/// A boot has up to six changes, each with its own quiet second.
const PATIENCE: u32 = 2;

/// The cases of a run in which nobody names a tool.
const UNASKED: [&str; 2] = ["loaded", "early"];

/// A task for each case of those `tools` that have them.
pub fn tasks<'a>(
    rig: &'a Rig<'a>,
    builds: &'a Builds<'a>,
    tools: &[Tool],
    choice: &Choice,
) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    let named = !choice.frameworks.is_empty();
    for case in CASES {
        for tool in tools.iter().filter(|tool| has_script(tool)) {
            let unasked = *tool == Tool::HOOKS && UNASKED.contains(&case.name);
            if choice.small || !(named || unasked) {
                continue;
            }
            let name = format!("{}, hotplug-{}", tool.name(), case.name);
            let tool = tool.clone();
            tasks.push(Task {
                name: name.clone(),
                is_boot: true,
                is_cargo: false,
                wants: super::wants(rig, &tool),
                run: Box::new(move || boot(rig, builds, &tool, &case, &name)),
            });
        }
    }
    tasks
}

/// Whether images of a tool can have a card plugged in: those of each tool that has its own way with udev.
fn has_script(tool: &Tool) -> bool {
    matches!(
        tool,
        Tool::InitramfsTools(_) | Tool::Dracut(Dracut::V059, false)
    )
}

/// Has the images of a tool ask the host for a card where the command line says so, once udev has looked at
/// all that is there, and wait for it.
///
/// # Errors
/// Where it cannot be written.
pub fn add_script(tool: &Tool, root: &Path) -> Result<()> {
    // dracut reads its hooks into its own shell.
    let body = format!(
        "plug() {{
    card=
    for word in $(cat /proc/cmdline); do
        case $word in
        {LOADED}*) modprobe \"${{word#*=}}\" ;;
        {EARLY}*) card=${{word#*=}} ;;
        esac
    done
    [ -n \"$card\" ] || return 0
    echo \"<1>vfio-plug[add ${{card%@*}}]\" >/dev/kmsg
    for _ in $(seq 900); do
        [ ! -e \"/sys/bus/pci/devices/${{card#*@}}/config\" ] || break
        sleep 0.1
    done
    # The probe comes behind the event.
    sleep 1
    udevadm settle --timeout=60 || :
}}
plug
"
    );
    match tool {
        Tool::InitramfsTools(_) => {
            let place = root.join("etc/initramfs-tools/scripts/init-premount/plug");
            let script = format!("#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\n{body}");
            files::write(&place, script.as_bytes(), 0o755)
        }
        Tool::Dracut(..) => {
            const HOOK: &str = "usr/lib/dracut/hooks/pre-mount/plug.sh";
            files::write(&root.join(HOOK), body.as_bytes(), 0o755)?;
            let wanted = format!(
                "add_drivers+=\" {} \"\ninstall_items+=\" /{HOOK} /usr/bin/seq \"\n",
                MODULES.join(" ")
            );
            let place = root.join("etc/dracut.conf.d/plug.conf");
            files::write(&place, wanted.as_bytes(), 0o644)
        }
        _ => anyhow::bail!("{} has no such script", tool.name()),
    }
}

/// Builds an image, boots it and judges.
fn boot(rig: &Rig<'_>, builds: &Builds<'_>, tool: &Tool, case: &Case, row: &str) -> Result<Row> {
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
        disk: Some(&root),
        nodes: &[],
        cmdline: &format!("{PARAMETERS} {}", case.cmdline()),
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

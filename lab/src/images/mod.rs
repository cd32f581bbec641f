//! Boots through images that real initramfs tools built.

mod build;
mod disk;
mod esp;
mod gpt;
mod guest;
mod hotplug;
pub mod installed;
pub mod lent;
mod mkinitcpio;
mod mkosi;
mod ours;
mod plug;
mod repack;
pub mod storage;
mod systems;
mod told;
mod tool;
pub mod units;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use qemu_tests::boot_case::Case;
use qemu_tests::judge;
use qemu_tests::machine::TWIN_DISK;
use qemu_tests::protocol::Seen;
use qemu_tests::report::Report;
use qemu_tests::wire;

use crate::appended::RDINIT;
use crate::logs;
use crate::part::Part;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;
use crate::supply::Program;
use crate::system::ARCHITECTURE;
use crate::unpacked;
use crate::vm::Boot;
pub use build::Builds;
use tool::Tool;
pub use tool::{Dracut, Framework, InitramfsTools};

/// For every boot. A dracut that finds no root would wait in a shell for the limit; and a check of the root,
/// which dracut puts into an image where the machine that builds it has an ext4 of its own, fails on a disk
/// that is read-only.
const PARAMETERS: &str =
    "root=/dev/vda ro rd.shell=0 rd.emergency=reboot rd.skipfsck fsck.mode=skip";

/// Which images to boot.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The tools; all where none is named.
    pub frameworks: Vec<Framework>,
    /// Only this version of dracut.
    pub dracut: Option<Dracut>,
    /// Only this version of initramfs-tools.
    pub initramfs_tools: Option<InitramfsTools>,
    /// The program of an installed mkinitcpio, where it is not on the PATH.
    pub mkinitcpio: Option<PathBuf>,
    /// Of each tool only one image, in the cases that prove that it is early and carries what it must.
    pub small: bool,
}

impl Choice {
    /// The tools to run, and those that cannot be: with the reason.
    fn tools(&self) -> (Vec<Tool>, Vec<(String, &'static str)>) {
        let wanted = match &self.frameworks[..] {
            [] => Framework::ALL.map(|(_, framework)| framework).to_vec(),
            some => some.to_vec(),
        };
        let dracuts = versions(&Dracut::ALL, self.dracut, self.small);
        let initramfs_tools = versions(&InitramfsTools::ALL, self.initramfs_tools, self.small);
        let program = mkinitcpio::find(self.mkinitcpio.as_deref());
        let (mut tools, mut skipped) = (Vec::new(), Vec::new());
        let mut add_mkinitcpio = |systemd, tools: &mut Vec<Tool>| match &program {
            Some(path) => tools.push(Tool::Mkinitcpio(path.clone(), systemd)),
            None => skipped.push((
                Tool::Mkinitcpio(PathBuf::new(), systemd).name(),
                "no mkinitcpio on the PATH; --mkinitcpio PATH names one",
            )),
        };
        for framework in wanted {
            let mut dracut = |systemd| {
                tools.extend(dracuts.iter().map(|one| Tool::Dracut(*one, systemd)));
            };
            match framework {
                Framework::Dracut => dracut(false),
                Framework::DracutSystemd => dracut(true),
                Framework::InitramfsTools => {
                    tools.extend(initramfs_tools.iter().map(|one| Tool::InitramfsTools(*one)));
                }
                Framework::Mkinitcpio => add_mkinitcpio(false, &mut tools),
                Framework::MkinitcpioSystemd => add_mkinitcpio(true, &mut tools),
                Framework::Mkosi => tools.push(Tool::Mkosi),
                Framework::Cpio => tools.push(Tool::Cpio),
            }
        }
        (tools, skipped)
    }
}

/// The versions of a tool to run: the one that is named; of the smaller run, the first.
fn versions<T: Copy>(all: &[(&str, T)], named: Option<T>, small: bool) -> Vec<T> {
    let count = if small { 1 } else { all.len() };
    match named {
        Some(version) => vec![version],
        None => all.iter().take(count).map(|(_, one)| *one).collect(),
    }
}

/// What a build of an image and a boot of it want.
fn wants(rig: &Rig<'_>, tool: &Tool) -> Vec<Part> {
    let mut parts = rig.machine_parts(None, ARCHITECTURE);
    parts.extend([Part::ImageTools, Part::System(tool.recipe())]);
    parts
}

/// A task for every case of every wanted tool.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, builds: &'a Builds<'a>, choice: &Choice) -> Vec<Task<'a>> {
    let (tools, skipped) = choice.tools();
    let wants = |tool: &Tool| wants(rig, tool);
    let mut tasks = Vec::new();
    // By case first, so that no two workers want the same image at the same time.
    for case in Case::ALL {
        for tool in &tools {
            let is_wanted = match choice {
                Choice { small: true, .. } => tool.has(case) && tool.small_cases().contains(&case),
                _ if choice.frameworks.is_empty() => tool.has_unasked(case),
                _ => tool.has(case),
            };
            if !is_wanted {
                continue;
            }
            let (name, tool) = (format!("{}, {}", tool.name(), case.name()), tool.clone());
            tasks.push(Task {
                name: name.clone(),
                is_boot: true,
                is_cargo: false,
                wants: wants(&tool),
                run: Box::new(move || boot(rig, builds, &tool, case, &name)),
            });
        }
    }
    let named = !choice.frameworks.is_empty();
    let rows = hotplug::cases(&tools, named).into_iter();
    tasks.extend(rows.filter(|_| !choice.small).map(|row| Task {
        name: row.2.clone(),
        is_boot: true,
        is_cargo: false,
        wants: wants(&row.0),
        run: Box::new(move || hotplug::boot(rig, builds, &row, PARAMETERS)),
    }));
    for (tool, name) in told::tools().filter(|(tool, _)| tools.contains(tool) && !choice.small) {
        tasks.push(Task {
            name: name.clone(),
            is_boot: false,
            is_cargo: false,
            wants: wants(&tool),
            run: Box::new(move || told::check(builds, &tool).map(|()| Row::passed(&name))),
        });
    }
    if tools.contains(&Tool::Cpio) {
        let cases = unpacked::Case::all().into_iter();
        for case in cases.filter(|case| named || case.has_unasked(choice.small)) {
            let mut parts = rig.machine_parts(None, ARCHITECTURE);
            parts.push(Part::ImageTools);
            tasks.push(Task {
                name: case.name(),
                is_boot: true,
                is_cargo: false,
                wants: parts,
                run: Box::new(move || unpacked::boot(rig, case)),
            });
        }
    }
    if !skipped.is_empty() {
        // Without mkinitcpio, what it would call can still be seen.
        let name = "mkinitcpio, hooks alone";
        tasks.push(Task {
            name: name.to_owned(),
            is_boot: false,
            is_cargo: false,
            wants: wants(&Tool::HOOKS),
            run: Box::new(move || builds.exercise_hooks().map(|()| Row::passed(name))),
        });
    }
    tasks.extend(skipped.into_iter().map(|(tool, reason)| Task {
        name: tool.clone(),
        is_boot: true,
        is_cargo: false,
        wants: Vec::new(),
        run: Box::new(move || Ok(Row::not_run(&tool, reason))),
    }));
    tasks
}

/// Builds an image, boots it and judges.
fn boot(rig: &Rig<'_>, builds: &Builds<'_>, tool: &Tool, case: Case, row: &str) -> Result<Row> {
    let name = format!("{}-{}", tool.name(), case.name());
    let built = builds.image(tool, case)?;
    let disk = rig.folder().join(format!("{name}.ext4"));
    let init = rig.program(Program::GuestInit, ARCHITECTURE)?;
    let again = case == Case::Again;
    let system = again.then(|| disk::System::get(rig)).transpose()?;
    disk::make(&disk, &init, &case.orders(&name), system.as_ref())?;
    let twin_disk = again.then(|| disk.with_extension("twin.ext4"));
    twin_disk.as_deref().map_or(Ok(()), disk::empty)?;
    let mut cmdline = format!("{PARAMETERS} {} {}", case.cmdline(), tool.words(case));
    if *tool == Tool::Cpio && case != Case::WithoutUs {
        cmdline = format!("rdinit={RDINIT} {cmdline}");
    }
    if tool.slowness() > 1 {
        // systemd's own patience with the disk is 90 s.
        cmdline = format!("systemd.default_device_timeout_sec=300 {cmdline}");
    }
    let log = logs::folder()?.join(format!("{name}.log"));
    let machine = case.machine();
    let nodes = twin_disk.as_deref().map(|file| (TWIN_DISK, file));
    let boot = Boot {
        machine: &machine,
        kernel: &rig.kernel(None, ARCHITECTURE)?,
        image: Some(&built.path),
        firmware: None,
        variables: None,
        disk: Some(&disk),
        nodes: nodes.as_slice(),
        cmdline: &cmdline,
        accelerator: &rig.settings.accelerator,
        limit: rig.settings.limit * tool.slowness(),
        log: &log,
    };
    let started = Instant::now();
    let evidence = boot.start()?.finish(|_| {})?;
    let time = started.elapsed();
    for file in twin_disk.iter().chain([&disk]) {
        fs::remove_file(file).with_context(|| format!("remove({})", file.display()))?;
    }
    let judgement = judge::judge_image(&name, case, &evidence);
    let agent = agent_time(&evidence.console);
    let agent = agent.map_or(String::new(), |ms| format!(", agent {ms:.0} ms"));
    let mut row = Row {
        note: format!("image {:.1} s{agent}", built.time.as_secs_f64()),
        ..Row::passed(row)
    };
    row.add_boot(None, time, judgement, Verdict::Failed, &log);
    Ok(row)
}

/// How long the agent took, in milliseconds, by its own record.
fn agent_time(console: &str) -> Option<f64> {
    let records = wire::decode(console).records;
    let text = records.into_iter().find_map(|record| match record {
        Seen::Inherited(inherited) => inherited.report,
        _ => None,
    });
    let report = Report::parse(&text?).ok()?;
    Some(report.elapsed_us as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_names_has_each_case_and_each_version_and_few_twice() {
        let tools = Choice::default().tools().0;
        let having = |case: Case| {
            let having = tools.iter().filter(|tool| tool.has_unasked(case));
            having.map(Tool::name).collect::<Vec<_>>()
        };
        assert!(Case::ALL.iter().all(|case| !having(*case).is_empty()));
        // Between two versions of dracut one image is enough, and that with systemd does more.
        let none = |tool: &&Tool| !Case::ALL.iter().any(|case| tool.has_unasked(*case));
        let none: Vec<_> = tools.iter().filter(none).map(Tool::name).collect();
        assert_eq!(none, ["dracut-106"]);
        let first = ["dracut-059", "dracut-systemd-059", "initramfs-tools"];
        for case in [Case::Crashing, Case::WithoutUs, Case::SlowRoot] {
            let having = having(case);
            let having: Vec<_> = having
                .iter()
                .filter(|name| !name.starts_with("mkinit"))
                .collect();
            assert_eq!(having, first.each_ref(), "{case:?}");
        }
        // Each image that is booted has taken something early.
        for tool in tools.iter().filter(|tool| tool.name() != "dracut-106") {
            let early = [Case::Asked, Case::Configured, Case::RootTaken];
            assert!(early.iter().any(|case| tool.has_unasked(*case)), "{tool:?}");
        }
    }

    fn names(choice: &Choice) -> Vec<String> {
        let all = choice.tools().0.into_iter();
        let has_rows = |tool: &Tool| !choice.small || !tool.small_cases().is_empty();
        all.filter(has_rows).map(|tool| tool.name()).collect()
    }

    #[test]
    fn the_smaller_run_has_one_version_of_each_tool() {
        let frameworks = vec![
            Framework::Dracut,
            Framework::DracutSystemd,
            Framework::InitramfsTools,
            Framework::Mkosi,
            Framework::Cpio,
        ];
        let all = Choice {
            frameworks,
            ..Choice::default()
        };
        let small = Choice {
            small: true,
            ..all.clone()
        };
        assert_eq!(
            names(&small),
            [
                "dracut-059",
                "dracut-systemd-059",
                "initramfs-tools",
                "cpio"
            ]
        );
        let all = names(&all);
        assert_eq!(all.len(), 10);
        for name in ["dracut-112", "initramfs-tools-0.151", "mkosi-initrd"] {
            assert!(all.iter().any(|one| one == name), "{name} in {all:?}");
        }
    }
}

//! Boots through images that real initramfs tools built.

mod build;
mod disk;
mod mkinitcpio;
mod repack;
mod root;
mod tool;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use qemu_tests::architecture::Architecture;
use qemu_tests::image::Case;
use qemu_tests::judge;
use qemu_tests::machine::{Iommu, pc};
use qemu_tests::protocol::Record;
use qemu_tests::report::Report;
use qemu_tests::wire;

use crate::archive::RDINIT;
use crate::bench::Bench;
use crate::campaign::Count;
use crate::progress::say;
use crate::table;
use crate::tools::{self, MKE2FS, TAR, UNSHARE};
use crate::vm::Boot;
use build::Builds;
use tool::{Dracut, Framework, Tool};

/// For every boot. Emulated, the mitigations cost a third of it; and a dracut that finds no root
/// would wait in a shell for the limit.
const PARAMETERS: &str = "root=/dev/vda ro mitigations=off rd.shell=0 rd.emergency=reboot";

/// Which images to boot.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Boot images that this tool builds, with and without our module in them; may be repeated.
    #[arg(long, value_name = "TOOL")]
    pub initramfs: Vec<Framework>,
    /// Only this version of dracut.
    #[arg(long, value_name = "VERSION")]
    dracut_version: Option<Dracut>,
    /// The program of an installed mkinitcpio, where it is not on the PATH.
    #[arg(long, value_name = "PATH")]
    mkinitcpio: Option<PathBuf>,
}

/// What came of one boot, or why there was none.
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// What the systems with the tools are of, and so the machines that boot their images.
const ARCHITECTURE: Architecture = Architecture::X86_64;

/// A row of the table, and what is told below it.
struct Line {
    place: usize,
    tool: String,
    case: &'static str,
    verdict: Verdict,
    /// Seconds: the boot, and the build of its image.
    boot: f64,
    build: f64,
    /// Milliseconds, from the agent's own record.
    agent: Option<f64>,
    details: Vec<String>,
}

impl Choice {
    /// The tools to run, and those that cannot be: with the reason.
    fn tools(&self) -> (Vec<Tool>, Vec<(String, String)>) {
        let all = Framework::value_variants();
        let wanted: Vec<_> = match &self.initramfs[..] {
            [] => all.to_vec(),
            some => some.to_vec(),
        };
        let versions = match self.dracut_version {
            Some(version) => vec![version],
            None => vec![Dracut::V059, Dracut::V106],
        };
        let program = mkinitcpio::find(self.mkinitcpio.as_deref());
        let (mut tools, mut skipped) = (Vec::new(), Vec::new());
        let mut add_mkinitcpio = |systemd, tools: &mut Vec<Tool>| match &program {
            Some(path) => tools.push(Tool::Mkinitcpio(path.clone(), systemd)),
            None => skipped.push((
                Tool::Mkinitcpio(PathBuf::new(), systemd).name(),
                "no mkinitcpio on the PATH; --mkinitcpio PATH names one".to_owned(),
            )),
        };
        for framework in wanted {
            match framework {
                Framework::Dracut => tools.extend(versions.iter().map(|v| Tool::Dracut(*v, false))),
                Framework::DracutSystemd => {
                    tools.extend(versions.iter().map(|v| Tool::Dracut(*v, true)));
                }
                Framework::InitramfsTools => tools.push(Tool::InitramfsTools),
                Framework::Mkinitcpio => add_mkinitcpio(false, &mut tools),
                Framework::MkinitcpioSystemd => add_mkinitcpio(true, &mut tools),
                Framework::Cpio => tools.push(Tool::Cpio),
            }
        }
        (tools, skipped)
    }
}

/// Boots every case of every wanted tool, `jobs` at a time, and prints a table.
///
/// # Errors
/// Where nothing can be booted at all; what goes wrong with one image is a verdict.
pub fn run(bench: &Bench, choice: &Choice, jobs: usize) -> Result<Count> {
    tools::ensure_all(&[MKE2FS, TAR, UNSHARE])?;
    let (tools, skipped) = choice.tools();
    let builds = Builds::new(bench)?;
    // By case first, so that no two threads want the same image at the same time.
    let pairs = || {
        Case::ALL
            .iter()
            .flat_map(|case| tools.iter().map(|tool| (tool, *case)))
            .filter(|(tool, case)| tool.has(*case))
    };
    let count = pairs().count();
    say(format_args!("{count} boots through images of real tools"));
    let queue = Mutex::new(pairs().enumerate());
    let (sender, receiver) = mpsc::channel();
    let mut lines: Vec<Line> = thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            let (queue, sender, builds) = (&queue, sender.clone(), &builds);
            scope.spawn(move || {
                let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                while let Some((place, (tool, case))) = next() {
                    let line = boot(bench, builds, tool, case);
                    if sender.send(Line { place, ..line }).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let show = |(number, line): (usize, Line)| {
            say(format_args!(
                "{:>2}/{count}  {:<24} {:<15} {:<8} {:>5.1} s",
                number + 1,
                line.tool,
                line.case,
                line.word(),
                line.boot
            ));
            line
        };
        receiver.iter().enumerate().map(show).collect()
    });
    ensure!(
        lines.len() == count,
        "{} of {count} boots came to an end",
        lines.len()
    );
    lines.sort_by(|a, b| (&a.tool, a.place).cmp(&(&b.tool, b.place)));
    if !skipped.is_empty() {
        // Without mkinitcpio, what it would call can still be seen.
        let (verdict, details) = match builds.exercise_hooks() {
            Ok(()) => (Verdict::Passed, Vec::new()),
            Err(error) => (Verdict::Failed, vec![format!("{error:#}")]),
        };
        lines.push(Line {
            verdict,
            details,
            ..Line::new("mkinitcpio", "hooks alone")
        });
    }
    lines.extend(skipped.into_iter().map(|(tool, reason)| Line {
        details: vec![reason],
        ..Line::new(&tool, "all")
    }));
    print!("{}", report(&lines));
    let number = |wanted: fn(&Verdict) -> bool| lines.iter().filter(|l| wanted(&l.verdict)).count();
    Ok(Count {
        passed: number(|verdict| matches!(verdict, Verdict::Passed)),
        failed: number(|verdict| matches!(verdict, Verdict::Failed)),
        skipped: number(|verdict| matches!(verdict, Verdict::Skipped)),
    })
}

/// Builds an image, boots it and judges.
fn boot(bench: &Bench, builds: &Builds<'_>, tool: &Tool, case: Case) -> Line {
    let line = Line::new(&tool.name(), case.name());
    try_boot(bench, builds, tool, case).unwrap_or_else(|error| Line {
        verdict: Verdict::Failed,
        details: vec![format!("{error:#}")],
        ..line
    })
}

fn try_boot(bench: &Bench, builds: &Builds<'_>, tool: &Tool, case: Case) -> Result<Line> {
    let name = format!("{}-{}", tool.name(), case.name());
    let built = builds.image(tool, case)?;
    let disk = bench.folder.path().join(format!("{name}.ext4"));
    disk::make(
        &disk,
        &bench.programs(ARCHITECTURE)?.init,
        &case.orders(&name),
    )?;
    let mut cmdline = format!("{PARAMETERS} {}", case.cmdline());
    if *tool == Tool::Cpio && case != Case::WithoutUs {
        cmdline = format!("rdinit={RDINIT} {cmdline}");
    }
    let log = bench.logs.join(format!("{name}.log"));
    let machine = pc(Iommu::Intel);
    let boot = Boot {
        machine: &machine,
        kernel: &bench.kernel,
        image: &built.path,
        firmware: None,
        disk: Some(&disk),
        cmdline: &cmdline,
        accelerator: &bench.accelerator,
        limit: bench.limit,
        log: &log,
    };
    let started = Instant::now();
    let evidence = boot.start()?.finish(|_| {})?;
    let time = started.elapsed();
    fs::remove_file(&disk).with_context(|| format!("remove({})", disk.display()))?;
    let judgement = judge::judge_image(&name, case, &evidence);
    let mut details: Vec<_> = judgement.failures.iter().map(ToString::to_string).collect();
    let verdict = if details.is_empty() {
        Verdict::Passed
    } else {
        details.push(format!("log: {}", log.display()));
        Verdict::Failed
    };
    Ok(Line {
        verdict,
        boot: time.as_secs_f64(),
        build: built.time.as_secs_f64(),
        agent: agent_time(&evidence.console),
        details,
        ..Line::new(&tool.name(), case.name())
    })
}

/// How long the agent took, in milliseconds, by its own record.
fn agent_time(console: &str) -> Option<f64> {
    let records = wire::decode(console).records;
    let text = records.into_iter().find_map(|record| match record {
        Record::Inherited(inherited) => inherited.report,
        _ => None,
    });
    let report = Report::parse(&text?).ok()?;
    Some(report.elapsed_us as f64 / 1000.0)
}

impl Line {
    /// One that was skipped.
    fn new(tool: &str, case: &'static str) -> Self {
        Self {
            place: 0,
            tool: tool.to_owned(),
            case,
            verdict: Verdict::Skipped,
            boot: 0.0,
            build: 0.0,
            agent: None,
            details: Vec::new(),
        }
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "SKIPPED",
        }
    }
}

/// The table, and everything about what went wrong or was left out.
fn report(lines: &[Line]) -> String {
    let row = |line: &Line| {
        let agent = line.agent.map(|ms| format!("{ms:.0} ms"));
        vec![
            line.tool.clone(),
            line.case.to_owned(),
            line.word().to_owned(),
            agent.unwrap_or_default(),
            format!("{:.1} s", line.build),
            format!("{:.1} s", line.boot),
        ]
    };
    let heading = ["Image of", "Case", "Verdict", "Agent", "Build", "Boot"];
    let rows: Vec<_> = lines.iter().map(row).collect();
    let mut text = format!("\n{}", table::render(&heading, &rows));
    // What one tool's cases have in common is told once.
    for group in lines.chunk_by(|a, b| a.tool == b.tool && a.details == b.details) {
        let first = &group[0];
        if first.details.is_empty() {
            continue;
        }
        let cases: Vec<_> = group.iter().map(|line| line.case).collect();
        text += &format!("\n{} {}: {}\n", first.tool, cases.join(", "), first.word());
        for detail in &first.details {
            text += &format!("    {}\n", detail.replace('\n', "\n    "));
        }
    }
    text
}

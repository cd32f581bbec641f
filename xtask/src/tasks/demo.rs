//! The first thing to see: one machine booted twice, with our word on the command line and without.

use std::thread;

use anyhow::{Context, Result, anyhow};
use qemu_tests::function::{Snapshot, name};
use qemu_tests::judge::Failure;
use qemu_tests::protocol::{Ending, Seen, Used};
use qemu_tests::report::Report;
use qemu_tests::scenario::{NATIVES, Scenario};
use qemu_tests::{scenarios, wire};

use lab::debian::Debian;
use lab::progress::{self, say};
use lab::rig::{Booted, Rig};
use lab::table;

use crate::build::Workshop;
use crate::options::MachineOptions;

/// Boot a machine with vfio.bind= and one without, and show the difference.
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    #[command(flatten)]
    machine: MachineOptions,
}

/// The scenario that is shown.
const SHOWN: &str = "gpu-by-address";

/// Boots both, and shows what became of every function.
///
/// # Errors
/// Where a machine cannot be started, or what it saw cannot be shown.
pub fn run(options: &Demo, debian: &Debian) -> Result<bool> {
    let with = scenario(SHOWN)?;
    let without = scenarios::without_agent();
    let workshop = Workshop(debian);
    let rig = Rig::new(options.machine.settings(), &workshop, debian)?;
    rig.prepare_all(&rig.wants(&with))?;
    let kernel = rig.kernel(None, with.architecture())?;
    say(format_args!(
        "booting Linux {} twice: with `{}` on its command line, and without",
        kernel.release, with.cmdline
    ));
    let (asked, unasked) = thread::scope(|scope| {
        let other = scope.spawn(|| boot(&rig, &without, "without"));
        let asked = boot(&rig, &with, "with");
        (
            asked,
            other
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the thread of a machine panicked"))),
        )
    });
    let (asked, unasked) = (asked?, unasked?);
    let failures = [&asked, &unasked]
        .map(|outcome| &outcome.judgement.failures[..])
        .concat();
    if !failures.is_empty() {
        tell_failures(&failures, &[&asked, &unasked]);
        return Ok(false);
    }
    let before = Ended::find(&unasked)?;
    print!("{}", Ended::find(&asked)?.story(&with, &before.natives)?);
    println!(
        "\nThe machines took {:.0} s, all of this {:.0} s. Their consoles:\n  {}\n  {}",
        asked.elapsed.max(unasked.elapsed).as_secs_f64(),
        progress::elapsed().as_secs_f64(),
        asked.log.display(),
        unasked.log.display()
    );
    Ok(true)
}

fn scenario(name: &str) -> Result<Scenario> {
    let mut all = scenarios::all(0).into_iter();
    all.find(|scenario| scenario.name == name)
        .with_context(|| format!("no scenario {name}"))
}

/// Boots one, and says what happens in it while it happens.
fn boot(rig: &Rig<'_>, scenario: &Scenario, label: &str) -> Result<Booted> {
    let mut told = 0;
    rig.run(scenario, |console| {
        let records = wire::decode(console).records;
        for record in records.iter().skip(told) {
            if let Some(text) = milestone(record) {
                say(format_args!("{label:>7}: {text}"));
            }
        }
        told = told.max(records.len());
    })
}

/// What a record means to a spectator.
fn milestone(record: &Seen) -> Option<String> {
    match record {
        Seen::Booted(release) => Some(format!("Linux {release} starts its initramfs")),
        Seen::AgentRun(run) => Some(match run.ending {
            Ending::Exited(status) => {
                format!(
                    "the agent ends after {} ms with status {status}",
                    run.elapsed_ms
                )
            }
            ref other => format!("the agent ends badly: {other:?}"),
        }),
        Seen::Snapshot(snapshot) if snapshot.label == NATIVES => {
            Some("every native driver has been loaded by force".to_owned())
        }
        Seen::Used(used) if used.error.is_empty() => Some(format!(
            "{} answers through VFIO: {}",
            used.address, used.ids
        )),
        _ => None,
    }
}

fn tell_failures(failures: &[Failure], outcomes: &[&Booted]) {
    println!("\nThis did not go as it should:");
    for failure in failures {
        println!("  {failure}");
    }
    for outcome in outcomes {
        println!("  console: {}", outcome.log.display());
    }
}

/// A machine that has ended, as far as the story needs it.
struct Ended {
    natives: Snapshot,
    /// Where the agent ran.
    report: Option<Report>,
    used: Vec<Used>,
}

impl Ended {
    fn find(outcome: &Booted) -> Result<Self> {
        let (mut natives, mut report, mut used) = (None, None, Vec::new());
        for record in wire::decode(&outcome.evidence.console).records {
            match record {
                Seen::Snapshot(snapshot) if snapshot.label == NATIVES => natives = Some(snapshot),
                Seen::AgentRun(run) => report = run.report,
                Seen::Used(one) => used.push(one),
                _ => {}
            }
        }
        let report = report.as_deref().map(Report::parse).transpose()?;
        Ok(Self {
            natives: natives.context("no last snapshot")?,
            report,
            used,
        })
    }

    /// The table and what it means.
    fn story(&self, scenario: &Scenario, without: &Snapshot) -> Result<String> {
        let report = self.report.as_ref().context("the agent left no record")?;
        let mut rows = Vec::new();
        for device in scenario.machine().devices {
            let gone = || format!("{} is gone", device.address);
            let before = without.function(device.address).with_context(gone)?;
            let after = self.natives.function(device.address).with_context(gone)?;
            let why = report
                .function(device.address)
                .map(|function| function.why.clone());
            let group = after.group.map(|group| group.to_string());
            rows.push(vec![
                device.address.to_owned(),
                device.name.to_owned(),
                group.unwrap_or_default(),
                name(&before.driver).to_owned(),
                name(&after.driver).to_owned(),
                why.unwrap_or_default(),
            ]);
        }
        let heading = [
            "Function",
            "Device",
            "Group",
            "Driver without",
            "Driver with",
            "Why",
        ];
        let used: Vec<_> = self
            .used
            .iter()
            .map(|one| format!("{} ({})", one.address, one.ids))
            .collect();
        Ok(format!(
            "\nThe same machine, without and with `{}`. In both boots every native driver was\n\
             loaded by force right after the agent.\n\n{}\n\
             The agent decided and was done in {:.1} ms (emulated). A VFIO client in the guest then took\n\
             the group: it set the IOMMU, mapped memory, and read the IDs of\n{}.\n",
            scenario.cmdline,
            table::render(&heading, &rows),
            report.elapsed_us as f64 / 1000.0,
            used.join(" and "),
        ))
    }
}

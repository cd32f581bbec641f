//! What the agent costs, shown and kept.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lab::bench::{self, ARCHITECTURE, Limits, Row, Setting};
use lab::debian::Debian;
use lab::files::write;
use lab::program;
use lab::progress::{self, say};
use lab::rig::{Rig, Settings};
use lab::tools::qemu;

use crate::build::Workshop;
use crate::options::MachineOptions;
use crate::workspace;

/// Measure what the agent costs, beside the shell hooks that people write.
///
/// In guests whose clock counts instructions, so that the numbers do not depend on this machine.
#[derive(Clone, Debug, clap::Args)]
pub struct Bench {
    /// Only what `test --all` looks at: half a minute.
    #[arg(long)]
    short: bool,
    /// Only the guests with this in their names.
    #[arg(conflicts_with_all = ["short", "write"])]
    part: Option<String>,
    /// Write what was measured to docs/measurements: a page, its picture, and the limits of `test --all`;
    /// with `--short` only those.
    #[arg(long, conflicts_with_all = ["kernel", "agent"])]
    write: bool,
    /// Of Debian's kernels 5.10, 6.1 (the default), 6.12 or `newest`.
    #[arg(long, value_name = "VERSION", value_parser = ["5.10", "6.1", "6.12", "newest"])]
    kernel: Option<String>,
    /// An agent to measure instead of building one.
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// The wall-clock limit of one machine: 1800 where none is named.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

impl Bench {
    /// For the rig.
    fn settings(&self) -> Settings {
        let machine = MachineOptions {
            kernel: self.kernel.clone(),
            modules: None,
            accel: None,
            agent: self.agent.clone(),
            timeout: Some(self.timeout.unwrap_or(1800)),
        };
        machine.settings()
    }
}

/// Where it is kept.
const FOLDER: &str = "docs/measurements";

/// The file with what must not get much worse.
#[must_use]
pub fn limits() -> PathBuf {
    workspace::folder().join(FOLDER).join("limits.json")
}

/// Measures it: whether all did their work, and nothing is more than a fifth worse than what is kept.
///
/// # Errors
/// Where a guest cannot be booted or measures nothing, or what is written cannot be.
pub fn run(options: &Bench, debian: &Debian) -> Result<bool> {
    let workshop = Workshop(debian);
    let rig = Rig::new(options.settings(), &workshop, debian)?;
    rig.prepare_all(&rig.machine_parts(None, ARCHITECTURE))?;
    let mut guests = match options.short {
        true => bench::short(),
        false => bench::full(),
    };
    if let Some(part) = &options.part {
        guests.retain(|guest| guest.name.contains(part.as_str()));
    }
    say(format_args!(
        "{} guests, whose clocks count instructions",
        guests.len()
    ));
    let outcomes = bench::all(&guests, &rig)?;
    let release = outcomes.first().context("no guest")?.release.clone();
    let rows: Vec<_> = outcomes.into_iter().flat_map(|one| one.rows).collect();
    print!("{}", bench::terminal(&rows));
    let missed = bench::shortcomings(&rows);
    if !missed.is_empty() {
        println!("\nNot reached:");
        for line in missed {
            println!("  {line}");
        }
    }
    let mut worse = bench::wrong(&rows);
    if !options.write && options.kernel.is_none() {
        let exceeded = Limits::read(&limits())?.exceeded(&watched(rows));
        // Those of watched rows are told by both.
        worse.retain(|line| !exceeded.contains(line));
        worse.extend(exceeded);
    } else if options.write && worse.is_empty() {
        if !options.short {
            let setting = setting(release, &rig)?;
            keep("cost.md", &bench::page(&rows, &setting))?;
            keep("cost.svg", &bench::svg(&rows))?;
        }
        keep("limits.json", &Limits::of(&watched(rows)).text()?)?;
    }
    for line in &worse {
        println!("FAILED: {line}");
    }
    println!("\n{:.0} s in all", progress::elapsed().as_secs_f64());
    Ok(worse.is_empty())
}

/// The rows that limits are kept of.
fn watched(rows: Vec<Row>) -> Vec<Row> {
    let pairs: Vec<_> = bench::short()
        .into_iter()
        .flat_map(|guest| guest.pairs)
        .collect();
    rows.into_iter()
        .filter(|row| pairs.contains(&row.pair))
        .collect()
}

fn setting(kernel: String, rig: &Rig<'_>) -> Result<Setting> {
    let version = program::output(qemu(ARCHITECTURE).command()?.arg("--version"))?;
    let version = version.lines().next().unwrap_or_default();
    // `QEMU emulator version 7.2.22 (Debian 1:7.2+...)`
    let number = version.split_whitespace().nth(3).unwrap_or(version);
    Ok(Setting {
        kernel,
        qemu: format!("QEMU {number}"),
        sizes: bench::sizes(rig)?,
    })
}

/// Writes a file of measurements.
fn keep(name: &str, text: &str) -> Result<()> {
    write(
        &workspace::folder().join(FOLDER).join(name),
        text.as_bytes(),
        0o644,
    )?;
    say(format_args!("wrote {FOLDER}/{name}"));
    Ok(())
}

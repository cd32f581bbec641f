//! What the agent costs, shown and kept.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lab::bench::{self, ARCHITECTURE, Limits, Setting};
use lab::command;
use lab::debian::Debian;
use lab::files::write;
use lab::progress::{self, say};
use lab::rig::Rig;
use lab::tools::qemu;

use crate::build::{Workshop, workspace};
use crate::options::BenchOptions;

/// Where it is kept.
const FOLDER: &str = "docs/measurements";

/// The file with what must not get much worse.
#[must_use]
pub fn limits() -> PathBuf {
    workspace().join(FOLDER).join("limits.json")
}

/// Measures it: whether every program did its work.
///
/// # Errors
/// Where a guest cannot be booted or measures nothing, or what is written cannot be.
pub fn run(options: &BenchOptions, debian: &Debian) -> Result<bool> {
    let workshop = Workshop(debian);
    let rig = Rig::new(options.settings(), &workshop, debian)?;
    rig.prepare_all(&rig.machine_parts(None, ARCHITECTURE))?;
    let guests = match options.short {
        true => bench::short(),
        false => bench::full(),
    };
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
    if options.write {
        if !options.short {
            let setting = setting(release, &rig)?;
            keep("cost.md", &bench::page(&rows, &setting))?;
            keep("cost.svg", &bench::svg(&rows))?;
        }
        let watched = bench::short().into_iter().flat_map(|guest| guest.pairs);
        let watched: Vec<_> = watched.collect();
        let kept: Vec<_> = rows
            .into_iter()
            .filter(|row| watched.contains(&row.pair))
            .collect();
        keep("limits.json", &Limits::of(&kept).text()?)?;
    }
    println!("\n{:.0} s in all", progress::elapsed().as_secs_f64());
    // An answer that is known to be wrong is what is measured, too: the table says so.
    Ok(true)
}

fn setting(kernel: String, rig: &Rig<'_>) -> Result<Setting> {
    let version = command::output(qemu(ARCHITECTURE).command()?.arg("--version"))?;
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
    write(&workspace().join(FOLDER).join(name), text.as_bytes(), 0o644)?;
    say(format_args!("wrote {FOLDER}/{name}"));
    Ok(())
}

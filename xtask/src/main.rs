//! Builds, shows and tests vfio-bind: `cargo xtask`.

mod apt;
mod archive;
mod bench;
mod built_kernel;
mod bzimage;
mod cache;
mod campaign;
mod cargo;
mod checks;
mod command;
mod demo;
mod elf;
mod firmware;
mod image;
mod initramfs;
mod install;
mod kernel;
mod modules;
mod progress;
mod table;
mod test_module;
mod tools;
mod userland;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use qemu_tests::scenarios;

use bench::{Bench, Options};
use campaign::Count;
use cargo::Executable;
use install::Executables;
use progress::say;
use tools::SHELLCHECK;

/// The tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the agent; the last line of the output is its path.
    Build {
        /// For another machine than this one.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Lay every file in its place, as a package does.
    Install {
        /// What the places are under.
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        /// Only list the files.
        #[arg(long)]
        dry_run: bool,
        /// An agent to install instead of building one.
        #[arg(long, value_name = "PATH")]
        agent: Option<PathBuf>,
        /// A command `vfio-bind` to install instead of building one.
        #[arg(long, value_name = "PATH")]
        command: Option<PathBuf>,
    },
    /// Write an archive that brings the agent into an image that cannot be rebuilt.
    ///
    /// Give it to the boot loader as a second initrd, behind the image (or append it to a copy of
    /// the image), and add `rdinit=/usr/bin/vfio-bind-agent` to the kernel command line: the
    /// kernel starts the agent, which binds and becomes the image's own /init. The image itself
    /// must have modprobe and the modules vfio-pci and vfio_iommu_type1.
    Cpio {
        /// The archive.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A policy for the image, in the words of the command line, one to a line.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// An agent to pack instead of building one.
        #[arg(long, value_name = "PATH")]
        agent: Option<PathBuf>,
    },
    /// Boot a machine with vfio.bind= and one without, and show the difference.
    Demo {
        #[command(flatten)]
        options: Options,
    },
    /// Run every check and every scenario.
    Test {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        run: RunOptions,
        #[command(flatten)]
        images: initramfs::Choice,
    },
    /// Run scenarios in QEMU, all of them where none is named.
    QemuTest {
        /// Scenarios.
        names: Vec<String>,
        /// Show what there is.
        #[arg(long)]
        list: bool,
        /// Run an agent that does nothing: every scenario must fail.
        #[arg(long, conflicts_with = "agent")]
        prove_it_can_fail: bool,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        run: RunOptions,
        #[command(flatten)]
        images: initramfs::Choice,
    },
}

/// How to run many scenarios.
#[derive(Clone, Debug, clap::Args)]
struct RunOptions {
    /// Machines at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    jobs: usize,
    /// Chooses the random vfio_pci.ids= values.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    progress::start();
    match run(Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Carries out a task: whether all was well.
fn run(task: Task) -> Result<bool> {
    match task {
        Task::Build { target } => build(target.as_deref()),
        Task::Demo { options } => demo::run(&options),
        Task::Install {
            root,
            dry_run,
            agent,
            command,
        } => install(&root, dry_run, agent, command),
        Task::Cpio {
            file,
            policy,
            agent,
        } => {
            archive::write(&file, &agent_or_build(agent)?, policy.as_deref())?;
            println!("{}", file.display());
            Ok(true)
        }
        Task::Test {
            options,
            run,
            images,
        } => test(&options, &run, &images),
        Task::QemuTest {
            list: true, run, ..
        } => {
            print!("{}", campaign::list(&scenarios::all(run.seed)));
            Ok(true)
        }
        Task::QemuTest {
            names,
            prove_it_can_fail,
            mut options,
            run,
            images,
            ..
        } => {
            if !images.initramfs.is_empty() {
                ensure!(
                    names.is_empty() && !prove_it_can_fail,
                    "--initramfs runs boots of its own: neither scenarios nor --prove-it-can-fail"
                );
                let count = initramfs::run(&Bench::prepare(&options)?, &images, run.jobs)?;
                println!("\n{count}");
                return Ok(count.failed == 0);
            }
            if prove_it_can_fail {
                options.agent = Some(Executable::guest("do-nothing").build()?);
            }
            let count = scenarios(&names, &options, &run, prove_it_can_fail)?;
            println!("\n{count}");
            Ok(count.failed == 0)
        }
    }
}

fn build(target: Option<&str>) -> Result<bool> {
    let path = Executable::agent(target).build()?;
    let size = elf::check_agent(&path)?;
    say(format_args!("the agent is static and has {size} bytes"));
    println!("{}", path.display());
    Ok(true)
}

/// The agent at this path, or else one that is built now.
fn agent_or_build(path: Option<PathBuf>) -> Result<PathBuf> {
    match path {
        Some(path) => Ok(path),
        None => Executable::agent(None).build(),
    }
}

fn install(
    root: &Path,
    dry_run: bool,
    agent: Option<PathBuf>,
    command: Option<PathBuf>,
) -> Result<bool> {
    let agent = agent_or_build(agent)?;
    let command = command.map_or_else(|| Executable::command().build(), Ok)?;
    let executables = Executables {
        agent: &agent,
        command: &command,
    };
    if !dry_run {
        install::install(executables, root)?;
    }
    for (_, place, mode) in install::files(executables) {
        println!("{mode:o} {}", root.join(place).display());
    }
    Ok(true)
}

/// Runs the scenarios called `names`.
fn scenarios(
    names: &[String],
    options: &Options,
    run: &RunOptions,
    must_fail: bool,
) -> Result<Count> {
    ensure!(run.jobs > 0, "--jobs 0 would never end");
    let chosen = campaign::choose(scenarios::all(run.seed), names)?;
    let bench = Bench::prepare(options)?;
    let (kernel, count) = (&bench.kernel.release, chosen.len());
    say(format_args!(
        "{count} scenarios on {kernel}, {} at a time, seed {}",
        run.jobs, run.seed
    ));
    campaign::run(&bench, &chosen, run.jobs, must_fail)
}

/// Every check, then every scenario and image; none hides another.
fn test(options: &Options, run: &RunOptions, images: &initramfs::Choice) -> Result<bool> {
    // All at once, before anything needs them; what cannot be had fails its own step below.
    let wanted = [options.tools(), vec![SHELLCHECK]].concat();
    if let Err(error) = tools::ensure_all(&wanted) {
        say(format_args!("{error:#}"));
    }
    let mut count = Count::default();
    let mut failed = Vec::new();
    for (name, check) in checks::CHECKS {
        let before = progress::elapsed();
        let result = check();
        let time = (progress::elapsed() - before).as_secs_f64();
        match result {
            Ok(detail) => {
                count.passed += 1;
                say(format!("{name:<32} passed {time:>8.1} s  {detail}").trim_end());
            }
            Err(error) => {
                count.failed += 1;
                failed.push(name);
                say(format_args!("{name:<32} FAILED {time:>8.1} s\n{error:#}"));
            }
        }
    }
    match scenarios(&[], options, run, false) {
        Ok(all) => {
            count += all;
            failed.extend((all.failed > 0).then_some("scenarios in QEMU"));
        }
        Err(error) => {
            count.failed += 1;
            failed.push("scenarios in QEMU");
            say(format_args!("no scenario could be run: {error:#}"));
        }
    }
    match Bench::prepare(options).and_then(|bench| initramfs::run(&bench, images, run.jobs)) {
        Ok(all) => {
            count += all;
            failed.extend((all.failed > 0).then_some("images of real tools"));
        }
        Err(error) => {
            count.failed += 1;
            failed.push("images of real tools");
            say(format_args!("no image could be booted: {error:#}"));
        }
    }
    if !failed.is_empty() {
        println!("\nfailed: {}", failed.join(", "));
    }
    println!("\n{:.0} s in all", progress::elapsed().as_secs_f64());
    println!("{count}");
    Ok(count.failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}

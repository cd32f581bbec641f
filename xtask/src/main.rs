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
mod emulated;
mod firmware;
mod image;
mod initramfs;
mod install;
mod kernel;
mod matrix;
mod modules;
mod progress;
mod table;
mod test_module;
mod toolchain;
mod tools;
mod userland;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use qemu_tests::architecture::Architecture;
use qemu_tests::scenario::Scenario;

use bench::{Bench, Options};
use campaign::{Count, Line};
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
    /// Run the unit and property tests, for another architecture under qemu-user.
    ///
    /// For another one, only the agent's; and what its executable prints is compared with this
    /// machine's. qemu-user, a cross compiler and a C library are installed or named where they are
    /// missing; without libraries of rustc's for the target, Debian's compiler goes into the cache
    /// folder (200 MB to download, 760 MB on disk).
    UnitTests {
        /// For another machine than this one.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Run scenarios in QEMU, those of a test run where none is named.
    QemuTest {
        /// Scenarios.
        names: Vec<String>,
        /// Show what there is.
        #[arg(long)]
        list: bool,
        /// Run the core scenarios with each kernel on each machine, and print a table of those.
        #[arg(long, conflicts_with_all = ["names", "list", "prove_it_can_fail", "modules"])]
        matrix: bool,
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
        Task::UnitTests { target: None } => {
            say(checks::unit_tests()?);
            Ok(true)
        }
        Task::UnitTests {
            target: Some(target),
        } => emulated::run(&target).map(|()| true),
        Task::Test {
            options,
            run,
            images,
        } => test(&options, &run, &images),
        Task::QemuTest {
            list: true, run, ..
        } => {
            print!("{}", campaign::list(&qemu_tests::scenarios::all(run.seed)));
            print!("\n{}", matrix::names());
            Ok(true)
        }
        Task::QemuTest {
            matrix: true,
            options,
            run,
            ..
        } => matrix(&options, &run),
        Task::QemuTest {
            names,
            prove_it_can_fail,
            mut options,
            run,
            images,
            ..
        } => {
            ensure!(run.jobs > 0, "--jobs 0 would never end");
            if !images.initramfs.is_empty() {
                ensure!(
                    names.is_empty() && !prove_it_can_fail,
                    "--initramfs runs boots of its own: neither scenarios nor --prove-it-can-fail"
                );
                let bench = Bench::prepare(&options, &[Architecture::X86_64].into())?;
                let count = initramfs::run(&bench, &images, run.jobs)?;
                println!("\n{count}");
                return Ok(count.failed == 0);
            }
            options.stand_in = prove_it_can_fail.then_some("do-nothing");
            let chosen = campaign::choose(run.seed, &names)?;
            let bench = prepare(&options, &chosen)?;
            let lines = scenarios(&bench, &options, &run, &chosen, prove_it_can_fail)?;
            print!("{}", campaign::report(&lines, prove_it_can_fail));
            let count = campaign::count(&lines, prove_it_can_fail);
            println!("\n{count}");
            Ok(count.failed == 0)
        }
    }
}

fn build(target: Option<&str>) -> Result<bool> {
    let architecture = toolchain::architecture(target)?;
    let path = Executable::agent(target).build()?;
    let size = elf::check_agent(&path, architecture)?;
    let limit = elf::agent_limit(architecture);
    say(format_args!(
        "the agent for {architecture} is static and has {size} of {limit} bytes"
    ));
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

/// Prepares a bench for `scenarios`, those that cannot be run left out.
fn prepare(options: &Options, scenarios: &[Scenario]) -> Result<Bench> {
    let possible = scenarios
        .iter()
        .filter(|scenario| options.obstacle(scenario).is_none());
    Bench::prepare(options, &possible.map(Scenario::architecture).collect())
}

/// Runs scenarios, and says what is run.
fn scenarios(
    bench: &Bench,
    options: &Options,
    run: &RunOptions,
    scenarios: &[Scenario],
    must_fail: bool,
) -> Result<Vec<Line>> {
    say(format_args!(
        "{} scenarios, on {} where they name no kernel, {} at a time, seed {}",
        scenarios.len(),
        bench.kernel.release,
        run.jobs,
        run.seed
    ));
    campaign::run(bench, options, scenarios, run.jobs, must_fail)
}

/// Runs the matrix: each kernel on each machine.
fn matrix(options: &Options, run: &RunOptions) -> Result<bool> {
    let all = qemu_tests::matrix::all();
    let bench = prepare(options, &all)?;
    let lines = scenarios(&bench, options, run, &all, false)?;
    print!("{}", campaign::report_failures(&lines, false));
    print!("{}", matrix::render(&lines));
    let count = campaign::count(&lines, false);
    println!("\n{count}");
    Ok(count.failed == 0)
}

/// Every check, then every scenario and image; none hides another.
fn test(options: &Options, run: &RunOptions, images: &initramfs::Choice) -> Result<bool> {
    ensure!(run.jobs > 0, "--jobs 0 would never end");
    let chosen = qemu_tests::scenarios::all(run.seed);
    // All at once, before anything needs them; what cannot be had fails its own step below.
    let architectures = chosen.iter().map(Scenario::architecture).collect();
    let wanted = [options.tools(&architectures), vec![SHELLCHECK]].concat();
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
    match prepare(options, &chosen) {
        Ok(bench) => {
            let scenarios = || {
                let lines = scenarios(&bench, options, run, &chosen, false)?;
                print!("{}", campaign::report(&lines, false));
                Ok(campaign::count(&lines, false))
            };
            let boots: [(_, &dyn Fn() -> Result<Count>); 2] = [
                ("scenarios in QEMU", &scenarios),
                ("images of real tools", &|| {
                    initramfs::run(&bench, images, run.jobs)
                }),
            ];
            for (name, boots) in boots {
                let all = boots().unwrap_or_else(|error| {
                    say(format_args!("{name}: {error:#}"));
                    Count {
                        failed: 1,
                        ..Count::default()
                    }
                });
                count += all;
                failed.extend((all.failed > 0).then_some(name));
            }
        }
        Err(error) => {
            count.failed += 1;
            failed.push("what machines need");
            say(format_args!("nothing could be booted: {error:#}"));
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

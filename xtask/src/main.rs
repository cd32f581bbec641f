//! Builds, shows and tests vfio-bind: `cargo xtask`.

mod build;
mod checks;
mod install;
mod options;
mod tasks;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use lab::cache::Cache;
use lab::debian::Debian;
use lab::{logs, progress};

use options::{Arguments, Task};

fn main() -> ExitCode {
    progress::start();
    logs::set_folder(workspace::folder().join("target/qemu-tests/logs"));
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
    let debian = Debian::new(Cache::open()?);
    match task {
        Task::Build { target } => tasks::build::agent(target.as_deref(), &debian),
        Task::Install {
            root,
            dry_run,
            agent,
            command,
        } => tasks::build::install(&root, dry_run, agent, command, &debian),
        Task::Cpio {
            file,
            policy,
            protected,
            agent,
        } => tasks::build::cpio(
            &file,
            policy.as_deref(),
            protected.as_deref(),
            agent,
            &debian,
        ),
        Task::Demo { machine } => tasks::demo::run(&machine, &debian),
        Task::Test {
            all,
            machine,
            run,
            mkinitcpio,
        } => tasks::test::run(all, &machine, &run, mkinitcpio.program, &debian),
        Task::UnitTests { target } => tasks::unit_tests::run(target.as_deref(), &debian),
        Task::QemuTest(options) => tasks::qemu_test::run(&options, &debian),
    }
}

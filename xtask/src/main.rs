//! Builds, shows and tests vfio-bind: `cargo xtask`. An option that would have no effect is refused.

mod build;
mod checks;
mod dist;
mod exports;
mod install;
mod options;
mod tasks;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::cache::Cache;
use lab::debian::Debian;
use lab::{logs, progress};

/// The tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, max_term_width = 100)]
struct Arguments {
    /// Which one.
    #[command(subcommand)]
    task: Task,
}

/// A task, described beside its options.
#[derive(Debug, Subcommand)]
enum Task {
    Build(tasks::build::Build),
    Install(tasks::install::Install),
    Dist(tasks::dist::Dist),
    Cpio(tasks::cpio::Cpio),
    Demo(tasks::demo::Demo),
    Test(tasks::test::Test),
    PageTest(tasks::page_test::PageTest),
    UnitTests(tasks::unit_tests::UnitTests),
    Bench(tasks::bench::Bench),
    QemuTest(tasks::qemu_test::QemuTest),
    ExportTest(tasks::export_test::ExportTest),
    PackageTest(tasks::package_test::PackageTest),
}

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
        Task::Build(options) => tasks::build::run(&options, &debian),
        Task::Install(options) => tasks::install::run(&options, &debian),
        Task::Dist(options) => tasks::dist::run(&options, &debian),
        Task::Cpio(options) => tasks::cpio::run(&options, &debian),
        Task::Demo(options) => tasks::demo::run(&options, &debian),
        Task::Test(options) => tasks::test::run(&options, &debian),
        Task::PageTest(options) => tasks::page_test::run(&options),
        Task::UnitTests(options) => tasks::unit_tests::run(&options, &debian),
        Task::Bench(options) => tasks::bench::run(&options, &debian),
        Task::ExportTest(options) => tasks::export_test::run(&options, &debian),
        Task::PackageTest(options) => tasks::package_test::run(&options, &debian),
        Task::QemuTest(options) => tasks::qemu_test::run(&options, &debian),
    }
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

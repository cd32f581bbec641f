//! The command line of `vfio-bind`.

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    bind, capture, check, completions, doctor, export, help, list, plan, protected, release, setup,
    status, sysfs, udev, verify, words,
};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "vfio-bind",
    version,
    about,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Options),
    Plan(plan::Options),
    Words(words::Options),
    Setup(setup::Options),
    Status(status::Options),
    Doctor(doctor::Options),
    Bind(bind::Options),
    Release(release::Options),
    Export(export::Options),
    Capture(capture::Options),
    Verify(verify::Options),
    Check(check::Options),
    Protected(protected::Options),
    Udev(udev::Options),
    Help(help::Options),
    Completions(completions::Options),
    #[command(hide = true)]
    Sysfs(sysfs::Options),
}

impl Arguments {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn run(self) -> Result<u8> {
        match self.command {
            Command::List(options) => options.run(),
            Command::Plan(options) => options.run(),
            Command::Words(options) => options.run(),
            Command::Setup(options) => options.run(),
            Command::Status(options) => options.run(),
            Command::Doctor(options) => options.run(),
            Command::Bind(options) => options.run(),
            Command::Release(options) => options.run(),
            Command::Export(options) => options.run(),
            Command::Capture(options) => options.run(),
            Command::Verify(options) => options.run(),
            Command::Check(options) => options.run(),
            Command::Protected(options) => options.run(),
            Command::Udev(options) => options.run(),
            Command::Help(options) => options.run(Self::command()),
            Command::Completions(options) => options.run(Self::command()),
            Command::Sysfs(options) => options.run(),
        }
    }
}

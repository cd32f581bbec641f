//! `vfio-bind`: the command for the owner of the machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use vfio_bind_cli::{plan, protected, zpool};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "vfio-bind", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what the agent would do, group by group; write nothing.
    ///
    /// The exit status is the agent's: 0 all that is asked would be done, 1 a function would not be
    /// bound, 2 there is an error in what is asked.
    Plan {
        /// In place of the kernel command line.
        #[arg(long, value_name = "TEXT")]
        cmdline: Option<String>,
        /// A captured tree with the `sys`, `proc` and `etc` of another system.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Print a `vfio.protect=` line for each PCI function that the running system needs to boot.
    ///
    /// These are the controllers behind /, /usr, /boot, the EFI system partition and swap. Images
    /// carry the lines as /etc/vfio-bind/protected.conf. What could not be found is said on
    /// standard error.
    Protected {
        /// A directory with the `proc`, `sys` and `dev` of another system.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(exit) => ExitCode::from(exit),
        Err(error) => {
            eprintln!("vfio-bind: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<u8> {
    match command {
        Command::Plan { cmdline, root } => plan::print(&root, cmdline.as_deref()),
        Command::Protected { root } => print_protected(&root).map(|()| 0),
    }
}

fn print_protected(root: &Path) -> Result<()> {
    let elsewhere = |_: &str| {
        let reason = "zpool tells of the running system only, not of one under --root";
        Err(reason.to_owned())
    };
    let members: protected::Zpool<'_> = if root == Path::new("/") {
        &zpool::members
    } else {
        &elsewhere
    };
    let protected = protected::find(root, members)?;
    let mut out = std::io::stdout().lock();
    for problem in &protected.unresolved {
        eprintln!("vfio-bind: {problem}");
        // For the agent the list is not whole then.
        let problem = problem.replace(|letter: char| letter.is_control(), " ");
        writeln!(out, "vfio.protect=unknown  # {problem}").context("write(standard output)")?;
    }
    if !protected.unresolved.is_empty() {
        eprintln!(
            "vfio-bind: the list is not whole and says so (vfio.protect=unknown): what stores (PCI class \
             01) will be taken only where vfio.bind= names it by address, path, slot or serial number"
        );
    }
    for line in &protected.lines {
        writeln!(out, "{line}").context("write(standard output)")?;
    }
    out.flush().context("write(standard output)")
}

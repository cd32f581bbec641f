//! `vfio-bind`: the command for the owner of the machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use vfio_bind_cli::commands::bind::Extent;
use vfio_bind_cli::commands::{bind, check, plan, protected, setup, udev, verify};
use vfio_bind_cli::storage::protected::Scope;

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
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        cmdline: Option<String>,
        /// A captured tree with the `sys`, `proc` and `etc` of another system.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Bind what the policy asks for, now, and leave alone what is in use.
    ///
    /// Runs the agent with the kernel command line, /etc/vfio-bind/policy.conf and modprobe.d. What
    /// the image of this boot knew to be needed, and what is in use now, is protected: mounted, swapped to,
    /// in a pool, on the way of a network, or with a device that a process has open. The exit status is the
    /// agent's.
    Bind {
        /// Show what would be done, and write nothing.
        #[arg(long)]
        dry_run: bool,
        /// Only what the boot tried and did not bind, by its record; never what is in use.
        #[arg(long)]
        unfinished: bool,
        /// The agent to run, in place of the installed one.
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
    /// Bind a function that has come, where the policy asks for it: udev runs this.
    ///
    /// The same as `bind`, for one function and its IOMMU group. What nobody asks for, or is bound already,
    /// leaves no record. The rules that start it are those of this boot, /run/udev/rules.d/60-vfio-bind.rules.
    Udev {
        /// Its address, as sysfs spells it.
        #[arg(value_name = "ADDRESS")]
        address: String,
        /// The agent to run, in place of the installed one.
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
    /// Look for mistakes in a policy file, line by line.
    ///
    /// The builders of images run it. The exit status is 0 where there is nothing that has no effect, and 2
    /// where there is.
    Check {
        /// The policy file.
        #[arg(value_name = "FILE", default_value = "/etc/vfio-bind/policy.conf")]
        file: PathBuf,
    },
    /// Print a `vfio.protect=` line for each PCI function that the running system needs to boot.
    ///
    /// These are the controllers behind /, /usr, /boot, the EFI system partition, swap, and what
    /// fstab, crypttab and the kernel command line want. Images carry the lines as
    /// /etc/vfio-bind/protected.conf. What could not be found is said on standard error.
    Protected {
        /// A directory with the `proc`, `sys` and `dev` of another system.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        /// Add what is mounted, swapped to, in a pool or the way of the default route now.
        #[arg(long)]
        now: bool,
    },
    /// Put words on the kernel command line where this machine's boot loader keeps them.
    ///
    /// What is written is shown first, each file as a difference, with the plan of the next boot, and asked for.
    /// The exit status is 0 where it is as asked, 1 where it is not, and 2 where there is an error in what is
    /// given.
    Setup(setup::Options),
    /// Say whether what is asked for is so, and what was bound since the boot still is.
    ///
    /// Compares the policy and the records in /run/vfio-bind with the machine, and writes nothing. The
    /// exit status is 0 where all is as asked, and 1 otherwise.
    Verify {
        /// A directory with the `proc`, `sys`, `dev` and `run` of another system.
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
        Command::Bind {
            dry_run,
            unfinished,
            agent,
        } => {
            let agent = agent.unwrap_or_else(bind::agent);
            let extent = match unfinished {
                true => Extent::Unfinished,
                false => Extent::All,
            };
            bind::bind(Path::new("/"), &agent, extent, dry_run)
        }
        Command::Udev { address, agent } => {
            let agent = agent.unwrap_or_else(bind::agent);
            udev::udev(Path::new("/"), &agent, &address)
        }
        Command::Check { file } => check::check(&file),
        Command::Protected { root, now } => {
            let scope = if now { Scope::Now } else { Scope::Boot };
            protected::print(&root, scope).map(|()| 0)
        }
        Command::Setup(options) => setup::setup(options),
        Command::Verify { root } => verify::verify(&root),
    }
}

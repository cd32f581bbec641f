//! What a package does.

use std::path::PathBuf;

use anyhow::Result;
use lab::debian::Debian;
use lab::supply::Executables;

use crate::build::executable::Executable;
use crate::install::{self, Packaging};

/// Lay every file in its place, as a package does.
#[derive(Clone, Debug, clap::Args)]
pub struct Install {
    /// What the places are under.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Only the files that this kind of package has.
    #[arg(long, value_enum)]
    packaging: Option<Packaging>,
    /// Only list the files.
    #[arg(long)]
    dry_run: bool,
    /// An agent to install instead of building one.
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// A command `vfio-bind` to install instead of building one.
    #[arg(long, value_name = "PATH")]
    command: Option<PathBuf>,
}

/// Lays them there, or only lists them.
///
/// # Errors
/// Where something cannot be built or written.
pub fn run(options: &Install, debian: &Debian) -> Result<bool> {
    let agent = Executable::agent(None).unless(options.agent.as_deref(), debian)?;
    let command = Executable::command().unless(options.command.as_deref(), debian)?;
    let executables = Executables {
        agent: &agent,
        command: &command,
    };
    if !options.dry_run {
        install::install(executables, options.packaging, &options.root)?;
    }
    for (_, place, mode) in install::files(executables, options.packaging) {
        println!("{mode:o} {}", options.root.join(place).display());
    }
    Ok(true)
}

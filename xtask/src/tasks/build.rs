//! The agent, built and looked at.

use anyhow::Result;
use lab::debian::Debian;
use lab::elf;
use lab::progress::say;

use crate::build::executable::Executable;
use crate::build::toolchain;

/// Build the agent; the last line of the output is its path.
#[derive(Clone, Debug, clap::Args)]
pub struct Build {
    /// For another machine than this one, or for a target with another C library, of which the
    /// agent uses none.
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
}

/// Builds it.
///
/// # Errors
/// Where it cannot be built, or is not what it must be.
pub fn run(options: &Build, debian: &Debian) -> Result<bool> {
    let target = options.target.as_deref();
    let architecture = toolchain::architecture(target)?;
    let path = Executable::agent(target).build(debian)?;
    // Another compiler may have built one for musl: see the checks.
    let musl = target.is_some_and(|target| target.contains("musl"));
    let check = if musl {
        elf::check_static
    } else {
        elf::check_agent
    };
    let size = check(&path, architecture)?;
    let limit = elf::agent_limit(architecture);
    say(format_args!(
        "the agent for {architecture} is static and has {size} of {limit} bytes"
    ));
    println!("{}", path.display());
    Ok(true)
}

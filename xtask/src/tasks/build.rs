//! What is built, and where it goes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lab::appended::{self, Content};
use lab::debian::Debian;
use lab::elf;
use lab::progress::say;
use lab::supply::Executables;

use crate::build::executable::Executable;
use crate::build::toolchain;
use crate::install;

/// Builds the agent, and looks at it.
///
/// # Errors
/// Where it cannot be built, or is not what it must be.
pub fn agent(target: Option<&str>, debian: &Debian) -> Result<bool> {
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

/// The agent at this path, or else one that is built now.
fn agent_or_build(path: Option<PathBuf>, debian: &Debian) -> Result<PathBuf> {
    match path {
        Some(path) => Ok(path),
        None => Executable::agent(None).build(debian),
    }
}

/// Lays every file in its place, or only lists them.
///
/// # Errors
/// Where something cannot be built or written.
pub fn install(
    root: &Path,
    dry_run: bool,
    agent: Option<PathBuf>,
    command: Option<PathBuf>,
    debian: &Debian,
) -> Result<bool> {
    let agent = agent_or_build(agent, debian)?;
    let command = command.map_or_else(|| Executable::command().build(debian), Ok)?;
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

/// Writes the archive for images that cannot be rebuilt.
///
/// # Errors
/// Where something cannot be built, read or written.
pub fn cpio(
    file: &Path,
    policy: Option<&Path>,
    protected: Option<&Path>,
    agent: Option<PathBuf>,
    debian: &Debian,
) -> Result<bool> {
    let content = Content {
        agent: &agent_or_build(agent, debian)?,
        policy,
        protected,
    };
    appended::write(file, content)?;
    if protected.is_none() {
        say(
            "the archive has no list of what its system boots from: what stores (PCI class 01) will be \
             taken only where vfio.bind= names it by address, path, slot or serial number. `vfio-bind \
             protected > LIST`, run as root on the machine that it is for, makes one for --protected LIST",
        );
    }
    println!("{}", file.display());
    Ok(true)
}

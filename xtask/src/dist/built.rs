//! Executables of one architecture, and what is linked into them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use lab::debian::Debian;
use lab::program;
use lab::supply::Executables;
use qemu_tests::architecture::Architecture;

use super::linked::Linked;
use super::{Package, Time, VERSION};
use crate::build::executable::Executable;
use crate::build::toolchain::{self, Libc};

/// The executables.
#[derive(Clone, Debug)]
pub struct Built {
    architecture: Architecture,
    agent: PathBuf,
    command: PathBuf,
    /// What is linked.
    pub linked: Linked,
    /// What built them, as it names itself.
    pub compiler: String,
    /// The licences as a text.
    pub licences: String,
}

impl Built {
    /// Builds them.
    ///
    /// # Errors
    /// Where they cannot be built, or a crate hides its licence.
    pub fn new(architecture: Architecture, debian: &Debian) -> Result<Self> {
        let target = toolchain::other(architecture);
        let agent = Executable::agent(target).build(debian)?;
        let command = Executable::command().target(target).build(debian)?;
        let linked = Linked::read(architecture.triple())?;
        let compiler = compiler(target, debian)?;
        let licences = linked.licences(&compiler)?;
        Ok(Self {
            architecture,
            agent,
            command,
            linked,
            compiler,
            licences,
        })
    }

    /// What is packed of them.
    #[must_use]
    pub fn package(&self, revision: u32, time: Time) -> Package<'_> {
        Package {
            version: VERSION,
            revision,
            architecture: self.architecture,
            executables: Executables {
                agent: &self.agent,
                command: &self.command,
            },
            licences: &self.licences,
            time,
        }
    }
}

/// The compiler that builds the command for `target`.
fn compiler(target: Option<&str>, debian: &Debian) -> Result<String> {
    let settings = toolchain::settings(target, Libc::Shared, debian)?;
    let mut variables = settings.variables.into_iter();
    let own = variables.find(|(name, _)| name == "RUSTC");
    let program = own.map(|(_, path)| path).or_else(|| env::var_os("RUSTC"));
    let mut rustc = Command::new(program.unwrap_or_else(|| "rustc".into()));
    Ok(program::output(rustc.arg("--version"))?.trim().to_owned())
}

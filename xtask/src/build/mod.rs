//! Cargo, and what it needs.

pub mod cargo;
pub mod compiler;
pub mod executable;
pub mod toolchain;

use std::path::{Path, PathBuf};

use anyhow::Result;
use lab::debian::Debian;
use lab::supply::{Executables, Program, Supply};
use qemu_tests::architecture::Architecture;

use crate::dist::built::Built;
use crate::dist::{Time, deb};
use crate::install;
use crate::workspace;
use executable::Executable;
use toolchain::other;

/// Builds what the rig is handed.
#[derive(Debug)]
pub struct Workshop<'a>(pub &'a Debian);

/// A program for guests of `architecture`, as cargo builds it.
fn executable(program: Program, architecture: Architecture) -> Executable {
    let target = other(architecture);
    match program {
        Program::Agent => Executable::agent(target),
        Program::GuestInit => Executable::guest("guest-init").target(target),
        Program::DoNothing => Executable::guest("do-nothing").target(target),
        Program::Crash => Executable::guest("crash").target(target),
        Program::Command => Executable::guest_command().target(target),
    }
}

impl Supply for Workshop<'_> {
    fn prepare(&self, architecture: Architecture) -> Result<()> {
        for program in [Program::Agent, Program::GuestInit] {
            executable(program, architecture).settings(self.0)?;
        }
        Ok(())
    }

    fn build(&self, program: Program, architecture: Architecture) -> Result<PathBuf> {
        executable(program, architecture).build(self.0)
    }

    fn install(&self, executables: Executables<'_>, root: &Path) -> Result<()> {
        install::install(executables, None, root)
    }

    fn package(&self, architecture: Architecture, folder: &Path) -> Result<PathBuf> {
        let built = Built::new(architecture, self.0)?;
        let package = built.package(1, Time::of(workspace::folder())?);
        deb::build(&package, folder)
    }
}

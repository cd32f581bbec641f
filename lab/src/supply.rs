//! What the rig is handed: programs that somebody else builds.

use std::path::{Path, PathBuf};

use anyhow::Result;
use qemu_tests::architecture::Architecture;

/// Where the agent goes in an installation; hooks, unit and archive name it.
pub const AGENT: &str = "usr/bin/vfio-bind-agent";

/// Where the command goes; what builds an image runs it there.
pub const COMMAND: &str = "usr/bin/vfio-bind";

/// A program of this repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The agent.
    Agent,
    /// Process 1 of a guest.
    GuestInit,
    /// An agent that does nothing.
    DoNothing,
    /// An agent that crashes.
    Crash,
    /// The command `vfio-bind`, for a guest without libraries.
    Command,
}

/// What cargo builds and an installation holds.
#[derive(Clone, Copy, Debug)]
pub struct Executables<'a> {
    /// The agent.
    pub agent: &'a Path,
    /// The command `vfio-bind`.
    pub command: &'a Path,
}

/// Who builds programs, and knows the files of an installation.
pub trait Supply: Sync {
    /// Gets what is needed for building for `architecture`.
    ///
    /// # Errors
    /// Where it cannot be had.
    fn prepare(&self, architecture: Architecture) -> Result<()>;

    /// Builds a program for guests of `architecture`; gives its path.
    ///
    /// # Errors
    /// Where it cannot be built.
    fn build(&self, program: Program, architecture: Architecture) -> Result<PathBuf>;

    /// Lays every file of an installation in its place under `root`.
    ///
    /// # Errors
    /// Where one cannot be read or written.
    fn install(&self, executables: Executables<'_>, root: &Path) -> Result<()>;

    /// Makes Debian's package for `architecture` in `folder`; gives its path.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn package(&self, architecture: Architecture, folder: &Path) -> Result<PathBuf>;
}

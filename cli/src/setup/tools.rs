//! The programs that make of files what is booted.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::loader::change::Invocation;

/// How they are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tools {
    /// Those of the running system.
    System,
    /// None: they are only told.
    Told,
    /// Those of this directory, in the tree; one that is not there is only told.
    Of(PathBuf),
}

impl Tools {
    /// Whether all of these are run.
    #[must_use]
    pub fn run_all(&self, all: &[Invocation]) -> bool {
        match self {
            Self::System => true,
            Self::Told => false,
            Self::Of(directory) => all
                .iter()
                .all(|invocation| directory.join(invocation.program()).exists()),
        }
    }

    /// Whether a program answers so, where one can be asked.
    #[must_use]
    pub fn knows(&self, root: &Path, invocation: &Invocation) -> bool {
        self.command(root, invocation).is_some_and(|mut command| {
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
            quiet
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
    }

    /// Runs one; `started` is set as soon as it may have done something.
    ///
    /// # Errors
    /// Where it cannot be run, or fails.
    pub fn run(&self, root: &Path, invocation: &Invocation, started: &mut bool) -> Result<()> {
        let Some(mut command) = self.command(root, invocation) else {
            return Ok(());
        };
        // What it says is for people: standard output is ours.
        let command = command.stdin(Stdio::null()).stdout(io::stderr());
        let status = command
            .status()
            .with_context(|| format!("run({invocation}): it cannot be started"))?;
        *started = true;
        if !status.success() {
            bail!("run({invocation}): {status}");
        }
        Ok(())
    }

    /// Whether one is there to be run, or is only told.
    #[must_use]
    pub fn has(&self, invocation: &Invocation) -> bool {
        let program = invocation.program();
        let path = path();
        let mut places = std::env::split_paths(&path);
        *self != Self::System
            || program.contains('/')
            || places.any(|place| place.join(program).exists())
    }

    /// What one prints; `None` where it is only told.
    ///
    /// # Errors
    /// Where it cannot be run, or fails.
    pub fn output(&self, root: &Path, invocation: &Invocation) -> Result<Option<String>> {
        let Some(mut command) = self.command(root, invocation) else {
            return Ok(None);
        };
        let command = command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command
            .output()
            .with_context(|| format!("run({invocation})"))?;
        if !output.status.success() {
            bail!("run({invocation}): {}", output.status);
        }
        Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn command(&self, root: &Path, invocation: &Invocation) -> Option<Command> {
        let mut command = match self {
            Self::System => {
                let mut command = Command::new(invocation.program());
                command.env("PATH", path());
                command
            }
            Self::Told => return None,
            Self::Of(directory) => {
                let program = directory.join(invocation.program());
                let program = std::path::absolute(&program).unwrap_or(program);
                if !program.exists() {
                    return None;
                }
                let mut command = Command::new(program);
                command.current_dir(root);
                command
            }
        };
        command.args(invocation.0.iter().skip(1));
        Some(command)
    }
}

/// Where programs are: what becomes root may not look into all of it.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

//! How apt is run: what it says is kept where it fails.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};

use super::archives::{Archives, INDEX_TARGETS};
use crate::cache::Cache;
use crate::fault::{Fault, faults};
use crate::lack::Unavailable;
use crate::logs;
use crate::program;
use crate::tools::APT_GET;

/// What all lists share.
#[derive(Debug)]
pub(super) struct Apt {
    pub(super) cache: Cache,
    archives: OnceLock<Archives>,
    /// Set when nobody answers: the rest of the run does not wait for the same again.
    unreachable: Mutex<Option<Unavailable>>,
}

/// A command of apt's that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What did not come, where that is all.
    pub(super) faults: Vec<Fault>,
    said: String,
    log: PathBuf,
}

impl Failure {
    /// The lack that it is: by its first fault, if by any.
    pub(super) fn lack(&self) -> Option<Unavailable> {
        let first = self.faults.first()?;
        Some(Unavailable {
            reason: first.reason.clone(),
            log: Some(self.log.clone()),
        })
    }

    /// The error that it is.
    pub(super) fn error(&self) -> anyhow::Error {
        match self.lack() {
            Some(lack) => lack.into(),
            None => anyhow!("{}\n(kept in {})", self.said, self.log.display()),
        }
    }
}

impl Apt {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            cache,
            archives: OnceLock::new(),
            unreachable: Mutex::default(),
        }
    }

    pub(super) fn set_archives(&self, archives: Archives) {
        let _ = self.archives.set(archives);
    }

    /// The archives, by default the system's.
    pub(super) fn archives(&self) -> Result<&Archives> {
        if let Some(archives) = self.archives.get() {
            return Ok(archives);
        }
        ensure!(
            APT_GET.find().is_some(),
            "test kernels come from Debian's archive through apt, which is not on this machine: name \
             one by --kernel PATH --modules DIR"
        );
        let targets = program::output(APT_GET.command()?.args(INDEX_TARGETS))?;
        let archives = Archives::parse(&targets)?;
        Ok(self.archives.get_or_init(|| archives))
    }

    /// Runs one of apt's programs: its output, or what did not come.
    ///
    /// # Errors
    /// Where it cannot be started or its words not be kept.
    pub(super) fn run(&self, command: &mut Command) -> Result<Result<String, Failure>> {
        let line = program::line(command);
        let output = command
            .output()
            .with_context(|| format!("`{line}` could not be started"))?;
        if output.status.success() {
            return Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let said = program::said(&output);
        let log = logs::keep("apt", &format!("{line}\n{said}\n"))?;
        Ok(Err(Failure {
            faults: faults(&said).unwrap_or_default(),
            said: format!("`{line}` ended with {}:\n{said}", output.status),
            log,
        }))
    }

    /// Why nobody needs to ask the network any more, if so.
    pub(super) fn unreachable(&self) -> Option<Unavailable> {
        let state = self.unreachable.lock();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_unreachable(&self, lack: Unavailable) {
        let state = self.unreachable.lock();
        *state.unwrap_or_else(PoisonError::into_inner) = Some(lack);
    }
}

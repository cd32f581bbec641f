//! What the records of the runs since the boot say.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vfio_bind_agent::record::report::{DIRECTORY, FILE, MOST_RUNS, directory_of_run};
use vfio_bind_report::{Fate, Function, Report};

use crate::preview::known::read;

/// A run and its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// [`BOOT`], or `run-N`.
    pub name: String,
    /// Where its record is.
    pub path: PathBuf,
    /// What that says.
    pub report: Report,
}

/// The name of the boot's own run.
pub const BOOT: &str = "boot";

impl Run {
    /// Whether it is the boot's; else a later one.
    #[must_use]
    pub fn is_of_boot(&self) -> bool {
        self.name == BOOT
    }
}

/// All of the system at `root`: the boot's first, those of later runs behind, by their numbers. None where nothing
/// has run.
///
/// # Errors
/// Where one is there and cannot be read, or is none.
pub fn all(root: &Path) -> Result<Vec<Run>> {
    let boot = (BOOT.to_owned(), PathBuf::from(DIRECTORY));
    let later = (1..=MOST_RUNS).map(|number| {
        let directory = PathBuf::from(directory_of_run(number).as_str());
        (format!("run-{number}"), directory)
    });
    let mut runs = Vec::new();
    for (name, directory) in [boot].into_iter().chain(later) {
        let path = root.join(directory).join(FILE);
        if let Some(report) = parse(&path)? {
            runs.push(Run { name, path, report });
        }
    }
    Ok(runs)
}

/// What the newest record that has a function says of it, by its address; `None` where there is no record. What went
/// back because the root file system did not appear, or was released, is in none of them, and what a dry run would
/// have done is no news.
///
/// # Errors
/// Where a record cannot be read.
pub fn newest(root: &Path) -> Result<Option<BTreeMap<String, Function>>> {
    let runs = all(root)?;
    Ok((!runs.is_empty()).then(|| newest_of(&runs)))
}

/// The same of records that were read.
#[must_use]
pub fn newest_of(runs: &[Run]) -> BTreeMap<String, Function> {
    let mut newest = BTreeMap::new();
    for Run { report, .. } in runs {
        let news = report.functions.iter();
        let news = news.filter(|function| function.outcome != Fate::Planned);
        newest.extend(news.map(|function| (function.address.clone(), function.clone())));
        for given in &report.given_back {
            newest.remove(given.split(' ').next().unwrap_or_default());
        }
    }
    newest
}

/// The functions that runs since the boot have bound, each with the driver it got.
#[must_use]
pub fn bound(runs: &[Run]) -> BTreeMap<String, String> {
    let newest = newest_of(runs).into_iter();
    let bound = newest.filter(|(_, function)| function.outcome.is_vfio());
    let bound = bound.filter_map(|(address, function)| Some((address, function.driver_now?)));
    bound.collect()
}

/// Reads the record of a run.
///
/// # Errors
/// Where it is not there, cannot be read, or is no record.
pub fn read_record(path: &Path) -> Result<Report> {
    let report = parse(path)?;
    report.with_context(|| format!("{}: the run left no record", path.display()))
}

fn parse(path: &Path) -> Result<Option<Report>> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let report = Report::parse(&String::from_utf8_lossy(&text));
    let report = report.with_context(|| format!("{}: it is no record", path.display()))?;
    Ok(Some(report))
}

/// Makes the directory of a run that is to come.
///
/// # Errors
/// What mkdir answered, or that there are too many.
pub fn new_directory(root: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(root.join(DIRECTORY))?;
    for number in 1..=MOST_RUNS {
        let directory = root.join(directory_of_run(number).as_str());
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "there are {MOST_RUNS} records of runs; remove some"
    )))
}

//! The records of all runs since the boot, the oldest first.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vfio_bind_agent::record::report::{DIRECTORY, FILE, MOST_RUNS, directory_of_run};
use vfio_bind_report::Report;

use crate::preview::known::read;

/// A run and its record.
pub struct Run {
    /// `boot`, or `run-N`.
    pub name: String,
    /// Its record.
    pub report: Report,
}

/// Reads the records of the system at `root`; none where nothing has run.
///
/// # Errors
/// Where one is there and cannot be read, or is no record.
pub fn all(root: &Path) -> Result<Vec<Run>> {
    let boot = ("boot".to_owned(), PathBuf::from(DIRECTORY));
    let later = (1..=MOST_RUNS).map(|number| {
        let directory = PathBuf::from(directory_of_run(number).as_str());
        (format!("run-{number}"), directory)
    });
    let mut runs = Vec::new();
    for (name, directory) in [boot].into_iter().chain(later) {
        let path = root.join(directory).join(FILE);
        if let Some(report) = parse(&path)? {
            runs.push(Run { name, report });
        }
    }
    Ok(runs)
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
        "there are {} records of runs; remove some",
        MOST_RUNS
    )))
}

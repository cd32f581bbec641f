//! What the records of the runs since the boot say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::preview::known;
use anyhow::{Context, Result};
use vfio_bind_agent::record::report::{DIRECTORY, FILE, MOST_RUNS, directory_of_run};
use vfio_bind_report::{Fate, Function, Report};

/// A record, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is that of the boot; else of a later run.
    pub of_boot: bool,
    /// What it says.
    pub report: Report,
}

/// All of the system at `root`: the boot's first, those of later runs behind, by their numbers.
///
/// # Errors
/// Where one is there and cannot be read, or is none.
pub fn all(root: &Path) -> Result<Vec<Kept>> {
    let boot = (root.join(DIRECTORY), true);
    let later = (1..=MOST_RUNS).map(|number| (root.join(directory_of_run(number).as_str()), false));
    let mut records = Vec::new();
    for (directory, of_boot) in [boot].into_iter().chain(later) {
        let path = directory.join(FILE);
        let Some(text) = known::read(&path)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&text);
        let report =
            Report::parse(&text).with_context(|| format!("{}: it is no record", path.display()))?;
        records.push(Kept {
            path,
            of_boot,
            report,
        });
    }
    Ok(records)
}

/// What the newest record that has a function says of it, by its address; `None` where there is no record. What went
/// back because the root file system did not appear is in none of them, and what a dry run would have done is no news.
///
/// # Errors
/// Where a record cannot be read.
pub fn newest(root: &Path) -> Result<Option<BTreeMap<String, Function>>> {
    let records = all(root)?;
    Ok((!records.is_empty()).then(|| newest_of(&records)))
}

/// The same of records that were read.
#[must_use]
pub fn newest_of(records: &[Kept]) -> BTreeMap<String, Function> {
    let mut all = BTreeMap::new();
    for Kept { report, .. } in records {
        let news = report.functions.iter();
        let news = news.filter(|function| function.outcome != Fate::Planned);
        all.extend(news.map(|function| (function.address.clone(), function.clone())));
        for given in &report.given_back {
            all.remove(given.split(' ').next().unwrap_or_default());
        }
    }
    all
}

/// The functions that runs since the boot have bound, each with the driver it got.
#[must_use]
pub fn bound(records: &[Kept]) -> BTreeMap<String, String> {
    let newest = newest_of(records).into_iter();
    let bound = newest.filter(|(_, function)| function.outcome.is_vfio());
    let bound = bound.filter_map(|(address, function)| Some((address, function.driver_now?)));
    bound.collect()
}

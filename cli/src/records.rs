//! What the records of the runs since the boot say.

use std::collections::BTreeMap;
use std::path::Path;

use crate::preview::known;
use anyhow::{Context, Result};
use vfio_bind_agent::record::report::{DIRECTORY, FILE, MOST_RUNS, directory_of_run};
use vfio_bind_report::{Fate, Function, Report};

/// What the newest record that has a function says of it, by its address; `None` where there is no record. That of
/// the boot is the oldest, and those of later runs follow by their numbers. What went back because the root file
/// system did not appear is in none of them, and what a dry run would have done is no news.
///
/// # Errors
/// Where a record cannot be read.
pub fn newest(root: &Path) -> Result<Option<BTreeMap<String, Function>>> {
    let mut all: Option<BTreeMap<String, Function>> = None;
    let later = (1..=MOST_RUNS).map(|number| root.join(directory_of_run(number).as_str()));
    for directory in [root.join(DIRECTORY)].into_iter().chain(later) {
        let path = directory.join(FILE);
        let Some(text) = known::read(&path)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&text);
        let report =
            Report::parse(&text).with_context(|| format!("{}: it is no record", path.display()))?;
        let all = all.get_or_insert_default();
        let news = report.functions.into_iter();
        let news = news.filter(|function| function.outcome != Fate::Planned);
        all.extend(news.map(|function| (function.address.clone(), function)));
        for given in report.given_back {
            all.remove(given.split(' ').next().unwrap_or_default());
        }
    }
    Ok(all)
}

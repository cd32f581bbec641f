//! Guests, two at a time; and those of each long test run.

use std::path::Path;
use std::thread;

use anyhow::{Result, anyhow};

use super::guest::{ARCHITECTURE, Outcome, measure};
use super::limits::Limits;
use super::plan::{Guest, short};
use crate::kernel::DEFAULT;
use crate::progress::say;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;

/// Measures in each of `guests`; what runs on this machine at the same time changes no number.
///
/// # Errors
/// That of the first guest that measures nothing of use.
pub fn all(guests: &[Guest], rig: &Rig<'_>) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for two in guests.chunks(2) {
        let results = thread::scope(|scope| {
            let one = |guest| {
                scope.spawn(move || {
                    let outcome = measure(guest, rig)?;
                    say(format_args!("{}: measured", guest.name));
                    Ok(outcome)
                })
            };
            let threads: Vec<_> = two.iter().map(one).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Outcome>>| {
                let lost = |_| Err(anyhow!("the thread of a guest panicked"));
                thread.join().unwrap_or_else(lost)
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>>>()
        });
        outcomes.extend(results?);
    }
    Ok(outcomes)
}

/// A short measurement, compared with the limits in the file `limits`.
#[must_use]
pub fn task<'a>(rig: &'a Rig<'a>, limits: &'a Path) -> Task<'a> {
    const NAME: &str = "cost";
    let settings = &rig.settings;
    let own = settings.kernel == DEFAULT && settings.modules.is_none();
    Task {
        name: NAME.to_owned(),
        is_boot: true,
        is_cargo: false,
        wants: match own {
            true => rig.machine_parts(None, ARCHITECTURE),
            false => Vec::new(),
        },
        run: Box::new(move || {
            if !own {
                return Ok(Row::not_run(
                    NAME,
                    "its limits are for Linux 6.1: omit --kernel",
                ));
            }
            let limits = Limits::read(limits)?;
            let mut row = Row::passed(NAME);
            for guest in short() {
                let outcome = measure(&guest, rig)?;
                let exceeded = limits.exceeded(&outcome.rows);
                if !exceeded.is_empty() {
                    row.verdict = Verdict::Failed;
                    row.details.extend(exceeded);
                    row.details.push(format!("log: {}", outcome.log.display()));
                }
                row.release = outcome.release;
            }
            Ok(row)
        }),
    }
}

//! Guests, two at a time; and those of each long test run.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::guest::{Outcome, measure};
use super::limits::Limits;
use super::machine::ARCHITECTURE;
use super::plan::{Guest, short};
use crate::kernel::DEFAULT;
use crate::progress::say;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::schedule::Task;

/// Measures in each of `guests`, in two at a time; what runs on this machine at the same time changes no number.
/// The outcomes come by the size of the guests.
///
/// # Errors
/// That of the first guest that measures nothing of use.
pub fn all(guests: &[Guest], rig: &Rig<'_>) -> Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(guest) = guests.get(number) else {
                return Ok(done);
            };
            let started = Instant::now();
            done.push((number, measure(guest, rig)?));
            let seconds = started.elapsed().as_secs();
            say(format_args!("{}: measured within {seconds} s", guest.name));
        }
    };
    let results = thread::scope(|scope| {
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Vec<_>>>| {
            let lost = |_| Err(anyhow!("the thread of a guest panicked"));
            thread.join().unwrap_or_else(lost)
        };
        let threads = [(); 2].map(|()| scope.spawn(work));
        threads.map(join).into_iter().collect::<Result<Vec<_>>>()
    });
    let mut outcomes: Vec<_> = results?.into_iter().flatten().collect();
    outcomes.sort_by_key(|(number, _)| guests.get(*number).map(Guest::functions));
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
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

//! What a run came to.

use anyhow::{Error, Result};
use lab::lack::Unavailable;
use lab::progress::{self, say};
use lab::rig::Rig;
use lab::row::{self, Row, Rules};
use lab::schedule::{self, Task};

/// Runs tasks, so many at a time, and prints what they came to: whether all was well.
///
/// # Errors
/// Where they cannot be begun; whatever happens in one is a row.
pub fn run(tasks: &[Task<'_>], rig: &Rig<'_>, jobs: usize, rules: Rules) -> Result<bool> {
    let rows = schedule::run(tasks, rig, jobs, rules)?;
    Ok(conclude(&rows, rules, &row::report(&rows, rules)))
}

/// Prints it: whether all was well.
pub fn conclude(rows: &[Row], rules: Rules, table: &str) -> bool {
    let count = row::count(rows, rules);
    print!("{table}");
    println!("\n{:.0} s in all", progress::elapsed().as_secs_f64());
    println!("{count}");
    count.failed == 0
}

/// Tells what one check came to that is a task of its own; what it cannot have is a failure where that is `strict`.
///
/// # Errors
/// What went wrong in it.
pub fn alone(checked: Result<String>, strict: bool) -> Result<bool> {
    let lacks = |error: &Error| Unavailable::behind(error).map(ToString::to_string);
    match checked {
        Ok(told) => say(told),
        Err(error) => match lacks(&error).filter(|_| !strict) {
            Some(lack) => say(format_args!("NOT RUN: {lack}")),
            None => return Err(error),
        },
    }
    Ok(true)
}

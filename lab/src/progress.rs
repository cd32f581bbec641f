//! Lines that say what is going on, with the time since the start. They go to standard error, so
//! that standard output is the result alone.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Starts the clock; later calls change nothing.
pub fn start() {
    START.get_or_init(Instant::now);
}

/// Since the start.
pub fn elapsed() -> Duration {
    START.get_or_init(Instant::now).elapsed()
}

/// Says that something begins or is done.
pub fn say(what: impl fmt::Display) {
    eprintln!("{:>7.1} s  {what}", elapsed().as_secs_f64());
}

//! How long a call may take in a run that has to end.

use core::time::Duration;

/// What the kernel does at once takes less, on a machine that is not stuck.
pub const AT_ONCE: Duration = Duration::from_millis(100);

/// How long undoing may take at that pace, and how long a call may take then: of 2,048 functions that
/// are all stuck, six seconds.
const UNDO_LIMIT: Duration = Duration::from_secs(15);
const HARDLY: Duration = Duration::from_millis(1);

/// How long a call may take that may take `limit`, in a run that ends at `end`; both times are in
/// microseconds of one clock. Behind the end only what undoes is called, of which each takes as long as what
/// the kernel does at once; where even that has gone on for long, as long as it takes to leave it to a child.
#[must_use]
pub fn limit(limit: Duration, now: u64, end: u64) -> Duration {
    let left = Duration::from_micros(end.saturating_sub(now));
    let undoing = Duration::from_micros(now.saturating_sub(end));
    let least = if undoing < UNDO_LIMIT {
        AT_ONCE
    } else {
        HARDLY
    };
    limit.min(left.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_what_is_left_and_undoing_takes_little() {
        const END: u64 = 60_000_000;
        for (wanted_ms, now, allowed_us) in [
            (5_000, 0, 5_000_000),
            (5_000, END - 5_000_000, 5_000_000),
            (5_000, END - 4_000_000, 4_000_000),
            // What has begun can still come to pass.
            (5_000, END - 1, 100_000),
            (5_000, END, 100_000),
            (5_000, END + 14_999_999, 100_000),
            (5_000, END + 15_000_000, 1_000),
            (5_000, u64::MAX, 1_000),
            // Never more than was wanted.
            (20, END, 20_000),
            (0, 0, 0),
        ] {
            let allowed = limit(Duration::from_millis(wanted_ms), now, END);
            assert_eq!(
                allowed,
                Duration::from_micros(allowed_us),
                "{wanted_ms} ms at {now}"
            );
        }
    }
}

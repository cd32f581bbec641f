//! What a run came to.

use lab::progress;
use lab::row::{self, Row, Rules};

/// Prints it: whether all was well.
pub fn conclude(rows: &[Row], rules: Rules, table: &str) -> bool {
    let count = row::count(rows, rules);
    print!("{table}");
    println!("\n{:.0} s in all", progress::elapsed().as_secs_f64());
    println!("{count}");
    count.failed == 0
}

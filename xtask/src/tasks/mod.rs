//! The tasks, a file for each kind.

pub mod bench;
pub mod build;
pub mod demo;
pub mod qemu_test;
pub mod test;
pub mod unit_tests;

use lab::progress;
use lab::row::{self, Row, Rules};

/// Prints what a run came to: whether all was well.
fn conclude(rows: &[Row], rules: Rules, table: &str) -> bool {
    let count = row::count(rows, rules);
    print!("{table}");
    println!("\n{:.0} s in all", progress::elapsed().as_secs_f64());
    println!("{count}");
    count.failed == 0
}

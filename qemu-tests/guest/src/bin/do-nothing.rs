//! Stands in for the agent to prove that the scenarios can fail: it succeeds and does nothing.

use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() {
    // A first process that ends is a panic of the kernel, which would fail any scenario: hand over
    // to the image's init, so that only what was not done can make it fail.
    if std::process::id() == 1 {
        let error = Command::new("/init").exec();
        eprintln!("do-nothing: exec(/init): {error}");
    }
}

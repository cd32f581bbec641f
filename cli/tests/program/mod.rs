//! Programs that tests make, and run.
//!
//! Another process writes them: what a test beside this one starts meanwhile would inherit the open file, and what is
//! open for writing cannot be run (`ETXTBSY`, execve(2)).

#![allow(
    dead_code,
    reason = "each test is a program of its own and uses what it needs"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a program of a text.
pub fn write(path: &Path, text: &str) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path);
    let mut child = shell.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// Copies a file, or all that is in a folder into another one.
pub fn copy(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-rP").arg("--preserve=mode,links");
    let from = match from.is_dir() {
        true => from.join("."),
        false => from.to_owned(),
    };
    let status = copy.arg(from).arg(to).status().unwrap();
    assert!(status.success(), "{}", to.display());
}

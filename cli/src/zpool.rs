//! The members of a ZFS pool, which only its own program tells.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long it may take: of a pool that is suspended it never comes back.
const LIMIT: Duration = Duration::from_secs(20);
/// Its directory is not in every PATH.
const PROGRAMS: [&str; 3] = ["zpool", "/usr/sbin/zpool", "/sbin/zpool"];

/// What `zpool list -vHPL` prints about a pool: paths of devices, all links followed.
///
/// # Errors
/// Why there is no answer, in words.
pub fn members(pool: &str) -> Result<String, String> {
    // Not `zpool status`, which shows the same for people.
    let arguments = ["list", "-v", "-H", "-P", "-L", pool].map(str::to_owned);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(run(&arguments)));
    receiver.recv_timeout(LIMIT).unwrap_or_else(|_| {
        Err(format!(
            "zpool list -vHPL {pool}: no answer in {} s",
            LIMIT.as_secs()
        ))
    })
}

fn run(arguments: &[String]) -> Result<String, String> {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("run({program}): {error}")),
            Ok(output) if output.status.success() => {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().next().unwrap_or("it said nothing");
                return Err(format!(
                    "{program} {}: {}: {said}",
                    arguments.join(" "),
                    output.status
                ));
            }
        }
    }
    Err("the program zpool is not installed".to_owned())
}

/// The paths of devices and files in what [`members`] gives.
pub fn paths(listing: &str) -> impl Iterator<Item = &str> {
    let words = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_from_what_groups_them() {
        let listing = "rpool\t222G\t-\tONLINE\n\tmirror-0\t222G\tONLINE\n\t/dev/sda3\t-\tONLINE\n\
                       \t/dev/nvme0n1p3\t-\tONLINE\nlogs\t-\n\t12345678901234\t-\tUNAVAIL\n";
        let found: Vec<_> = paths(listing).collect();
        assert_eq!(found, ["/dev/sda3", "/dev/nvme0n1p3"]);
    }
}

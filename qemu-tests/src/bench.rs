//! What measuring asks of a guest, and what the guest sends back.

use serde::{Deserialize, Serialize};

/// Where the shell of an image of measurements is.
pub const SHELL: &str = "/usr/bin/dash";
/// Where an image has a made-up tree, a `/sys` and all.
pub const TREE: &str = "/tree";

/// One part of measuring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Switch on so many virtual functions of the NVMe controller at this address, without drivers.
    VirtualFunctions(String, usize),
    /// Run a program and measure it.
    Measure(Order),
}

/// A program, and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names it in the records.
    pub label: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Mounted over `/proc/cmdline`; the kernel's own where absent.
    pub cmdline: Option<String>,
    /// Functions that it must have given to vfio-pci; they are given back behind each run.
    pub taken: Vec<String>,
    /// Functions of the made-up tree whose override it must have written, and the last of which it must have had
    /// probed; both are taken back behind each run.
    pub overridden: Vec<String>,
    /// Pieces of what it must print.
    pub says: Vec<String>,
    /// Modules that are unloaded behind each run, in this order.
    pub unload: Vec<String>,
    /// How often the clock runs along. A run in which system calls are counted comes before, and before that one
    /// that fills caches where the clock runs along more than once.
    pub times: usize,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// From the order.
    pub label: String,
    /// By the guest's clock, from before the program is started until it is reaped.
    pub nanoseconds: Vec<u64>,
    /// Minor page faults of each of these runs, its children's included.
    pub faults: Vec<u64>,
    /// System calls, its children's included.
    pub calls: u64,
    /// The same by kind; none where the kernel cannot tell.
    pub kinds: Vec<Kind>,
    /// The memory that it had in the end, in KiB; of several processes that of the largest.
    pub memory: u64,
    /// What was not as it must be, of all runs; empty where all was.
    pub wrong: Vec<String>,
}

/// System calls of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// The kernel's name of it, without `sys_`.
    pub name: String,
    /// How many there were.
    pub calls: u64,
    /// What the kernel spent in all of them, by the guest's clock; a call that does not return has 0.
    pub nanoseconds: u64,
}

/// The kinds in two histograms of the kernel's, `hist:keys=id.syscall`: one of calls, and one whose value
/// `spent` is the time of those that returned.
#[must_use]
pub fn kinds(calls: &str, times: &str) -> Vec<Kind> {
    let times: Vec<_> = times.lines().filter_map(bucket).collect();
    let kind = |(name, calls, _): (&str, u64, u64)| Kind {
        name: name.to_owned(),
        calls,
        nanoseconds: times
            .iter()
            .filter(|(other, ..)| *other == name)
            .map(|(_, _, spent)| spent)
            .sum(),
    };
    calls.lines().filter_map(bucket).map(kind).collect()
}

/// Name, hits and `spent` of a line `{ id: sys_read [  0] } hitcount: 5  spent: 70`.
fn bucket(line: &str) -> Option<(&str, u64, u64)> {
    let (key, values) = line.strip_prefix("{ id: ")?.split_once('}')?;
    let name = key.split_whitespace().next()?;
    let mut words = values.split_whitespace();
    let (mut hits, mut spent) = (0, 0);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse().ok();
        match word {
            "hitcount:" => hits = number()?,
            "spent:" => spent = number()?,
            _ => {}
        }
    }
    Some((name.strip_prefix("sys_").unwrap_or(name), hits, spent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_read() {
        let calls = "# event histogram\n#\n\n\
            { id: sys_exit_group                [231] } hitcount:          1\n\
            { id: sys_openat                    [257] } hitcount:         12\n\nTotals:\n    Hits: 13\n";
        let times = "{ id: sys_openat                    [257] } hitcount:         12  spent:      70500\n\
            { id: sys_close                       [3] } hitcount:          1  spent:         10\n";
        let kind = |name: &str, calls, nanoseconds| Kind {
            name: name.to_owned(),
            calls,
            nanoseconds,
        };
        assert_eq!(
            kinds(calls, times),
            [kind("exit_group", 1, 0), kind("openat", 12, 70_500)]
        );
        assert_eq!(kinds("", times), []);
        for line in [
            "",
            "{ id: sys_read",
            "{ id:  } hitcount: 1",
            "{ id: sys_read [0] } hitcount: x",
        ] {
            assert_eq!(bucket(line), None, "{line:?}");
        }
    }
}

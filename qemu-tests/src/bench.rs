//! What measuring asks of a guest, and what the guest sends back.

use serde::{Deserialize, Serialize};

/// Where the shell of an image of measurements is.
pub const SHELL: &str = "/usr/bin/dash";
/// Where a made-up tree is mounted, a `/sys` and all.
pub const TREE: &str = "/run/tree";
/// The functions of a domain in a made-up tree: eight root ports, and 31 functions behind each.
pub const DOMAIN: usize = 256;

/// One part of measuring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Switch on so many virtual functions of the NVMe controller at this address, without drivers.
    VirtualFunctions(String, usize),
    /// Make up a tree of this many functions at [`TREE`].
    Tree(usize),
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
    /// A piece of what it must print, where it is to print something.
    pub says: String,
    /// Modules that are unloaded behind each run, in this order.
    pub unload: Vec<String>,
    /// How often the clock runs along. A run in which system calls are counted comes on top.
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
    /// The memory that it had in the end, in KiB; of several processes that of the largest.
    pub memory: u64,
    /// What was not as it must be, of all runs; empty where all was.
    pub wrong: Vec<String>,
}

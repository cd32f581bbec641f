//! The kernel's own histograms of system calls, by kind.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use qemu_tests::bench::{Kind, kinds};

use crate::files;

/// Where they are.
const TRACING: &str = "/sys/kernel/tracing";
/// The event that each call which returns becomes, with the time that it took.
const EVENT: &str = "call long id; u64 spent";
/// Files, and what is written there: what is measured is all but process 1. Its own time is not told of a
/// call that does not return, so calls are counted where they begin.
const TRIGGERS: [(&str, &str); 4] = [
    (
        "events/raw_syscalls/sys_enter/trigger",
        "hist:keys=id.syscall:size=512 if common_pid != 1",
    ),
    (
        "events/raw_syscalls/sys_enter/trigger",
        "hist:keys=common_pid:began=common_timestamp if common_pid != 1",
    ),
    (
        "events/raw_syscalls/sys_exit/trigger",
        "hist:keys=common_pid:spent=common_timestamp-$began:\
         onmatch(raw_syscalls.sys_enter).trace(call,id,$spent) if common_pid != 1",
    ),
    (
        "events/synthetic/call/trigger",
        "hist:keys=id.syscall:vals=spent:size=512",
    ),
];
/// What holds the calls, and what holds their times.
const RESULTS: [&str; 2] = [
    "events/raw_syscalls/sys_enter/hist",
    "events/synthetic/call/hist",
];

/// Histograms that fill.
pub(super) struct Histograms(());

impl Histograms {
    /// Starts them, where the kernel has any.
    pub(super) fn start() -> Result<Option<Self>> {
        if !Path::new(TRACING).join("events").exists() {
            mount(
                Some("tracefs"),
                TRACING,
                Some("tracefs"),
                MsFlags::empty(),
                None::<&str>,
            )
            .with_context(|| format!("mount(tracefs, {TRACING})"))?;
        }
        let events = Path::new(TRACING).join("synthetic_events");
        if !events.exists() {
            return Ok(None);
        }
        add(&events, EVENT)?;
        for (file, text) in TRIGGERS {
            add(&Path::new(TRACING).join(file), text)?;
        }
        Ok(Some(Self(())))
    }

    /// Stops them: what they hold.
    pub(super) fn end(self) -> Result<Vec<Kind>> {
        let [calls, times] = RESULTS.map(|file| files::read(Path::new(TRACING).join(file)));
        let (calls, times) = (calls?, times?);
        // Opening a file to write it anew removes all that it has; what refers to another one goes first.
        let triggers = TRIGGERS.iter().rev().map(|(file, _)| *file);
        for file in triggers.chain(["synthetic_events"]) {
            let path = Path::new(TRACING).join(file);
            File::create(&path).with_context(|| format!("create({})", path.display()))?;
        }
        Ok(kinds(&calls, &times))
    }
}

/// Adds a line to what a file has.
fn add(path: &Path, text: &str) -> Result<()> {
    let mut file = File::options()
        .append(true)
        .open(path)
        .with_context(|| format!("open({})", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("write({}, {text:?})", path.display()))
}

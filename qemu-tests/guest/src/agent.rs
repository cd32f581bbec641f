//! The agent, run as an initramfs hook runs it and watched from outside.

use std::fs;
use std::io::{ErrorKind, Read};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use qemu_tests::protocol::{AgentOrder, AgentRun};

use crate::files;
use crate::places;
use crate::processes::agents;
use crate::program::{self, AGENT};
use crate::watch::Watch;

/// Where it leaves its record.
const REPORT: &str = "/run/vfio-bind/report.json";
/// The word that it is given for a function that has come.
const LATE: &str = "udev";
/// How its lines in the kernel log start.
const LOG_PREFIX: &str = "vfio-bind: ";

/// Runs the agent.
pub(crate) fn run(order: &AgentOrder) -> Result<AgentRun> {
    let cmdline = order
        .cmdline
        .as_deref()
        .map(CmdlineMount::mount)
        .transpose()?;
    // A run for what came late leaves the record of the boot alone.
    let late = order.arguments.first().is_some_and(|word| word == LATE);
    if !late {
        files::remove(REPORT)?;
    }
    let known = program::records()?;
    let log = KernelLog::from_now()?;
    let before = agents()?;
    let watch = Watch::start()?;
    let started = Instant::now();
    let mut command = match order.place {
        Some(place) => places::command(place)?,
        None => Command::new(AGENT),
    };
    let (ending, output) = program::outcome(command.args(&order.arguments), program::LIMIT)?;
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let writes = watch.finish()?;
    let number = |agent: &str| agent.split(' ').next().map(str::to_owned);
    let before: Vec<_> = before.iter().map(|agent| number(agent)).collect();
    let mut left = agents()?;
    left.retain(|agent| !before.contains(&number(agent)));
    drop(cmdline);
    let mut records = program::records()?;
    for (path, text) in &known {
        ensure!(
            records.remove(path).as_ref() == Some(text),
            "{path} is another"
        );
    }
    ensure!(records.len() < 2, "it leaves {} records", records.len());
    let report = records.into_values().next();
    if late {
        wait_for_drivers()?;
    }
    Ok(AgentRun {
        label: order.label.clone(),
        ending,
        elapsed_ms,
        report,
        log: log.lines()?,
        output,
        writes,
        left,
    })
}

/// Waits until no driver is on its way to a function any more: nvme refuses what it is offered half a second after it
/// has it.
fn wait_for_drivers() -> Result<()> {
    const QUIET: Duration = Duration::from_millis(1500);
    const LIMIT: Duration = Duration::from_secs(30);
    let events = || files::read("/sys/kernel/uevent_seqnum");
    let (start, mut before) = (Instant::now(), events()?);
    loop {
        thread::sleep(QUIET);
        let now = events()?;
        if now == before {
            return Ok(());
        }
        ensure!(
            start.elapsed() < LIMIT,
            "there are still events after {} s",
            LIMIT.as_secs()
        );
        before = now;
    }
}

/// The agent's record, if there is one.
pub(crate) fn report() -> Result<Option<String>> {
    match fs::read(REPORT) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(format!("read({REPORT})")),
    }
}

/// Another command line over the kernel's own, until dropped.
pub(crate) struct CmdlineMount;

impl CmdlineMount {
    const TARGET: &str = "/proc/cmdline";
    const SOURCE: &str = "/run/cmdline";

    pub(crate) fn mount(text: &str) -> Result<Self> {
        // The kernel's own ends with a newline.
        files::write(Self::SOURCE, &format!("{text}\n"))?;
        let flags = MsFlags::MS_BIND;
        mount(
            Some(Self::SOURCE),
            Self::TARGET,
            None::<&str>,
            flags,
            None::<&str>,
        )
        .with_context(|| format!("mount(bind, {})", Self::TARGET))?;
        Ok(Self)
    }
}

impl Drop for CmdlineMount {
    fn drop(&mut self) {
        if let Err(error) = umount2(Self::TARGET, MntFlags::MNT_DETACH) {
            eprintln!("guest-init: umount({}): {error}", Self::TARGET);
        }
    }
}

/// Those lines of the kernel log that are the agent's.
pub(crate) fn agents_lines(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| line.starts_with(LOG_PREFIX));
    lines
}

/// The kernel log from one moment on.
pub(crate) struct KernelLog(fs::File);

impl KernelLog {
    pub(crate) fn from_now() -> Result<Self> {
        use std::io::{Seek, SeekFrom};
        let Self(mut file) = Self::from_start()?;
        file.seek(SeekFrom::End(0)).context("seek(/dev/kmsg)")?;
        Ok(Self(file))
    }

    /// From the oldest line that the kernel still has.
    pub(crate) fn from_start() -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("open(/dev/kmsg)")?;
        Ok(Self(file))
    }

    /// The agent's lines since then.
    pub(crate) fn lines(self) -> Result<Vec<String>> {
        Ok(agents_lines(self.all_lines()?))
    }

    /// All lines since then. A read gives one line: `LEVEL,NUMBER,TIME,FLAGS;TEXT`.
    pub(crate) fn all_lines(mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.0.read(&mut buffer) {
                Ok(length) => {
                    let entry = String::from_utf8_lossy(&buffer[..length]);
                    let text = entry.split_once(';').map_or("", |(_, text)| text);
                    let line = text.lines().next().unwrap_or_default();
                    lines.push(line.to_owned());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                Err(error) => return Err(error).context("read(/dev/kmsg)"),
            }
        }
    }
}

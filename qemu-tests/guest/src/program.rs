//! Programs, run and watched from outside; those of the real root as its owner runs them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use qemu_tests::protocol::{Ending, Ran};

use crate::files;
use crate::mounted;
use crate::watch::Watch;

/// Where images hold the agent.
pub(crate) const AGENT: &str = "/usr/bin/vfio-bind-agent";
/// Where the real root has them.
pub(crate) const FOLDER: &str = "/usr/bin";
/// Where the agent leaves its records.
const RECORDS: &str = "/run/vfio-bind";
/// Where outputs go: a pipe would have to be emptied.
const OUTPUT: &str = "/run/output";

/// A hook or a command that takes longer than this has hung the boot.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// A script builds images of a whole system, and looks at every file of it.
const SCRIPT_LIMIT: Duration = Duration::from_secs(1200);

/// Runs a program with the arguments behind its name.
pub(crate) fn run(command: &str) -> Result<Ran> {
    run_within(command, LIMIT)
}

/// Runs a script by the shell, until a command in it fails.
pub(crate) fn run_script(path: &str) -> Result<Ran> {
    run_within(&format!("sh -e {path}"), SCRIPT_LIMIT)
}

fn run_within(command: &str, limit: Duration) -> Result<Ran> {
    let mut words = command.split_whitespace();
    let program = format!("{FOLDER}/{}", words.next().unwrap_or_default());
    let watch = Watch::start()?;
    let (ending, output) = outcome(Command::new(program).args(words), limit)?;
    let writes = watch.finish()?;
    let disk = mounted::store().err();
    Ok(Ran {
        command: command.to_owned(),
        ending,
        output,
        writes,
        records: records()?,
        disk: disk.map_or(String::new(), |error| format!("{error:#}")),
    })
}

/// Runs a command; how it ended, and what it printed on both of its outputs.
pub(crate) fn outcome(command: &mut Command, limit: Duration) -> Result<(Ending, Vec<String>)> {
    let output = File::create(OUTPUT).with_context(|| format!("create({OUTPUT})"))?;
    let errors = output.try_clone().context("dup")?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let ending = match command.spawn() {
        Ok(mut child) => finish(&mut child, limit)?,
        Err(error) => Ending::NotStarted(format!("{command:?}: {error}")),
    };
    let text = fs::read(OUTPUT).with_context(|| format!("read({OUTPUT})"))?;
    let text = String::from_utf8_lossy(&text);
    Ok((ending, text.lines().map(str::to_owned).collect()))
}

/// Waits for a child, but not longer than `limit`: then it is killed.
pub(crate) fn finish(child: &mut Child, limit: Duration) -> Result<Ending> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("wait")? {
            return Ok(match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Exited(code),
                (None, signal) => Ending::Signalled(signal.unwrap_or_default()),
            });
        }
        if started.elapsed() > limit {
            child.kill().context("kill")?;
            // A process that hangs in the kernel cannot be waited for: the machine ends anyway.
            return Ok(Ending::TimedOut(limit.as_secs()));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The record of the boot, and those of later runs, each in a folder of its own.
pub(crate) fn records() -> Result<BTreeMap<String, String>> {
    const NAME: &str = "report.json";
    // Without an agent in the image there is none.
    if !fs::exists(RECORDS).with_context(|| format!("stat({RECORDS})"))? {
        return Ok(BTreeMap::new());
    }
    let mut places = vec![NAME.to_owned()];
    for entry in files::list(RECORDS)?.iter().filter(|path| path.is_dir()) {
        let folder = entry.file_name().unwrap_or_default().to_string_lossy();
        places.push(format!("{folder}/{NAME}"));
    }
    // A run that had nothing to do leaves its folder empty, or none.
    places.retain(|place| fs::exists(format!("{RECORDS}/{place}")).unwrap_or(true));
    let text = |place: String| {
        let path = format!("{RECORDS}/{place}");
        let text = fs::read_to_string(&path).with_context(|| format!("read({path})"))?;
        Ok((place, text))
    };
    places.into_iter().map(text).collect()
}

//! What an initramfs left behind, seen from the real root file system.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use qemu_tests::protocol::Inherited;

use crate::agent::{self, KernelLog};
use crate::files;
use crate::processes::agents;

/// What the agent keeps of the files of its image.
const KEPT: [&str; 2] = [
    "/run/vfio-bind/policy.conf",
    "/run/vfio-bind/protected.conf",
];

/// Collects it.
pub(crate) fn inherited() -> Result<Inherited> {
    let modules = files::read("/proc/modules")?;
    let names = modules.lines().filter_map(|line| line.split(' ').next());
    Ok(Inherited {
        report: agent::report()?,
        kept: kept()?,
        log: KernelLog::from_start()?.lines()?,
        modules: names.map(str::to_owned).collect(),
        // One that has ended waits for an init that asks for it, as this one does not.
        agents: agents()?
            .into_iter()
            .filter(|agent| !agent.contains(" Z"))
            .collect(),
    })
}

/// The texts of [`KEPT`] behind one another; nothing for one that is not there.
fn kept() -> Result<String> {
    let mut all = String::new();
    for path in KEPT {
        match fs::read_to_string(path) {
            Ok(text) => all += &text,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("read({path})")),
        }
    }
    Ok(all)
}

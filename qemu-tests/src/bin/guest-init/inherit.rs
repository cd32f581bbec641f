//! What an initramfs left behind, seen from the real root file system.

use anyhow::Result;
use qemu_tests::protocol::Inherited;

use crate::agent::{self, KernelLog};
use crate::files;

/// Collects it.
pub(crate) fn inherited() -> Result<Inherited> {
    let modules = files::read("/proc/modules")?;
    let names = modules.lines().filter_map(|line| line.split(' ').next());
    Ok(Inherited {
        report: agent::report()?,
        log: KernelLog::from_start()?.lines()?,
        modules: names.map(str::to_owned).collect(),
    })
}

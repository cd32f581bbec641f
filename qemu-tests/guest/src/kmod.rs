//! Kernel modules, through the image's own kmod and, for exact parameters, by system call.

use std::ffi::CString;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use qemu_tests::protocol::{Ending, Loaded};

use crate::program::finish;

/// The image's own.
pub(crate) const MODPROBE: &str = "/sbin/modprobe";
/// Probing a whole bus in an emulated machine takes seconds, not more.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// Loads a module, with the parameters behind its name, and what it needs.
pub(crate) fn load(module: &str) -> Result<Loaded> {
    let mut child = Command::new(MODPROBE)
        .args(module.split_whitespace())
        .spawn()
        .with_context(|| format!("spawn(modprobe {module})"))?;
    let error = match finish(&mut child, LOAD_LIMIT)? {
        Ending::Exited(0) => String::new(),
        other => format!("modprobe {module}: {other:?}"),
    };
    Ok(Loaded {
        module: module.to_owned(),
        error,
    })
}

/// Loads one module file with parameters that the kernel reads as they are; what it needs must be
/// loaded. The inner error is the kernel's refusal.
pub(crate) fn load_exactly(path: &str, parameters: &str) -> Result<nix::Result<()>> {
    let file = File::open(path).with_context(|| format!("open({path})"))?;
    let Ok(parameters) = CString::new(parameters) else {
        bail!("{parameters:?} cannot be a parameter: it holds a zero byte");
    };
    Ok(finit_module(&file, &parameters, ModuleInitFlags::empty()))
}

/// Unloads a module.
pub(crate) fn unload(module: &str) -> Result<()> {
    let name = CString::new(module).context("a module's name holds no zero byte")?;
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
        .with_context(|| format!("delete_module({module})"))
}

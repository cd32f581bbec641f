//! `vfio_pci.ids=` as the kernel and as the agent understand it, value by value.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use qemu_tests::protocol::{IdsCase, Seen};
use qemu_tests::report::Report;

use crate::channel::Channel;
use crate::program::AGENT;
use crate::{files, kmod, pci};

/// The driver that takes what a value matches.
const DRIVER: &str = "vfio-pci";
/// Compares each value. Native modules must not be loaded.
pub(crate) fn compare_ids(values: &[String], channel: &mut Channel) -> Result<()> {
    let (module, needed) = module()?;
    // What vfio-pci needs is loaded once, and stays: its core since Linux 5.16, VFIO itself before.
    for name in needed {
        let loaded = kmod::load(&name)?;
        ensure!(
            loaded.error.is_empty(),
            "no comparison without {name}: {}",
            loaded.error
        );
    }
    free_functions()?;
    for (index, value) in values.iter().enumerate() {
        let loaded = kmod::load_exactly(&module, &format!("ids={value}"))?;
        let kernel = taken()?;
        if loaded.is_ok() {
            kmod::unload("vfio_pci")?;
        }
        ensure!(
            taken()?.is_empty(),
            "functions are still bound after {DRIVER} was unloaded"
        );
        let refused = loaded
            .err()
            .map(|errno| errno.to_string())
            .unwrap_or_default();
        let agent = matched(value);
        channel.send(&Seen::IdsCase(IdsCase {
            index,
            refused,
            kernel,
            agent,
        }))?;
    }
    Ok(())
}

/// Unbinds what drivers in the kernel hold: vfio-pci takes only what is free.
fn free_functions() -> Result<()> {
    for function in pci::snapshot("")?
        .functions
        .iter()
        .filter(|f| f.is_endpoint())
    {
        if let Some(driver) = &function.driver {
            files::write(
                format!("/sys/bus/pci/drivers/{driver}/unbind"),
                &function.address,
            )?;
        }
    }
    Ok(())
}

/// The file of vfio-pci, and the names of the modules that it needs.
fn module() -> Result<(String, Vec<String>)> {
    let release = files::read("/proc/sys/kernel/osrelease")?;
    let index = format!("/lib/modules/{release}/modules.dep");
    let text = files::read(&index)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (path, needed) = lines
        .find(|(path, _)| path.contains("/vfio-pci.ko"))
        .with_context(|| format!("{index} lists no vfio-pci"))?;
    let names = needed.split_whitespace().filter_map(|path| {
        let file = path.rsplit('/').next()?;
        file.split('.').next().map(str::to_owned)
    });
    Ok((format!("/lib/modules/{release}/{path}"), names.collect()))
}

/// What vfio-pci holds, sorted: the driver's folder has a link for each.
fn taken() -> Result<Vec<String>> {
    let folder = format!("/sys/bus/pci/drivers/{DRIVER}");
    if !Path::new(&folder).exists() {
        return Ok(Vec::new());
    }
    let names = files::list(&folder)?
        .into_iter()
        .filter_map(|path| path.file_name().map(OsStr::to_owned));
    let names = names.map(|name| name.to_string_lossy().into_owned());
    Ok(names
        .filter(|name| Path::new(pci::DEVICES).join(name).exists())
        .collect())
}

/// What the agent says it would match.
fn matched(value: &str) -> Result<Vec<String>, String> {
    let output = Command::new(AGENT)
        .args([
            "plan",
            "--json",
            "--cmdline",
            &format!("vfio_pci.ids={value}"),
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("spawn({AGENT} plan): {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = Report::parse(&text).map_err(|error| {
        format!(
            "{AGENT} plan --json ended with {} and no record: {error}",
            output.status
        )
    })?;
    Ok(report.matches("vfio_pci.ids"))
}

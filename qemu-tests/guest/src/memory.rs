//! Who holds the memory of a function.

use anyhow::{Context, Result};
use qemu_tests::protocol::Memory;

use crate::files;

/// Every resource inside those of the function at `address`, and every platform framebuffer.
pub(crate) fn of(address: &str) -> Result<Memory> {
    let text = std::fs::read_to_string("/proc/iomem").context("read(/proc/iomem)")?;
    let mut framebuffers = Vec::new();
    for device in files::list("/sys/bus/platform/devices")? {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("framebuffer") {
            let driver = files::link_name(device.join("driver"));
            framebuffers.push(format!("{name} {}", driver.as_deref().unwrap_or("none")));
        }
    }
    Ok(Memory {
        inside: inside(&text, address),
        framebuffers,
    })
}

/// The lines that are further in than one that ends with `address` and follow it.
fn inside(iomem: &str, address: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut outer = None;
    for line in iomem.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        match outer {
            Some(outer) if depth > outer => lines.push(text.to_owned()),
            _ => outer = text.ends_with(&format!(" : {address}")).then_some(depth),
        }
    }
    lines
}

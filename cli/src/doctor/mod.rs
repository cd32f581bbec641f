//! Everything that a machine can answer about lending its devices, one check after the other.
//!
//! [`CHECKS`] has their names, which stay. [`configured`] and [`booted`] compare what was set with what was booted,
//! [`image`] what the next boot carries; [`iommu`], [`isolation`], [`modules`] and [`machine`] are about the
//! machine, [`device`] and [`lent`] about each function that is asked for. [`system`] reads, and tells what could
//! not be read from what is not there; [`finding`] is what a check says.

mod booted;
pub mod configured;
mod device;
pub mod finding;
mod image;
mod iommu;
mod isolation;
mod lent;
mod machine;
mod modules;
pub mod system;

use std::path::Path;

use anyhow::Result;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::tree::Tree;

use finding::{Answer, Finding, Unread};
use system::System;

/// What a check looks at.
#[derive(Clone, Copy)]
enum Look {
    /// The machine, once.
    Machine(fn(&System<'_>) -> Answer),
    /// Each function that is asked for or named.
    Function(fn(&System<'_>, &Function) -> Answer),
}

/// The checks, in the order in which they are told.
const CHECKS: [(&str, Look); 33] = [
    ("set-not-booted", Look::Machine(booted::set_not_booted)),
    ("policy", Look::Machine(machine::policy)),
    ("agent-in-image", Look::Machine(image::agent)),
    ("image-age", Look::Machine(image::age)),
    ("iommu-firmware", Look::Machine(iommu::firmware)),
    ("iommu-active", Look::Machine(iommu::active)),
    ("intel-default", Look::Machine(iommu::intel_default)),
    (
        "interrupt-remapping",
        Look::Machine(iommu::interrupt_remapping),
    ),
    ("unsafe-interrupts", Look::Machine(iommu::unsafe_interrupts)),
    ("acs-override", Look::Machine(isolation::acs_override)),
    ("vfio-modules", Look::Machine(modules::vfio)),
    ("other-managers", Look::Machine(modules::other_managers)),
    ("secure-boot", Look::Machine(machine::secure_boot)),
    ("lockdown", Look::Machine(machine::lockdown)),
    ("memlock", Look::Machine(machine::memlock)),
    ("iommufd", Look::Machine(machine::iommufd)),
    ("hugepages", Look::Machine(machine::hugepages)),
    ("nested", Look::Machine(machine::nested)),
    ("ibm-z", Look::Machine(machine::ibm_z)),
    ("group", Look::Function(isolation::group)),
    ("acs", Look::Function(isolation::acs)),
    ("direct-mapping", Look::Function(iommu::direct_mapping)),
    ("dma-mode", Look::Function(iommu::dma_mode)),
    ("reset", Look::Function(device::reset)),
    ("power", Look::Function(device::power)),
    ("bars", Look::Function(device::bars)),
    ("link", Look::Function(device::link)),
    ("numa", Look::Function(device::numa)),
    ("sriov", Look::Function(device::sriov)),
    ("console", Look::Function(lent::console)),
    ("in-use", Look::Function(lent::in_use)),
    ("vfio-access", Look::Function(lent::vfio_access)),
    ("z-function", Look::Function(device::z_function)),
];

/// The names of all checks.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

/// What a doctor has to say.
pub struct Report {
    /// The functions that were looked at one by one.
    pub functions: Vec<Function>,
    /// What was found: of the machine first, then function by function.
    pub findings: Vec<Finding>,
}

/// Looks at the system at `root`: at the machine, and at `devices`, or where there are none at what its policy
/// asks for.
///
/// # Errors
/// As those of [`System::at`].
pub fn report(root: &Path, tree: Tree, devices: &[String]) -> Result<Report> {
    let system = System::at(root, tree, devices)?;
    let mut findings = Vec::new();
    let said = |answer: Answer| answer.unwrap_or_else(Unread::said);
    for (name, look) in CHECKS {
        if let Look::Machine(check) = look {
            findings.push(said(check(&system)).of(name, None));
        }
    }
    let functions = system
        .chosen
        .iter()
        .filter_map(|address| system.function(*address));
    let functions: Vec<_> = functions.cloned().collect();
    for function in &functions {
        let about = || Some(function.address.to_string());
        for (name, look) in CHECKS {
            if let Look::Function(check) = look {
                findings.push(said(check(&system, function)).of(name, about()));
            }
        }
    }
    Ok(Report {
        functions,
        findings,
    })
}

//! One guest that measures: its image, its boot, and what it says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::bench::{Measured, Work};
use qemu_tests::protocol::{End, Orders, Seen, Step};
use qemu_tests::wire;

use super::figures::{Figures, Row, tracing};
use super::machine::{self, ARCHITECTURE, CARD};
use super::peers;
use super::plan::{Guest, HOOKS, Pair, SCRIPTS, Way};
use super::tree;
use crate::initrd::{self, Choice};
use crate::logs;
use crate::rig::Rig;
use crate::vm::Boot;

/// The module that vfio-pci does not name as needed, and that images of real tools load with it.
const SOFT: (&str, &str) = (
    "etc/modprobe.d/bench.conf",
    "softdep vfio post: vfio_iommu_type1\n",
);

/// What a guest measured, and the kernel that it ran.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// A row for each pair, in order.
    pub rows: Vec<Row>,
    /// As the kernel calls itself.
    pub release: String,
    /// The file with its command and its console.
    pub log: PathBuf,
}

/// Boots a guest and has it measure.
///
/// # Errors
/// Where it cannot be booted, does not do all that it was asked, or a program did not do its work.
pub fn measure(guest: &Guest, rig: &Rig<'_>) -> Result<Outcome> {
    let kernel = rig.kernel(None, ARCHITECTURE)?;
    let machine = match guest.made_up() {
        true => machine::small(),
        false => machine::real(),
    };
    let mut programs = rig.image_programs(ARCHITECTURE)?;
    programs.kmod.extend(peers::shell(rig)?);
    if guest.has_driverctl() {
        programs.kmod.extend(peers::driverctl(rig)?);
    }
    let choice = Choice {
        natives: machine.natives,
        ..Choice::default()
    };
    let [mut base, whole, image] =
        ["base", "tree", "cpio"].map(|end| rig.folder().join(format!("{}.{end}", guest.name)));
    initrd::write_base(&base, &kernel, &programs, &choice)?;
    if guest.made_up() {
        tree::write(&whole, &base, guest.functions())?;
        remove(&base)?;
        base = whole;
    }
    let scripts = SCRIPTS.map(|(name, text)| (format!("{HOOKS}/{name}"), text));
    let mut files: Vec<_> = scripts
        .iter()
        .map(|(place, text)| (place.as_str(), *text))
        .collect();
    files.push(SOFT);
    let wanted = format!("etc/driverctl.d/pci-{CARD}");
    files.push((&wanted, "vfio-pci\n"));
    let orders = Orders {
        scenario: guest.name.to_owned(),
        steps: steps(guest)?,
    };
    initrd::write_with_orders(&image, &base, &orders, &files, Some(""))?;
    let log = logs::folder()?.join(format!("{}.log", guest.name));
    let boot = Boot {
        machine: &machine,
        kernel: &kernel,
        image: Some(&image),
        firmware: None,
        variables: None,
        disk: None,
        nodes: &[],
        cmdline: "",
        // Only its own emulation counts instructions.
        accelerator: "tcg",
        limit: rig.settings.limit,
        log: &log,
    };
    let evidence = boot.start()?.finish(|_| {})?;
    remove(&base)?;
    remove(&image)?;
    let told = || {
        format!(
            "{} measured nothing of use; log: {}",
            guest.name,
            log.display()
        )
    };
    let records = wire::decode(&evidence.console).records;
    let release = ended(&records, evidence.exit, evidence.over_time).with_context(told)?;
    let measured = records.into_iter().filter_map(|record| match record {
        Seen::Measured(measured) => Some(measured),
        _ => None,
    });
    let rows = rows(guest, &measured.collect::<Vec<_>>()).with_context(told)?;
    Ok(Outcome { rows, release, log })
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("remove({})", path.display()))
}

fn steps(guest: &Guest) -> Result<Vec<Step>> {
    let load = |module: &str| Step::Load(vec![module.to_owned()]);
    let mut steps = Vec::new();
    if !guest.made_up() {
        // It is what makes virtual functions.
        steps.push(load("nvme"));
        let (controller, number) = machine::virtual_functions(guest.functions())?;
        steps.push(Step::Bench(Work::VirtualFunctions(controller, number)));
    }
    let (boots, rest): (Vec<_>, Vec<_>) =
        guest.pairs.iter().partition(|pair| pair.way == Way::Load);
    let works = |pairs: Vec<&Pair>| {
        let orders = pairs.into_iter().flat_map(Pair::orders);
        orders
            .map(|order| Step::Bench(Work::Measure(order)))
            .collect::<Vec<_>>()
    };
    steps.extend(works(boots));
    if !guest.made_up() {
        steps.push(load("vfio_pci"));
    }
    steps.extend(works(rest));
    Ok(steps)
}

/// The kernel of a guest that did all that it was asked.
fn ended(records: &[Seen], exit: Option<i32>, over_time: Option<u64>) -> Result<String> {
    if let Some(limit) = over_time {
        bail!("it was not done within {limit} s");
    }
    for record in records {
        match record {
            Seen::Verdict(verdict) if !verdict.broken.is_empty() => bail!("{}", verdict.broken),
            Seen::Loaded(loaded) if !loaded.error.is_empty() => bail!("{}", loaded.error),
            _ => {}
        }
    }
    let good = i32::from(End::Finished.status(ARCHITECTURE));
    ensure!(exit == Some(good), "QEMU ended with {exit:?}, not {good}");
    let Some(Seen::Booted(release)) = records.first() else {
        bail!("it never said that it booted");
    };
    Ok(release.clone())
}

fn rows(guest: &Guest, measured: &[Measured]) -> Result<Vec<Row>> {
    let tracing = tracing(measured);
    let find = |label: &str| {
        let one = measured.iter().find(|one| one.label == label);
        one.map(|one| Figures::new(one, tracing))
            .with_context(|| format!("{label} was not measured"))
    };
    let row = |pair: &Pair| {
        let [agent, peer] = pair.orders();
        Ok(Row {
            pair: pair.clone(),
            agent: find(&agent.label)?,
            peer: find(&peer.label)?,
        })
    };
    guest.pairs.iter().map(row).collect()
}

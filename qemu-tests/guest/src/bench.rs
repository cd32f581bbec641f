//! Programs, measured: by the clock, which counts instructions where QEMU is told so, and in a run of its
//! own by their system calls, which would disturb the clock.

mod count;
mod histograms;

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::libc;
use nix::unistd::Pid;
use qemu_tests::bench::{Measured, Order, TREE, Work};
use qemu_tests::protocol::{Ending, Seen};

use crate::agent::CmdlineMount;
use crate::channel::Channel;
use crate::files;
use crate::kmod;
use crate::pci::DEVICES;

/// Where outputs go.
const OUTPUT: &str = "/run/output";
/// Where the agent leaves its records; a second run would keep that of the first.
const RECORDS: &str = "/run/vfio-bind";
/// What makes the kernel look for a driver, in the made-up tree.
const PROBE: &str = "/tree/sys/bus/pci/drivers_probe";
/// The driver that takes.
const DRIVER: &str = "vfio-pci";

/// Carries out one part of measuring.
pub(crate) fn carry_out(work: &Work, channel: &mut Channel) -> Result<()> {
    match work {
        Work::VirtualFunctions(address, number) => virtual_functions(address, *number),
        Work::Measure(order) => channel.send(&Seen::Measured(measure(order)?)),
    }
}

fn virtual_functions(address: &str, number: usize) -> Result<()> {
    let function = Path::new(DEVICES).join(address);
    files::write(function.join("sriov_drivers_autoprobe"), "0")?;
    files::write(function.join("sriov_numvfs"), &number.to_string())
}

fn measure(order: &Order) -> Result<Measured> {
    let line = order.cmdline.as_deref();
    let cmdline = line.map(CmdlineMount::mount).transpose()?;
    let mut measured = Measured {
        label: order.label.clone(),
        ..Measured::default()
    };
    if order.times > 1 {
        // What a first run finds empty, all later ones find full.
        measured.wrong.extend(run(order)?.wrong);
    }
    let counted = count::count(command(order)?)?;
    (measured.calls, measured.memory) = (counted.calls, counted.memory);
    measured.kinds = counted.kinds;
    measured.wrong.extend(wrong(order, &counted.ending)?);
    undo(order)?;
    for _ in 0..order.times {
        let run = run(order)?;
        measured.nanoseconds.push(run.nanoseconds);
        measured.faults.push(run.faults);
        measured.wrong.extend(run.wrong);
    }
    measured.wrong.sort();
    measured.wrong.dedup();
    drop(cmdline);
    Ok(measured)
}

/// What a run by the clock came to.
struct Run {
    nanoseconds: u64,
    faults: u64,
    wrong: Vec<String>,
}

/// Runs a program by the clock, and undoes what it did.
fn run(order: &Order) -> Result<Run> {
    let mut command = command(order)?;
    let started = Instant::now();
    let child = command.spawn().context("spawn")?;
    let (ending, faults) = reap(Pid::from_raw(child.id().cast_signed()))?;
    let elapsed = u64::try_from(started.elapsed().as_nanos());
    let wrong = wrong(order, &ending)?;
    undo(order)?;
    Ok(Run {
        nanoseconds: elapsed.unwrap_or(u64::MAX),
        faults,
        wrong,
    })
}

fn command(order: &Order) -> Result<Command> {
    let [program, arguments @ ..] = &order.command[..] else {
        bail!("{}: no program is named", order.label);
    };
    let output = File::create(OUTPUT).with_context(|| format!("create({OUTPUT})"))?;
    let errors = output.try_clone().context("dup")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command.env("PATH", "/usr/bin:/usr/sbin");
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(command)
}

/// Waits for a child without looking at it again and again, which the clock would count.
fn reap(child: Pid) -> Result<(Ending, u64)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are there for the call to write to, and all zeros is a value of a rusage.
    let (answer, usage) = unsafe {
        let answer = libc::wait4(child.as_raw(), &raw mut status, 0, usage.as_mut_ptr());
        (answer, usage.assume_init())
    };
    if answer != child.as_raw() {
        return Err(io::Error::last_os_error()).context("wait4");
    }
    let faults = u64::try_from(usage.ru_minflt).unwrap_or(0);
    Ok((ending(ExitStatus::from_raw(status)), faults))
}

fn ending(status: ExitStatus) -> Ending {
    match status.code() {
        Some(code) => Ending::Exited(code),
        None => Ending::Signalled(status.signal().unwrap_or_default()),
    }
}

/// The end of a run, where it is not that of one that went well.
fn bad_end(ending: &Ending) -> Option<String> {
    (*ending != Ending::Exited(0)).then(|| format!("its end is {ending:?}"))
}

/// What is not as it must be behind a run.
fn wrong(order: &Order, ending: &Ending) -> Result<Vec<String>> {
    let mut all: Vec<_> = bad_end(ending).into_iter().collect();
    let output = fs::read(OUTPUT).with_context(|| format!("read({OUTPUT})"))?;
    let output = String::from_utf8_lossy(&output);
    let last = output.lines().last().unwrap_or_default();
    let unsaid = order.says.iter().filter(|piece| !output.contains(*piece));
    all.extend(unsaid.map(|piece| format!("it does not say {piece:?}; last: {last}")));
    for address in &order.taken {
        let driver = files::link_name(format!("{DEVICES}/{address}/driver"));
        if driver.as_deref() != Some(DRIVER) {
            all.push(format!("{address} has {driver:?}"));
        }
    }
    for address in &order.overridden {
        let text = files::read(tree(address))?;
        if text != DRIVER {
            all.push(format!("the override of {address} is {text:?}"));
        }
    }
    if let Some(address) = order.overridden.last() {
        let text = files::read(PROBE).unwrap_or_default();
        if text != *address {
            all.push(format!("{text:?} is probed, not {address}"));
        }
    }
    Ok(all)
}

/// The override of a function of the made-up tree.
fn tree(address: &str) -> String {
    format!("{TREE}{DEVICES}/{address}/driver_override")
}

/// Makes the machine what it was before a run.
fn undo(order: &Order) -> Result<()> {
    for address in &order.taken {
        let function = Path::new(DEVICES).join(address);
        files::write(function.join("driver_override"), "\n")?;
        if files::link_name(function.join("driver")).is_some() {
            files::write(function.join("driver/unbind"), address)?;
        }
    }
    for address in &order.overridden {
        files::write(tree(address), "(null)\n")?;
        files::remove(PROBE)?;
    }
    // Kernels differ in what vfio-pci brings along.
    let loaded = |module: &&String| Path::new("/sys/module").join(module).exists();
    for module in order.unload.iter().filter(loaded) {
        kmod::unload(module)?;
    }
    if fs::exists(RECORDS).with_context(|| format!("stat({RECORDS})"))? {
        fs::remove_dir_all(RECORDS).with_context(|| format!("remove({RECORDS})"))?;
    }
    Ok(())
}

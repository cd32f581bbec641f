//! Process 1 of a test guest: carries out the steps of one scenario and reports what it saw.
//!
//! It judges nothing. The image holds it, the agent, kmod and modules, and no shell. Every wait
//! has a limit, and whatever goes wrong ends in a verdict record and the end of the machine.

mod agent;
mod bench;
mod channel;
mod compare;
mod crash;
mod ending;
mod files;
mod hotplug;
mod inherit;
mod kmod;
mod memory;
mod modprobe;
mod mounted;
mod mounts;
mod network;
mod pci;
mod places;
mod processes;
mod program;
mod slots;
mod vfio;
mod watch;

use std::time::Duration;

use anyhow::{Context, Result};
use qemu_tests::protocol::{End, ORDERS_PATH, Orders, Seen, Step, Verdict};

use channel::Channel;

fn main() {
    if let Some(status) = places::start().or_else(modprobe::start) {
        std::process::exit(status);
    }
    let mut channel = Channel::open();
    let (scenario, outcome) = match start() {
        Ok(orders) => {
            let outcome = run(&orders, &mut channel);
            (orders.scenario, outcome)
        }
        Err(error) => (String::new(), Err(error)),
    };
    let finished = outcome.is_ok();
    let broken = outcome
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    let sent = channel.send(&Seen::Verdict(Verdict { scenario, broken }));
    let end = if finished && sent.is_ok() {
        End::Finished
    } else {
        End::Broken
    };
    if let Err(error) = ending::end_machine(end) {
        // The host sees the missing sign; this says why it is missing.
        eprintln!("guest-init: {error:#}");
    }
    // Where the machine cannot be ended from inside, the host's limit does. Process 1 must not
    // end: the kernel's panic would look like a cause.
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Makes the guest usable and reads its orders.
fn start() -> Result<Orders> {
    mounts::mount_all()?;
    files::no_signal_held_back()?;
    let text = files::read(ORDERS_PATH)?;
    serde_json::from_str(&text).with_context(|| format!("{ORDERS_PATH} holds no orders"))
}

/// Carries out the steps.
fn run(orders: &Orders, channel: &mut Channel) -> Result<()> {
    channel.send(&Seen::Booted(files::read("/proc/sys/kernel/osrelease")?))?;
    for (number, step) in orders.steps.iter().enumerate() {
        carry_out(step, channel).with_context(|| format!("step {number}"))?;
    }
    Ok(())
}

/// Carries out one step.
fn carry_out(step: &Step, channel: &mut Channel) -> Result<()> {
    match step {
        Step::Load(modules) => {
            for module in modules {
                channel.send(&Seen::Loaded(kmod::load(module)?))?;
            }
            Ok(())
        }
        Step::Snapshot(label) => channel.send(&Seen::Snapshot(pci::snapshot(label)?)),
        Step::Memory(address) => channel.send(&Seen::Memory(memory::of(address)?)),
        Step::Agent(order) => channel.send(&Seen::AgentRun(agent::run(order)?)),
        Step::Inherit => channel.send(&Seen::Inherited(inherit::inherited()?)),
        Step::Find(paths) => channel.send(&Seen::Found(files::find(paths))),
        Step::Mount(address) => mounted::mount_disk(address),
        Step::DefaultRoute(address) => network::lead_out(address),
        Step::Run(command) => channel.send(&Seen::Ran(program::run(command)?)),
        Step::Script(path) => channel.send(&Seen::Ran(program::run_script(path)?)),
        Step::Switch(slot, on) => slots::switch(slot, *on),
        Step::Udev => hotplug::start_udev(),
        Step::Change(order) => channel.send(&Seen::Changed(hotplug::change(order)?)),
        Step::Crash => crash::crash(channel),
        Step::UseFunctions(addresses) => {
            let used = vfio::use_functions(addresses);
            used.into_iter()
                .try_for_each(|used| channel.send(&Seen::Used(used)))
        }
        Step::Bench(work) => bench::carry_out(work, channel),
        Step::CompareIds(values) => compare::compare_ids(values, channel),
    }
}

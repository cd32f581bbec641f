//! Programs, measured: by the clock, which counts instructions where QEMU is told so, and in a run of its
//! own by their system calls, which would disturb the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use qemu_tests::bench::{DOMAIN, Measured, Order, TREE, Work};
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
/// The driver that takes.
const DRIVER: &str = "vfio-pci";

/// Carries out one part of measuring.
pub(crate) fn carry_out(work: &Work, channel: &mut Channel) -> Result<()> {
    match work {
        Work::VirtualFunctions(address, number) => virtual_functions(address, *number),
        Work::Tree(functions) => make_tree(*functions),
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
    // It comes first: a first run finds caches empty that all later ones find full.
    let traced = trace(command(order)?)?;
    (measured.calls, measured.memory) = (traced.calls, traced.memory);
    measured.wrong.extend(wrong(order, &traced.ending)?);
    undo(order)?;
    for _ in 0..order.times {
        let mut command = command(order)?;
        let started = Instant::now();
        let child = command.spawn().context("spawn")?;
        let (ending, faults) = reap(Pid::from_raw(child.id().cast_signed()))?;
        let elapsed = u64::try_from(started.elapsed().as_nanos());
        measured.nanoseconds.push(elapsed.unwrap_or(u64::MAX));
        measured.faults.push(faults);
        measured.wrong.extend(wrong(order, &ending)?);
        undo(order)?;
    }
    measured.wrong.sort();
    measured.wrong.dedup();
    drop(cmdline);
    Ok(measured)
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
    if !output.contains(&order.says) {
        let last = output.lines().last().unwrap_or_default();
        all.push(format!("it does not say {:?}; last: {last}", order.says));
    }
    for address in &order.taken {
        let driver = files::link_name(format!("{DEVICES}/{address}/driver"));
        if driver.as_deref() != Some(DRIVER) {
            all.push(format!("{address} has {driver:?}"));
        }
    }
    Ok(all)
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

/// What a traced run came to.
struct Traced {
    calls: u64,
    memory: u64,
    ending: Ending,
}

/// Runs a command and counts the system calls of all its processes.
fn trace(mut command: Command) -> Result<Traced> {
    // SAFETY: ptrace(PTRACE_TRACEME) is one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().context("spawn")?;
    let first = Pid::from_raw(child.id().cast_signed());
    waitpid(first, None).context("wait(exec)")?;
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEEXIT;
    ptrace::setoptions(first, options).context("ptrace(SETOPTIONS)")?;
    ptrace::syscall(first, None).context("ptrace(SYSCALL)")?;
    // A process stops where it enters a system call, and again where it leaves it.
    let (mut known, mut inside) = (BTreeSet::from([first]), BTreeSet::new());
    let (mut calls, mut memory) = (0, 0);
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL)).context("wait")?;
        let (pid, signal) = match status {
            WaitStatus::PtraceSyscall(pid) => {
                if !inside.remove(&pid) {
                    inside.insert(pid);
                    calls += 1;
                }
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                if event == libc::PTRACE_EVENT_EXIT {
                    memory = memory.max(resident(pid)?);
                }
                (pid, None)
            }
            // A new process stops before its first instruction.
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal).filter(|_| !known.insert(pid))),
            WaitStatus::Exited(pid, code) if pid == first => {
                let ending = Ending::Exited(code);
                return Ok(Traced {
                    calls,
                    memory,
                    ending,
                });
            }
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                let ending = Ending::Signalled(signal as i32);
                return Ok(Traced {
                    calls,
                    memory,
                    ending,
                });
            }
            _ => continue,
        };
        go_on(pid, signal)?;
    }
}

fn go_on(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::syscall(pid, signal) {
        // It was killed while it was stopped.
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).context("ptrace(SYSCALL)"),
    }
}

/// The memory of a process, in KiB. What wait4 tells is never less than what the one who started it had,
/// and the counters of `status` are behind by up to 64 pages (SPLIT_RSS_COUNTING, before 6.2).
fn resident(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = files::read(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{path} has no Rss"))
}

/// Makes up a tree: domains of [`DOMAIN`] functions, each in a group of its own, on a file system that has
/// no other cost than that of its names.
fn make_tree(functions: usize) -> Result<()> {
    fs::create_dir_all(TREE).with_context(|| format!("mkdir({TREE})"))?;
    let room = Some("nr_inodes=0,size=100%");
    mount(Some("tmpfs"), TREE, Some("tmpfs"), MsFlags::empty(), room)
        .with_context(|| format!("mount(tmpfs, {TREE})"))?;
    let make = || -> io::Result<()> {
        let tree = Tree::new()?;
        for number in 0..functions {
            tree.function(number, number + 1 == functions)?;
        }
        Ok(())
    };
    make().with_context(|| format!("making up a tree at {TREE}"))
}

/// A tree being made.
struct Tree {
    /// Files that many functions have alike are the same file.
    models: BTreeMap<&'static str, String>,
}

/// What kinds of functions there are: vendor, device, subsystem vendor and device, class.
const MODELS: [(&str, [&str; 5]); 3] = [
    ("port", ["1B36", "000C", "0000", "0000", "060400"]),
    ("disk", ["1B36", "0010", "1AF4", "1100", "010802"]),
    ("card", ["8086", "10D3", "8086", "0000", "020000"]),
];

impl Tree {
    fn new() -> io::Result<Self> {
        for folder in [
            "sys/bus/pci/devices",
            "sys/bus/pci/drivers/vfio-pci",
            "sys/class/iommu/dmar0",
            "sys/kernel/iommu_groups",
            "sys/devices",
            "proc",
            "models",
        ] {
            fs::create_dir_all(format!("{TREE}/{folder}"))?;
        }
        fs::copy("/proc/cmdline", format!("{TREE}/proc/cmdline"))?;
        fs::copy("/proc/cpuinfo", format!("{TREE}/proc/cpuinfo"))?;
        let mut models = BTreeMap::new();
        for (name, [vendor, device, subvendor, subdevice, class]) in MODELS {
            let folder = format!("{TREE}/models/{name}");
            fs::create_dir(&folder)?;
            let (base, rest) = class.split_at(2);
            let (sub, interface) = rest.split_at(2);
            let modalias = format!(
                "pci:v0000{vendor}d0000{device}sv0000{subvendor}sd0000{subdevice}\
                 bc{base}sc{sub}i{interface}"
            );
            let number = |text: &str| format!("0x{}", text.to_lowercase());
            for (file, text) in [
                ("vendor", number(vendor)),
                ("device", number(device)),
                ("class", number(class)),
                ("modalias", modalias),
            ] {
                fs::write(format!("{folder}/{file}"), format!("{text}\n"))?;
            }
            models.insert(name, folder);
        }
        Ok(Self { models })
    }

    fn function(&self, number: usize, last: bool) -> io::Result<()> {
        let (domain, place) = (number / DOMAIN, number % DOMAIN);
        let (port, behind) = (place / 32 + 1, place % 32);
        let bridge = format!("{domain:04x}:00:{port:02x}.0");
        let (address, parent) = match behind {
            0 => (bridge, String::new()),
            _ => {
                let (slot, function) = ((behind - 1) / 8, (behind - 1) % 8);
                let address = format!("{domain:04x}:{port:02x}:{slot:02x}.{function}");
                (address, format!("/{bridge}"))
            }
        };
        let model = match behind {
            0 => "port",
            _ if last => "card",
            _ => "disk",
        };
        let below = format!("devices/pci{domain:04x}:00{parent}/{address}");
        let folder = format!("{TREE}/sys/{below}");
        fs::create_dir_all(&folder)?;
        let shared = self.models.get(model).map_or("", String::as_str);
        for file in ["vendor", "device", "class", "modalias"] {
            fs::hard_link(format!("{shared}/{file}"), format!("{folder}/{file}"))?;
        }
        if behind == 0 {
            for file in ["secondary_bus_number", "subordinate_bus_number"] {
                fs::write(format!("{folder}/{file}"), format!("{port}\n"))?;
            }
        }
        fs::write(format!("{folder}/driver_override"), "(null)\n")?;
        let group = format!("{TREE}/sys/kernel/iommu_groups/{number}/devices");
        fs::create_dir_all(&group)?;
        symlink(format!("../../../../{below}"), format!("{group}/{address}"))?;
        let up = "../".repeat(3 + parent.matches('/').count());
        symlink(
            format!("{up}kernel/iommu_groups/{number}"),
            format!("{folder}/iommu_group"),
        )?;
        symlink(format!("{up}bus/pci"), format!("{folder}/subsystem"))?;
        symlink(
            format!("../../../{below}"),
            format!("{TREE}/sys/bus/pci/devices/{address}"),
        )
    }
}

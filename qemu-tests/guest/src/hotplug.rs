//! Functions that come and go under udev.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::acct;
use qemu_tests::plug::Ask;
use qemu_tests::protocol::{Change, Changed, Ending, How};

use crate::agent::{KernelLog, agents_lines};
use crate::channel;
use crate::files;
use crate::kmod;
use crate::pci::DEVICES;
use crate::processes::agents;
use crate::program::{self, FOLDER};

/// Where the agent writes rules for udev.
const RULES: &str = "/run/udev/rules.d/60-vfio-bind.rules";
/// Where the kernel keeps account of processes that have ended.
const ACCOUNT: &str = "/run/account";

/// How long a function may take to come or to go. The host is asked for it, and a slot of PCI Express
/// waits five seconds for second thoughts (drivers/pci/hotplug/pciehp_ctrl.c).
const COMING: Duration = Duration::from_secs(90);
/// How long it may take until nothing happens any more. A busy host was seen to give a machine no time for
/// 25 s.
const CALM: Duration = Duration::from_secs(180);
/// After this time without an event nothing is under way: the longest that a probe was seen to come behind
/// its device's event is 25 ms.
const QUIET: Duration = Duration::from_secs(1);

/// Starts udev, has it look at everything that is there already, as Debian's units do, and waits for it.
pub(crate) fn start_udev() -> Result<()> {
    // One program under two names.
    let mut daemon = udevadm(&["--daemon", "--resolve-names=never"]);
    finish(daemon.arg0("systemd-udevd"))?;
    for kind in ["--type=subsystems", "--type=devices"] {
        finish(&mut udevadm(&["trigger", kind, "--action=add"]))?;
    }
    calm()
}

/// Has functions come or go, and waits until udev has nothing more to do.
pub(crate) fn change(order: &Change) -> Result<Changed> {
    let log = KernelLog::from_now()?;
    fs::write(ACCOUNT, "").with_context(|| format!("create({ACCOUNT})"))?;
    acct::enable(ACCOUNT).with_context(|| format!("acct({ACCOUNT})"))?;
    let comes = match &order.how {
        How::PlugIn(card) => ask(&Ask::Add(card.clone())).map(|()| true),
        How::TakeOut(card) => ask(&Ask::Delete(card.clone())).map(|()| false),
        How::Remove => remove(&order.functions).map(|()| false),
        How::Rescan => files::write("/sys/bus/pci/rescan", "1").map(|()| true),
        How::Reload(module) => reload(module).map(|()| true),
        How::Unmake(function) => {
            files::write(format!("{DEVICES}/{function}/sriov_numvfs"), "0").map(|()| false)
        }
    }?;
    wait(&order.functions, comes)?;
    calm()?;
    acct::disable().context("acct(off)")?;
    let (log, offered) = read_log(log)?;
    Ok(Changed {
        label: order.label.clone(),
        started: started()?,
        left: agents()?,
        rules: fs::read_to_string(RULES).ok(),
        records: program::records()?,
        log,
        offered,
    })
}

/// Unloads a module and loads it again.
fn reload(module: &str) -> Result<()> {
    kmod::unload(module)?;
    let loaded = kmod::load(module)?;
    ensure!(loaded.error.is_empty(), "{}", loaded.error);
    Ok(())
}

/// The agent's lines, and the functions that nvme was given (`nvme_probe` of drivers/nvme/host/pci.c says so).
fn read_log(log: KernelLog) -> Result<(Vec<String>, Vec<String>)> {
    const GIVEN: &str = ": pci function ";
    let lines = log.all_lines()?;
    let given = |line: &String| Some(line.split_once(GIVEN)?.1.to_owned());
    let offered = lines.iter().filter_map(given).collect();
    Ok((agents_lines(lines), offered))
}

/// Asks the host, which reads the console.
fn ask(what: &Ask) -> Result<()> {
    channel::tell(&what.to_string())
}

/// Takes functions from the bus, the last one first.
fn remove(functions: &[String]) -> Result<()> {
    let mut all = functions.iter().rev();
    all.try_for_each(|one| files::write(format!("{DEVICES}/{one}/remove"), "1"))
}

/// Waits until all functions are there, or none.
fn wait(functions: &[String], there: bool) -> Result<()> {
    let start = Instant::now();
    for function in functions {
        // The last that a new function gets before its event.
        let file = Path::new(DEVICES).join(function).join("config");
        while file.exists() != there {
            let word = if there { "not there" } else { "still there" };
            ensure!(
                start.elapsed() < COMING,
                "{function} is {word} after {} s",
                COMING.as_secs()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Waits until udev has nothing to do and the kernel sends it nothing more.
fn calm() -> Result<()> {
    let start = Instant::now();
    loop {
        finish(&mut udevadm(&["settle", "--timeout=170"]))?;
        let events = || files::read("/sys/kernel/uevent_seqnum");
        let before = events()?;
        thread::sleep(QUIET);
        if events()? == before {
            return Ok(());
        }
        ensure!(
            start.elapsed() < CALM,
            "there are still events after {} s",
            CALM.as_secs()
        );
    }
}

fn udevadm(words: &[&str]) -> Command {
    let mut command = Command::new(format!("{FOLDER}/udevadm"));
    command.args(words);
    command
}

/// Runs a command to a good end.
fn finish(command: &mut Command) -> Result<()> {
    let mut child = command
        .spawn()
        .with_context(|| format!("spawn({command:?})"))?;
    let ending = program::finish(&mut child, CALM)?;
    ensure!(
        ending == Ending::Exited(0),
        "{command:?} ended otherwise: {ending:?}"
    );
    Ok(())
}

/// How many programs of ours were started by others and have ended, by the kernel's account of processes
/// (`struct acct_v3`, include/uapi/linux/acct.h).
fn started() -> Result<usize> {
    const SIZE: usize = 64;
    const FORKED: u8 = 1;
    // The agent's name as well as the command's.
    const NAME: &[u8] = b"vfio-bind";
    let account = fs::read(ACCOUNT).with_context(|| format!("read({ACCOUNT})"))?;
    let (entries, rest) = account.as_chunks::<SIZE>();
    let version = entries.iter().all(|entry| entry[1] & 0xf == 3);
    ensure!(
        version && rest.is_empty(),
        "{ACCOUNT} is not in the third format"
    );
    // What was forked and has become nothing else is a part of the program.
    let is_ours = |entry: &&[u8; SIZE]| entry[48..].starts_with(NAME) && entry[0] & FORKED == 0;
    let ours: Vec<_> = entries.iter().filter(is_ours).collect();
    let number = |entry: &[u8; SIZE], at: usize| -> [u8; 4] {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&entry[at..at + 4]);
        bytes
    };
    let own: Vec<_> = ours.iter().map(|entry| number(entry, 16)).collect();
    let by_others = ours
        .iter()
        .filter(|entry| !own.contains(&number(entry, 20)));
    Ok(by_others.count())
}

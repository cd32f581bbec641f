//! What a run in an image does, whoever asks for it.

use core::ffi::CStr;
use core::time::Duration;

use crate::logger::{self, Sink};
use crate::running::{Running, pause};
use crate::{place, sys};
use rustix::fd::OwnedFd;
use rustix::fs::Access;
use rustix::io::Errno;
use vfio_bind_agent::machine::sysfs::Path;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, stage, tree};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::focus::Focus;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, Record, State, lines, report, rules};
use vfio_bind_agent::run::release;
use vfio_bind_agent::text::cmdline::MAX_LEN;
use vfio_bind_agent::text::errno::Answer;
use vfio_bind_agent::text::{Bounded, Plain, clip};
use vfio_bind_agent::{error, run, warn};

/// How long a run may take where its caller says nothing. What is not done by then is given back, which
/// takes seconds at most.
pub const USUAL_TIME: Duration = Duration::from_secs(60);

/// Writes the report, at once or when its place is there.
pub type Keep<'a> = dyn Fn(&dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> + 'a;

/// What a run is given.
pub struct Task<'a> {
    /// The directory with a list of what is in use now. Outside an initramfs there has to be one: a list
    /// that an image carries, or none, knows nothing of a disk that was mounted since.
    pub with: Option<&'a CStr>,
    /// What is not done by then is given back.
    pub within: Duration,
    /// The function that has come, where the first run is over.
    pub only: Option<Address>,
}

impl Task<'_> {
    /// The first run of a boot.
    pub const FIRST: Self = Self {
        with: None,
        within: USUAL_TIME,
        only: None,
    };
}

/// Does what the policy asks for. `keep` decides when the report is written.
pub fn apply(task: &Task<'_>, keep: &Keep<'_>) -> u8 {
    perform(task, Some(keep))
}

/// Gives back what the root file system may be behind.
pub fn give_back() -> u8 {
    perform(&Task::FIRST, None)
}

/// Does what the policy asks for of a function that has come, where the first run has not decided it. In
/// the real root that is the work of `vfio-bind`, which knows what is in use.
pub fn udev(address: Address, replayed: bool) -> u8 {
    const COMMAND: &CStr = c"/usr/bin/vfio-bind";
    logger::send_to(Sink::KernelLogAndError);
    let root = match Tree::open(c"/") {
        Ok(root) => root,
        Err(errno) => {
            error!("open(/): {}; nothing is done", Answer(errno));
            return EXIT_NOT_BOUND;
        }
    };
    if replayed && report::has_decided(&root, address) {
        return EXIT_DONE;
    }
    if stage::is_initramfs(&root) {
        let task = Task {
            only: Some(address),
            ..Task::FIRST
        };
        return match wait_for_turn(&root) {
            Ok(_turn) => apply(&task, &|write| write()),
            Err(errno) => {
                let answer = Answer(errno);
                error!(address; "lock(/{}): {answer}; {address} is left as it is", Plain(report::LOCK));
                EXIT_NOT_BOUND
            }
        };
    }
    let mut arguments = sys::Arguments::new();
    let shown: Bounded<16> = clip(format_args!("{address}"));
    if ["vfio-bind", "udev", &shown]
        .into_iter()
        .all(|word| arguments.push(word))
        && rustix::fs::access(COMMAND, Access::EXEC_OK).is_ok()
    {
        sys::exec(COMMAND, &arguments)
    }
    error!(
        address;
        "{address} came late, and /usr/bin/vfio-bind, which knows what is in use, is not there: it is left as it is"
    );
    EXIT_NOT_BOUND
}

/// Waits until no other run behind the first is under way.
fn wait_for_turn(root: &Tree) -> Result<OwnedFd, Errno> {
    const PAUSE_US: u64 = 10_000;
    root.make_directory(report::DIRECTORY)?;
    let end = sys::clock_us().saturating_add(USUAL_TIME.as_micros() as u64);
    loop {
        match root.hold(report::LOCK) {
            Err(Errno::AGAIN | Errno::ACCESS) if sys::clock_us() < end => pause(PAUSE_US),
            answer => return answer,
        }
    }
}

/// [`apply`] or, where there is nothing to keep, [`give_back`].
fn perform(task: &Task<'_>, keep: Option<&Keep<'_>>) -> u8 {
    let started = sys::clock_us();
    let given = task.with;
    let machine = Running::open(given, task.within);
    let ours = place::is_in_machines_root();
    let early = ours
        && given.is_none()
        && machine
            .as_ref()
            .is_ok_and(|machine| stage::is_initramfs(machine));
    // Whoever runs it later sits before it.
    logger::send_to(if early {
        Sink::KernelLog
    } else {
        Sink::KernelLogAndError
    });
    let machine = match machine {
        Ok(machine) => machine,
        Err(errno) => {
            error!("open(/): {}; nothing is done", Answer(errno));
            return EXIT_NOT_BOUND;
        }
    };
    if !ours {
        error!(
            "this is not the machine's own root, or not for this user to see (a container, a chroot, no \
             /proc, an ordinary user): what it would take may be in use, so nothing is done"
        );
        return EXIT_NOT_BOUND;
    }
    if given.is_some() {
        if let Err(errno) = machine.read(tree::PROTECTED, &mut [0; 1]) {
            error!(
                "read(protected.conf in --with): {}; nothing is done",
                Answer(errno)
            );
            return EXIT_NOT_BOUND;
        }
    } else if !early {
        error!(
            "this is no initramfs, and what it would take may be in use: nothing is done; run \
             `vfio-bind bind`, which knows what is"
        );
        return EXIT_NOT_BOUND;
    }
    let Some((buffer, mut room)) = sys::room() else {
        return EXIT_NOT_BOUND;
    };
    room.line = match machine.read("proc/cmdline", buffer) {
        Ok(line) => line,
        Err(errno) => {
            error!(
                "read(/proc/cmdline): {}; is /proc mounted? nothing is done",
                Answer(errno)
            );
            return EXIT_NOT_BOUND;
        }
    };
    let Some(keep) = keep else {
        return give_back_disks(&machine, room.line);
    };
    let focus = task.only.map(|function| Focus {
        function,
        knows_use: given.is_some(),
    });
    let clock = || sys::clock_us().saturating_sub(started);
    run::perform_in(room, &machine, focus, &clock, &mut |record| {
        finish(&machine, record, keep)
    })
}

fn finish(machine: &Running, record: &Record<'_>, keep: &Keep<'_>) -> u8 {
    let nothing_asked = matches!(record.state, State::NothingAsked | State::CrashKernel)
        && record.policy.is_empty();
    if nothing_asked || record.is_no_news() {
        return EXIT_DONE;
    }
    lines::tell(record);
    let write = || {
        let written = keep_record(machine, record);
        if rules::are_wanted(record) {
            keep_rules(machine.tree(), record);
        }
        written
    };
    if let Err(errno) = keep(&write) {
        let (directory, answer) = (Plain(report::DIRECTORY), Answer(errno));
        warn!("write({directory}/.../report.json): {answer}; there is no report");
    }
    record.exit()
}

/// Writes the report. A run behind the first has a directory of its own: the record of the boot stays.
fn keep_record(machine: &Running, record: &Record<'_>) -> Result<(), Errno> {
    let tree = machine.tree();
    let of_run;
    let directory = match (tree.given(), record.plan.focus) {
        (Some(given), _) => given.as_str(),
        (None, Some(_)) => {
            of_run = new_directory(tree)?;
            of_run.as_str()
        }
        (None, None) => {
            keep_policy(machine);
            report::DIRECTORY
        }
    };
    let uname = rustix::system::uname();
    let kernel = uname.release().to_bytes();
    tree.replace(directory, report::FILE, &|output| {
        logger::with_journal(&mut |journal| report::write(record, kernel, journal, output));
    })
}

/// Makes a directory for the report of a run behind the first.
fn new_directory(tree: &Tree) -> Result<Path, Errno> {
    tree.make_directory(report::DIRECTORY)?;
    for number in 1..=report::MOST_RUNS {
        let directory = report::directory_of_run(number);
        match tree.make_new_directory(&directory) {
            Err(Errno::EXIST) => {}
            answer => return answer.map(|()| directory),
        }
    }
    Err(Errno::MLINK)
}

/// Has udev start the agent for what comes later and may be asked for.
fn keep_rules(tree: &Tree, record: &Record<'_>) {
    let made = tree.make_directory("run/udev");
    let written = made.and_then(|()| {
        tree.replace(rules::DIRECTORY, rules::FILE, &|output| {
            // An error of the output shows at its end.
            let _ = rules::write(record, output);
        })
    });
    if let Err(errno) = written {
        let (directory, file) = (Plain(rules::DIRECTORY), Plain(rules::FILE));
        warn!(
            "write(/{directory}/{file}): {}; what comes later stays native",
            Answer(errno)
        );
    }
}

/// Keeps what the image knows beside the report, for later runs and plans: the image will be gone.
fn keep_policy(machine: &Running) {
    for (file, name) in [
        (tree::POLICY, "policy.conf"),
        (tree::PROTECTED, "protected.conf"),
    ] {
        let mut buffer = [0; MAX_LEN];
        // Of one that cannot be read, or not to its end, the run has said so.
        let Some(text) = machine
            .read(file, &mut buffer)
            .ok()
            .filter(|text| text.len() < MAX_LEN)
        else {
            continue;
        };
        let kept = machine
            .tree()
            .replace(report::DIRECTORY, name, &|output| output.bytes(text));
        if let Err(errno) = kept {
            let (name, answer) = (Plain(name), Answer(errno));
            warn!("write(/run/vfio-bind/{name}): {answer}; later runs do not know it");
        }
    }
}

/// Gives back what the root file system may be behind, and adds it to the record.
fn give_back_disks(machine: &Running, line: &[u8]) -> u8 {
    let mut exit = EXIT_DONE;
    release::give_back(machine, line, &mut |address, driver| {
        exit = EXIT_NOT_BOUND;
        // The log has told it already.
        let _ = release::add(machine.tree(), address, driver);
    });
    exit
}

//! What a run in an image does, whoever asks for it.

use core::ffi::CStr;
use core::time::Duration;

use crate::logger::{self, Sink};
use crate::running::Running;
use crate::{place, sys};
use rustix::io::Errno;
use vfio_bind_agent::machine::{Root, stage, tree};
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, Record, State, lines, report};
use vfio_bind_agent::run::release;
use vfio_bind_agent::text::Plain;
use vfio_bind_agent::text::cmdline::MAX_LEN;
use vfio_bind_agent::text::errno::Answer;
use vfio_bind_agent::{error, run, warn};

/// How long a run may take where its caller says nothing. What is not done by then is given back, which
/// takes seconds at most.
pub const USUAL_TIME: Duration = Duration::from_secs(60);

/// Writes the report, at once or when its place is there.
pub type Keep<'a> = dyn Fn(&dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> + 'a;

/// Does what the policy asks for. `keep` decides when the report is written.
///
/// Outside an initramfs it wants a list of what is in use now, in the directory `given`: a list that
/// an image carries, or none, knows nothing of a disk that was mounted since. What is not done `within`
/// that time is given back.
pub fn apply(given: Option<&CStr>, within: Duration, keep: &Keep<'_>) -> u8 {
    perform(given, within, Some(keep))
}

/// Gives back what the root file system may be behind.
pub fn give_back() -> u8 {
    perform(None, USUAL_TIME, None)
}

/// [`apply`] or, where there is nothing to keep, [`give_back`].
fn perform(given: Option<&CStr>, within: Duration, keep: Option<&Keep<'_>>) -> u8 {
    let started = sys::clock_us();
    let machine = Running::open(given, within);
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
    let clock = || sys::clock_us().saturating_sub(started);
    run::perform_in(room, &machine, &clock, &mut |record| {
        finish(&machine, record, keep)
    })
}

fn finish(machine: &Running, record: &Record<'_>, keep: &Keep<'_>) -> u8 {
    if matches!(record.state, State::NothingAsked | State::CrashKernel) && record.policy.is_empty()
    {
        return EXIT_DONE;
    }
    lines::tell(record);
    let uname = rustix::system::uname();
    let kernel = uname.release().to_bytes();
    // A later run has a directory of its own: the record of the boot stays.
    let given = machine.tree().given();
    let directory = given.map_or(report::DIRECTORY, |given| given.as_str());
    let write = || {
        if given.is_none() {
            keep_policy(machine);
        }
        machine.tree().replace(directory, report::FILE, &|output| {
            logger::with_journal(&mut |journal| report::write(record, kernel, journal, output));
        })
    };
    if let Err(errno) = keep(&write) {
        let (directory, answer) = (Plain(directory), Answer(errno));
        warn!("write({directory}/report.json): {answer}; there is no report");
    }
    record.exit()
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

//! The commands of the executable.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::time::Duration;

use crate::logger::{self, Place};
use crate::running::Running;
use crate::sys::{self, Start};
use crate::{init, place};
use rustix::io::Errno;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, stage, tree};
use vfio_bind_agent::record::{
    EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY, Record, State, lines, report,
};
use vfio_bind_agent::run::release;
use vfio_bind_agent::text::cmdline::MAX_LEN;
use vfio_bind_agent::text::digits::decimal;
use vfio_bind_agent::text::errno::Answer;
use vfio_bind_agent::text::output::Output;
use vfio_bind_agent::text::{Plain, Text, one_of};
use vfio_bind_agent::{error, run, warn};

const USAGE: &str = "\
usage: vfio-bind-agent [apply [--within SECONDS]]             in an initramfs: bind what the kernel command line asks for
       vfio-bind-agent apply --with DIR [--within SECONDS]    anywhere, as `vfio-bind bind` runs it: DIR has the list of what is protected
       vfio-bind-agent give-back   in an initramfs that finds no root: disks go back
       vfio-bind-agent plan [--cmdline TEXT] [--root DIR] [--json]   print the plan, write nothing
       rdinit=/usr/bin/vfio-bind-agent   as the first process: bind, then become the image's /init
       vfio-bind-agent --help | --version
exit status: 0 done or nothing to do, 1 a function is not bound, 2 an error in what was asked
";

/// How long a run may take where its caller says nothing. What is not done by then is given back, which
/// takes seconds at most.
pub const USUAL_TIME: Duration = Duration::from_secs(60);

/// The exit status of a first process that found no init to become.
pub const NO_INIT: u8 = EXIT_NOT_BOUND;

#[derive(Clone, Copy)]
enum Command {
    Apply,
    GiveBack,
    Init,
    Plan,
    Help,
    Version,
}

/// Runs the command that the arguments ask for; returns the exit status.
pub fn main(start: &Start) -> u8 {
    sys::settle_in();
    // Its arguments are those of the image's init: the kernel hands on what its command line has
    // behind `--`.
    if rustix::process::getpid().is_init()
        && let Some(status) = init::run(start)
    {
        return status;
    }
    let mut arguments = start.arguments();
    // The name of the program.
    arguments.next();
    let Some(word) = arguments.next().map(CStr::to_bytes) else {
        return apply(None, USUAL_TIME, &|write| write());
    };
    const KNOWN: &[(&str, Command)] = &[
        ("apply", Command::Apply),
        ("give-back", Command::GiveBack),
        ("init", Command::Init),
        ("plan", Command::Plan),
        ("--help", Command::Help),
        ("-h", Command::Help),
        ("help", Command::Help),
        ("--version", Command::Version),
        ("-V", Command::Version),
    ];
    match one_of(word, KNOWN) {
        Some(Command::Apply) => match Options::read(&mut arguments, APPLY) {
            Ok(options) => apply(options.with, options.within, &|write| write()),
            Err(misuse) => refuse(&misuse),
        },
        Some(Command::GiveBack) => work(None, USUAL_TIME, None),
        Some(Command::Init) => refuse(&Misuse::NotFirst),
        Some(Command::Plan) => match Options::read(&mut arguments, PLAN) {
            Ok(options) => plan(&options),
            Err(misuse) => refuse(&misuse),
        },
        Some(Command::Help) => print(USAGE),
        Some(Command::Version) => {
            print(concat!("vfio-bind-agent ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        None => refuse(&Misuse::Unknown(word)),
    }
}

/// Writes the report, at once or when its place is there.
pub type Keep<'a> = dyn Fn(&dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> + 'a;

/// Does what the policy asks for. `keep` decides when the report is written.
///
/// Outside an initramfs it wants a list of what is in use now, in the directory `given`: a list that
/// an image carries, or none, knows nothing of a disk that was mounted since. What is not done `within`
/// that time is given back.
pub fn apply(given: Option<&CStr>, within: Duration, keep: &Keep<'_>) -> u8 {
    work(given, within, Some(keep))
}

/// The same, or where nothing is to be kept [`give_back`].
fn work(given: Option<&CStr>, within: Duration, keep: Option<&Keep<'_>>) -> u8 {
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
        Place::KernelLog
    } else {
        Place::KernelLogAndError
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
    let mut buffer = [0; MAX_LEN];
    let line = match machine.read("proc/cmdline", &mut buffer) {
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
        return give_back(&machine, line);
    };
    let clock = || sys::clock_us().saturating_sub(started);
    run::perform(&machine, line, &clock, &mut |record| {
        finish(&machine, record, keep)
    })
}

fn finish(machine: &Running, record: &Record<'_>, keep: &Keep<'_>) -> u8 {
    if matches!(record.state, State::NothingAsked | State::CrashKernel) && record.policy.is_empty()
    {
        return EXIT_DONE;
    }
    lines::tell(record, machine);
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
            report::write(record, machine, kernel, output);
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
fn give_back(machine: &Running, line: &[u8]) -> u8 {
    let mut exit = EXIT_DONE;
    release::give_back(machine, line, &mut |address, driver| {
        exit = EXIT_NOT_BOUND;
        // The log has told it already.
        let _ = release::add(machine.tree(), address, driver);
    });
    exit
}

/// What a command was given.
struct Options<'a> {
    with: Option<&'a CStr>,
    within: Duration,
    line: Option<&'a [u8]>,
    root: &'a CStr,
    json: bool,
}

#[derive(Clone, Copy)]
enum Given {
    With,
    Within,
    Line,
    Root,
    Json,
}

/// The options of `apply`.
const APPLY: &[(&str, Given)] = &[("--with", Given::With), ("--within", Given::Within)];

/// The options of `plan`.
const PLAN: &[(&str, Given)] = &[
    ("--cmdline", Given::Line),
    ("--root", Given::Root),
    ("--json", Given::Json),
];

enum Misuse<'a> {
    NotFirst,
    Unknown(&'a [u8]),
    NoValue(&'a [u8]),
    NoSeconds,
}

impl<'a> Options<'a> {
    #[inline(never)] // Inlined, it makes the executable larger.
    fn read(
        arguments: &mut dyn Iterator<Item = &'a CStr>,
        known: &[(&str, Given)],
    ) -> Result<Self, Misuse<'a>> {
        let mut options = Self {
            with: None,
            within: USUAL_TIME,
            line: None,
            root: c"/",
            json: false,
        };
        while let Some(argument) = arguments.next() {
            let name = argument.to_bytes();
            let given = one_of(name, known).ok_or(Misuse::Unknown(name))?;
            let mut value = || arguments.next().ok_or(Misuse::NoValue(name));
            match given {
                Given::With => options.with = Some(value()?),
                Given::Within => {
                    let seconds = arguments.next().and_then(seconds);
                    options.within = seconds.ok_or(Misuse::NoSeconds)?;
                }
                Given::Line => options.line = Some(value()?.to_bytes()),
                Given::Root => options.root = value()?,
                Given::Json => options.json = true,
            }
        }
        Ok(options)
    }
}

/// A number of seconds from 1 to 9999.
fn seconds(text: &CStr) -> Option<Duration> {
    let text = text.to_bytes();
    let seconds = decimal(text).filter(|seconds| *seconds > 0 && text.len() <= 4)?;
    Some(Duration::from_secs(seconds.into()))
}

fn plan(options: &Options<'_>) -> u8 {
    let root = match Tree::open(options.root) {
        Ok(root) => root,
        Err(errno) => {
            logger::send_to(Place::StandardError);
            let root = Text(options.root.to_bytes());
            error!("open({root}): {}; --root wants a directory", Answer(errno));
            return EXIT_NOT_BOUND;
        }
    };
    let mut buffer = [0; MAX_LEN];
    let line = match options.line {
        Some(line) => line,
        None => match root.read("proc/cmdline", &mut buffer) {
            Ok(line) => line,
            Err(errno) => {
                logger::send_to(Place::StandardError);
                let answer = Answer(errno);
                error!("read(proc/cmdline): {answer}; give the line with --cmdline");
                return EXIT_NOT_BOUND;
            }
        },
    };
    // The messages of a plan for people are part of what they asked for.
    let (people, tools) = (Place::StandardOutput, Place::StandardError);
    logger::send_to(if options.json { tools } else { people });
    if options.root == c"/" && !stage::is_initramfs(&root) {
        warn!("what this system boots from is not looked at here; `vfio-bind plan` knows it");
    }
    run::rehearse(&root, line, run::Extent::Needed, &mut |record| {
        if !options.json {
            lines::tell(record, &root);
            return record.exit();
        }
        let status = write_out(&|output| {
            let uname = rustix::system::uname();
            report::write(record, &root, uname.release().to_bytes(), output);
            Ok(())
        });
        if status == EXIT_DONE {
            record.exit()
        } else {
            status
        }
    })
}

fn refuse(misuse: &Misuse<'_>) -> u8 {
    logger::send_to(Place::StandardError);
    match misuse {
        Misuse::Unknown(argument) => {
            error!("unknown argument `{}`; see --help", Text(argument));
        }
        Misuse::NotFirst => error!("init is for the first process of an image; use rdinit="),
        Misuse::NoValue(option) => error!("{} wants a value; see --help", Text(option)),
        Misuse::NoSeconds => error!("--within wants a number of seconds, 1 to 9999"),
    }
    EXIT_POLICY
}

fn print(text: &str) -> u8 {
    write_out(&|output| output.write_str(text))
}

fn write_out(content: &dyn Fn(&mut Output<'_>) -> fmt::Result) -> u8 {
    let mut output = Output::new(sys::stdout());
    let formatted = content(&mut output);
    match (output.finish(), formatted) {
        (Ok(()), Ok(())) => EXIT_DONE,
        (Err(errno), _) => {
            error!("write(standard output): {}", Answer(errno));
            EXIT_NOT_BOUND
        }
        (Ok(()), Err(_)) => EXIT_NOT_BOUND,
    }
}

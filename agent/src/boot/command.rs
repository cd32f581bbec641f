//! The commands of the executable.

use core::ffi::CStr;
use core::fmt::{self, Write};

use crate::init;
use crate::logger::{self, Sink};
use crate::options::{self, APPLY, Misuse, Options, PLAN};
use crate::sys::{self, Start};
use crate::work::{self, Task};
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Root, stage};
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY, lines, report};
use vfio_bind_agent::text::errno::Answer;
use vfio_bind_agent::text::output::Output;
use vfio_bind_agent::text::{Text, one_of};
use vfio_bind_agent::{error, run, warn};

const USAGE: &str = "\
usage: vfio-bind-agent [apply [--within SECONDS]]             in an initramfs: bind what the kernel command line asks for
       vfio-bind-agent apply --with DIR [--within SECONDS] [--only ADDRESS]    anywhere, as `vfio-bind bind` runs it: DIR has the list of what is protected
       vfio-bind-agent udev [--replayed] ADDRESS   as udev runs it for a function that has come
       vfio-bind-agent give-back   in an initramfs that finds no root: disks go back
       vfio-bind-agent plan [--cmdline TEXT] [--root DIR] [--json]   print the plan, write nothing
       rdinit=/usr/bin/vfio-bind-agent   as the first process: bind, then become the image's /init
       vfio-bind-agent --help | --version
exit status: 0 done or nothing to do, 1 a function is not bound, 2 an error in what was asked
";

#[derive(Clone, Copy)]
enum Command {
    Apply,
    GiveBack,
    Init,
    Plan,
    Udev,
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
        return work::apply(&Task::FIRST, &|write| write());
    };
    const KNOWN: &[(&str, Command)] = &[
        ("apply", Command::Apply),
        ("give-back", Command::GiveBack),
        ("init", Command::Init),
        ("plan", Command::Plan),
        ("udev", Command::Udev),
        ("--help", Command::Help),
        ("-h", Command::Help),
        ("help", Command::Help),
        ("--version", Command::Version),
        ("-V", Command::Version),
    ];
    match one_of(word, KNOWN) {
        Some(Command::Apply) => match Options::read(&mut arguments, APPLY) {
            Ok(options) => apply(&options),
            Err(misuse) => refuse(&misuse),
        },
        Some(Command::GiveBack) => work::give_back(),
        Some(Command::Init) => refuse(&Misuse::NotFirst),
        Some(Command::Plan) => match Options::read(&mut arguments, PLAN) {
            Ok(options) => plan(&options),
            Err(misuse) => refuse(&misuse),
        },
        Some(Command::Udev) => udev(&mut arguments),
        Some(Command::Help) => print(USAGE),
        Some(Command::Version) => {
            print(concat!("vfio-bind-agent ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        None => refuse(&Misuse::Unknown(word)),
    }
}

fn apply(options: &Options<'_>) -> u8 {
    let task = Task {
        with: options.with,
        within: options.within,
        only: options.only,
    };
    work::apply(&task, &|write| write())
}

fn udev(arguments: &mut dyn Iterator<Item = &'static CStr>) -> u8 {
    let mut argument = arguments.next();
    let replayed = argument == Some(c"--replayed");
    if replayed {
        argument = arguments.next();
    }
    match options::address(argument) {
        Ok(address) => work::udev(address, replayed),
        Err(misuse) => refuse(&misuse),
    }
}

fn plan(options: &Options<'static>) -> u8 {
    let root = match Tree::open(options.root) {
        Ok(root) => root,
        Err(errno) => {
            logger::send_to(Sink::StandardError);
            let root = Text(options.root.to_bytes());
            error!("open({root}): {}; --root wants a directory", Answer(errno));
            return EXIT_NOT_BOUND;
        }
    };
    let Some((buffer, mut room)) = sys::room() else {
        return EXIT_NOT_BOUND;
    };
    room.line = match options.line {
        Some(line) => line,
        None => match root.read("proc/cmdline", buffer) {
            Ok(line) => line,
            Err(errno) => {
                logger::send_to(Sink::StandardError);
                let answer = Answer(errno);
                error!("read(proc/cmdline): {answer}; give the line with --cmdline");
                return EXIT_NOT_BOUND;
            }
        },
    };
    // The messages of a plan are part of what was asked for.
    let (people, tools) = (Sink::StandardOutput, Sink::JournalAlone);
    logger::send_to(if options.json { tools } else { people });
    if options.root == c"/" && !stage::is_initramfs(&root) {
        warn!("what this system boots from is not looked at here; `vfio-bind plan` knows it");
    }
    run::rehearse_in(room, &root, run::Extent::Needed, &mut |record| {
        lines::tell(record);
        if !options.json {
            return record.exit();
        }
        logger::send_to(Sink::StandardError);
        let uname = rustix::system::uname();
        let kernel = uname.release().to_bytes();
        let status = write_out(&|output| {
            logger::with_journal(&mut |journal| report::write(record, kernel, journal, output));
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
    logger::send_to(Sink::StandardError);
    match misuse {
        Misuse::Unknown(argument) => {
            error!("unknown argument `{}`; see --help", Text(argument));
        }
        Misuse::NotFirst => error!("init is for the first process of an image; use rdinit="),
        Misuse::NoValue(option) => error!("{} wants a value; see --help", Text(option)),
        Misuse::NoAddress => error!("the address of a function is wanted, such as 0000:42:00.0"),
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

//! Odd places to start the agent in. This program goes there first, as a process of its own, and
//! becomes the agent.

use std::convert::Infallible;
use std::env;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{Gid, Uid, chdir, chroot, close, execv, setgid, setuid};
use qemu_tests::protocol::Place;

use crate::program::AGENT;

/// Says to this program where to go.
const GO: &str = "GO_TO";
/// Says that whoever starts this program as an init is the agent, which must not.
const AWAY: &str = "IS_AWAY";
/// What it answers then.
const FALSE_INIT: i32 = 99;
/// What it answers where it could not get there.
const NO_WAY: i32 = 98;
/// A directory with nothing but the agent.
const CELL: &str = "/run/cell";

/// What starts the agent in a place; its arguments are the agent's.
pub(crate) fn command(place: Place) -> Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.env(GO, serde_json::to_string(&place)?);
    Ok(command)
}

/// Goes where it is told to, and ends with the status that is given back.
pub(crate) fn start() -> Option<i32> {
    if env::var_os(AWAY).is_some() {
        println!("the agent started {:?}", env::args().next());
        return Some(FALSE_INIT);
    }
    let place = env::var(GO).ok()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let went = serde_json::from_str(&place)
        .context("no such place")
        .and_then(|place| go(place, &arguments));
    Some(went.unwrap_or_else(|error| {
        println!("guest-init: {place}: {error:#}");
        NO_WAY
    }))
}

fn go(place: Place, arguments: &[String]) -> Result<i32> {
    // SAFETY: nothing else runs in this process.
    unsafe { env::set_var(AWAY, "1") };
    match place {
        Place::Namespace => return first_of_namespace(arguments, || Ok(())),
        Place::Container => {
            return first_of_namespace(arguments, || {
                own_mounts()?;
                mount_over("proc", "/proc", MsFlags::empty())
            });
        }
        Place::ReadOnly => {
            own_mounts()?;
            let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
            mount_over("sysfs", "/sys", read_only)?;
        }
        Place::User => become_user()?,
        Place::UserAlone => {
            become_user()?;
            limit(Resource::RLIMIT_NPROC, 1)?;
        }
        Place::Chroot => {
            fs::create_dir_all(format!("{CELL}/usr/bin"))?;
            fs::copy(AGENT, format!("{CELL}{AGENT}"))?;
            chroot(CELL)?;
            chdir("/")?;
        }
        Place::Destitute => {
            fs::create_dir_all("/run/gone")?;
            chdir("/run/gone")?;
            fs::remove_dir("/run/gone")?;
            // SAFETY: there is no handler.
            unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
            for descriptor in 0..=2 {
                close(descriptor)?;
            }
            // The kernel gives it an empty name: one argument, where there was none.
            return Ok(become_agent::<&str>(&[])?);
        }
        Place::NoFiles => limit(Resource::RLIMIT_NOFILE, 3)?,
        Place::Narrow => {
            limit(Resource::RLIMIT_NOFILE, 8)?;
            limit(Resource::RLIMIT_AS, 4 << 20)?;
        }
    }
    let mut all = vec![AGENT];
    all.extend(arguments.iter().map(String::as_str));
    Ok(become_agent(&all)?)
}

fn become_agent<T: AsRef<str>>(arguments: &[T]) -> nix::Result<i32> {
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let arguments: Vec<_> = arguments.iter().map(|word| text(word.as_ref())).collect();
    let never: nix::Result<Infallible> = execv(&text(AGENT), &arguments);
    match never {
        Ok(never) => match never {},
        Err(errno) => Err(errno),
    }
}

/// Runs the agent as process 1 of a PID namespace of its own, behind `prepare`; gives its status.
fn first_of_namespace(arguments: &[String], prepare: fn() -> io::Result<()>) -> Result<i32> {
    unshare(CloneFlags::CLONE_NEWPID).context("unshare")?;
    let mut agent = Command::new(AGENT);
    agent.args(arguments);
    // SAFETY: this process has one thread.
    unsafe { agent.pre_exec(prepare) };
    let status = agent.status().context(AGENT)?;
    match status.code() {
        Some(code) => Ok(code),
        None => bail!("it was ended by signal {:?}", status.signal()),
    }
}

fn own_mounts() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    Ok(mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?)
}

fn mount_over(kind: &str, target: &str, flags: MsFlags) -> io::Result<()> {
    Ok(mount(Some(kind), target, Some(kind), flags, None::<&str>)?)
}

fn become_user() -> nix::Result<()> {
    setgid(Gid::from_raw(1000))?;
    setuid(Uid::from_raw(1000))
}

fn limit(resource: Resource, most: u64) -> nix::Result<()> {
    setrlimit(resource, most, most)
}

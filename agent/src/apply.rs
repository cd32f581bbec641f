//! Plan -> writes -> what the kernel says afterwards.
//!
//! The order is: every `driver_override` of the plan, then the modules, then unbinding what is
//! bound elsewhere, then `drivers_probe`, then the check, then `vfio.onfail=` for what failed.
//! - Overrides come first and all together: with one set no other driver matches, and older kernels
//!   crash when an override changes under `__driver_attach`.
//! - Modules come before unbinding: if vfio-pci is not in the image, nothing has been taken from a
//!   native driver yet.
//! - A write's success says little (`drivers_probe` reports success when nothing bound): the
//!   `driver` link and VFIO's own group status decide.

use core::time::Duration;

use heapless::Vec;
use rustix::io::Errno;

use crate::address::Address;
use crate::function::{Function, Inventory, MAX_FUNCTIONS};
use crate::host::{DRIVERS_PROBE, Host, Root, attribute, driver_directory, driver_of};
use crate::outcome::{Act, Failure, Fate, Outcome, Outcomes, ask_groups};
use crate::plan::{Decision, Plan};
use crate::policy::{OnFailure, Policy};
use crate::text::{Name, clip, name};

/// How long a native driver may take to let go of a function, or a probe to end.
pub const DRIVER_LIMIT: Duration = Duration::from_secs(10);

/// How long the device lock may be held by somebody else.
pub const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// Carries a plan out.
pub fn apply(
    host: &impl Host,
    policy: &Policy<'_>,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) {
    outcomes.rehearse(inventory, plan);
    let mut work = Work {
        host,
        policy,
        jobs: Vec::new(),
    };
    for (at, step) in plan.steps.iter().enumerate() {
        if let (Decision::Bind, Some(function)) = (step.decision, inventory.get(step.function)) {
            let job = Job {
                at,
                function,
                previous: None,
                failure: None,
            };
            // There are at most as many jobs as steps.
            let _ = work.jobs.push(job);
        }
    }
    work.set_overrides();
    work.fail_whole_groups();
    let missing = work.load_driver(plan.without_kernel_ids);
    work.unbind(missing);
    work.fail_whole_groups();
    work.probe();
    work.check();
    work.fail_whole_groups();
    for job in &work.jobs {
        if let Some(outcome) = outcomes.steps.get_mut(job.at) {
            *outcome = work.settle(job);
        }
    }
    ask_groups(host, inventory, plan, outcomes);
}

/// A function that is to be bound, and how far that has come.
struct Job<'a> {
    /// The place of its step in the plan.
    at: usize,
    function: &'a Function,
    /// The override that was there before, once it has been replaced.
    previous: Option<Name>,
    failure: Option<Failure>,
}

impl Job<'_> {
    fn address(&self) -> Address {
        self.function.address
    }
}

struct Work<'a, H> {
    host: &'a H,
    policy: &'a Policy<'a>,
    jobs: Vec<Job<'a>, MAX_FUNCTIONS>,
}

impl<'a, H: Host> Work<'a, H> {
    fn target(&self) -> &Name {
        &self.policy.driver
    }

    fn is_target(&self, driver: Option<&Name>) -> bool {
        driver == Some(self.target())
    }

    /// The jobs that nothing has gone wrong with.
    fn sound_jobs(&mut self) -> impl Iterator<Item = &mut Job<'a>> {
        self.jobs.iter_mut().filter(|job| job.failure.is_none())
    }

    fn set_overrides(&mut self) {
        for job in &mut self.jobs {
            job.failure = replace_override(self.host, job, &self.policy.driver)
                .err()
                .map(|errno| failure(self.host, job, Act::Override, errno));
        }
    }

    /// Sees to it that the driver is registered; returns why it is not.
    fn load_driver(&self, without_ids: bool) -> Option<Failure> {
        let target = self.target();
        let idle =
            |job: &Job<'_>| job.failure.is_some() || self.is_target(job.function.driver.as_ref());
        let directory = driver_directory(target);
        if self.jobs.iter().all(idle) || self.host.exists(&directory) {
            return None;
        }
        // A later `ids=` replaces an earlier one, and what modprobe is given comes after what it
        // has from the kernel command line and from modprobe.d.
        let loaded = self.host.load_module(target, without_ids.then_some("ids="));
        if self.host.exists(&directory) {
            return None;
        }
        Some(Failure::NoDriver(loaded.err()))
    }

    /// Takes functions from other drivers. Where the driver to be bound is missing, only
    /// `vfio.onfail=hold` wants that.
    fn unbind(&mut self, missing: Option<Failure>) {
        let (host, policy) = (self.host, self.policy);
        let take = missing.is_none() || policy.on_failure == OnFailure::Hold;
        for job in self.sound_jobs() {
            let taken = match driver_of(host, job.address()) {
                Ok(Some(driver)) if take && driver != policy.driver => {
                    unbind(host, job.address(), DRIVER_LIMIT)
                        .map_err(|errno| failure(host, job, Act::Unbind, errno))
                }
                Ok(_) => Ok(()),
                Err(errno) => Err(failure(host, job, Act::Look, errno)),
            };
            job.failure = taken.err().or(missing);
        }
    }

    fn probe(&mut self) {
        let host = self.host;
        for job in self.sound_jobs() {
            if driver_of(host, job.address()) == Ok(None) {
                job.failure = probe(host, job.address(), DRIVER_LIMIT)
                    .err()
                    .map(|errno| Failure::System(Act::Probe, errno));
            }
        }
    }

    fn check(&mut self) {
        let (host, target) = (self.host, &self.policy.driver);
        for job in self.sound_jobs() {
            job.failure = look(host, target, job).1;
        }
    }

    /// A group of which one member could not be bound is of no use to anybody: its native drivers
    /// keep all of it, or get it back. `vfio.onfail=hold` wants each function for itself.
    fn fail_whole_groups(&mut self) {
        if self.policy.on_failure == OnFailure::Hold {
            return;
        }
        for at in 0..self.jobs.len() {
            let Some(job) = self.jobs.get(at) else {
                continue;
            };
            let (group, address) = (job.function.group, job.address());
            if matches!(
                job.failure,
                None | Some(Failure::Sibling(_) | Failure::Vanished)
            ) {
                continue;
            }
            for job in self.sound_jobs().filter(|job| job.function.group == group) {
                job.failure = Some(Failure::Sibling(address));
            }
        }
    }

    /// Leaves a function in the state it shall stay in, and tells which that is.
    fn settle(&self, job: &Job<'_>) -> Outcome {
        let hold = self.policy.on_failure == OnFailure::Hold;
        let before = job.function.driver.as_ref();
        let was_there = self.is_target(before);
        let settled = if job.failure.is_none() || was_there {
            false
        } else if hold {
            self.withhold(job)
        } else {
            self.give_back(job)
        };
        let (driver, failure) = look(self.host, self.target(), job);
        let on_target = self.is_target(driver.as_ref());
        // Without a driver before, none now is how it was.
        let as_before = driver.is_some() || before.is_none();
        let fate = match failure {
            _ if was_there && on_target => Fate::Already,
            None => Fate::Bound,
            Some(Failure::Vanished | Failure::System(Act::Look, _)) => Fate::Failed,
            Some(_) if hold && settled && driver.is_none() => Fate::Held,
            Some(_) if !hold && settled && !on_target && as_before => Fate::Returned,
            Some(_) => Fate::Failed,
        };
        Outcome {
            fate,
            driver,
            failure,
        }
    }

    /// Undoes what was done to a function; whether its override is as before. The `driver` link,
    /// read afterwards, tells the rest.
    fn give_back(&self, job: &Job<'_>) -> bool {
        let (host, address) = (self.host, job.address());
        let restored = match &job.previous {
            Some(previous) => {
                self.tried(job, Act::Restore, put_override(host, job, previous, false))
            }
            None => true,
        };
        let limit = if restored { DRIVER_LIMIT } else { LOCK_LIMIT };
        let now = driver_of(host, address);
        if now.is_ok_and(|driver| self.is_target(driver.as_ref())) {
            self.tried(job, Act::Unbind, unbind(host, address, limit));
        }
        // Its native driver takes it now if it is loaded, or else when it comes. Where an unbinding
        // is still under way, or nobody knows whether there is a driver, a probe does no harm.
        match driver_of(host, address) {
            Ok(driver @ Some(_)) if !self.is_target(driver.as_ref()) => {}
            _ => {
                self.tried(job, Act::Probe, probe(host, address, limit));
            }
        }
        restored
    }

    /// Sees to it that no driver has a function; whether an override keeps them off.
    fn withhold(&self, job: &Job<'_>) -> bool {
        let (host, address, target) = (self.host, job.address(), self.target());
        // Reading an override takes the device lock: whoever has it for good would keep the agent.
        if matches!(job.failure, Some(Failure::System(_, Errno::TIMEDOUT))) {
            return false;
        }
        let kept_off = current_override(host, address).as_ref() == Ok(target)
            || self.tried(job, Act::Override, put_override(host, job, target, false));
        let refused = matches!(job.failure, Some(Failure::System(Act::Unbind, _)));
        match driver_of(host, address) {
            Ok(None) => {}
            Ok(driver) if refused || self.is_target(driver.as_ref()) => {}
            _ => {
                self.tried(job, Act::Unbind, unbind(host, address, DRIVER_LIMIT));
            }
        }
        kept_off
    }

    /// Tells what went wrong on the way out of a failure; whether nothing did.
    fn tried(&self, job: &Job<'_>, act: Act, answer: Result<(), Errno>) -> bool {
        if let Err(errno) = answer {
            let failure = Failure::System(act, errno);
            error!("{}: {}", job.address(), failure.told(self.target()));
        }
        answer.is_ok()
    }
}

/// The driver a function has now, and why it is not the one it should have.
fn look(root: &dyn Root, target: &Name, job: &Job<'_>) -> (Option<Name>, Option<Failure>) {
    match driver_of(root, job.address()) {
        Ok(driver) if driver.as_ref() == Some(target) => (driver, job.failure),
        Ok(driver) => (driver, job.failure.or(Some(Failure::NotBound))),
        Err(errno) => (None, Some(failure(root, job, Act::Look, errno))),
    }
}

/// What a call on a function's directory answered. `ENOENT` and `ENODEV` may also speak of what is
/// in it: the function has vanished when its directory has.
fn failure(root: &dyn Root, job: &Job<'_>, act: Act, errno: Errno) -> Failure {
    match driver_of(root, job.address()) {
        Err(Errno::NODEV) => Failure::Vanished,
        _ => Failure::System(act, errno),
    }
}

/// Sets the override of a job, unless it has it, and remembers what it replaced.
fn replace_override(host: &impl Host, job: &mut Job<'_>, target: &Name) -> Result<(), Errno> {
    let previous = current_override(host, job.address())?;
    if previous == *target {
        return Ok(());
    }
    let answer = put_override(host, job, target, job.function.driver.is_none());
    // A write that failed may have had its effect, and one that takes too long will have it later.
    let untouched = || current_override(host, job.address()).as_ref() == Ok(&previous);
    match answer {
        Err(errno) if errno != Errno::TIMEDOUT && untouched() => {}
        _ => job.previous = Some(previous),
    }
    answer
}

/// An address as the text that sysfs takes.
fn address_text(address: Address) -> Name {
    clip(format_args!("{address}"))
}

/// The override in force; empty where there is none, which the kernel shows as `(null)`.
///
/// # Errors
/// What open or read answered.
pub fn current_override(root: &dyn Root, address: Address) -> Result<Name, Errno> {
    let mut buffer = [0; 256];
    let text = root.read(&attribute(address, "driver_override"), &mut buffer)?;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    Ok(if text == b"(null)" {
        Name::new()
    } else {
        name(text)
    })
}

/// Sets or, with an empty value, clears an override. The store takes the device lock, which a
/// driver that hangs in its probe or its remove function holds for ever: so only a function that
/// has had no driver yet is written to directly.
fn put_override(
    host: &impl Host,
    job: &Job<'_>,
    value: &Name,
    directly: bool,
) -> Result<(), Errno> {
    let path = attribute(job.address(), "driver_override");
    let data = if value.is_empty() {
        b"\n"
    } else {
        value.as_bytes()
    };
    if directly {
        host.write(&path, data)
    } else {
        host.write_within(&path, data, LOCK_LIMIT)
    }
}

fn unbind(host: &impl Host, address: Address, limit: Duration) -> Result<(), Errno> {
    let text = address_text(address);
    match host.write_within(&attribute(address, "driver/unbind"), text.as_bytes(), limit) {
        // Somebody else unbound it in the meantime.
        Err(Errno::NOENT | Errno::NODEV) if driver_of(host, address) == Ok(None) => Ok(()),
        answer => answer,
    }
}

fn probe(host: &impl Host, address: Address, limit: Duration) -> Result<(), Errno> {
    let text = address_text(address);
    match host.write_within(DRIVERS_PROBE, text.as_bytes(), limit) {
        // The kernel passes on what the driver's probe answered: the `driver` link tells it better.
        Err(Errno::TIMEDOUT) => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

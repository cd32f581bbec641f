//! Plan -> writes -> what the kernel says afterwards.
//!
//! The order is: every `driver_override` of the plan, then the console's framebuffer, then what
//! `vfio.set=` asks of functions without a driver, then the modules, then unbinding what is bound
//! elsewhere and setting that, then `drivers_probe`, then the check, then `vfio.onfail=` for what failed.
//! - Overrides come first and all together: with one set no other driver matches, and older kernels
//!   crash when an override changes under `__driver_attach`.
//! - Modules come before unbinding: if vfio-pci is not in the image, nothing has been taken from a
//!   native driver yet.
//! - A write's success says little (`drivers_probe` reports success when nothing bound): the
//!   `driver` link and VFIO's own group status decide.

pub mod controls;
pub mod driver;
pub mod failure;
pub mod framebuffer;
pub(crate) mod job;
pub(crate) mod loading;
pub mod outcome;
pub mod prepare;
pub mod ready;
pub(crate) mod register;
pub mod sriov;
pub mod verify;

use heapless::Vec;
use rustix::io::Errno;

use crate::bind::controls::{
    DRIVER_LIMIT, LOCK_LIMIT, QUEUE_LIMIT, current_override, probe, put_override, unbind,
};
use crate::bind::failure::{Failure, Operation, failure};
use crate::bind::job::Job;
use crate::bind::outcome::{Fate, Outcome, Outcomes};
use crate::bind::prepare::AllPrepared;
use crate::bind::ready::PORT_DRIVER;
use crate::bind::verify::ask_groups;
use crate::machine::inventory::{Inventory, MAX_FUNCTIONS};
use crate::machine::sysfs::{driver_directory, driver_of};
use crate::machine::{LoadError, Loading, Machine, Root};
use crate::plan::decision::{Decision, Plan};
use crate::policy::{OnFailure, Policy, VFIO_PCI};
use crate::text::{DriverName, Plain};

/// Carries a plan out. Gives what came of loading vfio-pci with an empty list of IDs, where that was
/// necessary.
pub fn apply(
    host: &impl Machine,
    policy: &Policy<'_>,
    inventory: &Inventory,
    plan: &Plan,
    outcomes: &mut Outcomes,
) -> Option<Result<(), LoadError>> {
    outcomes.rehearse(inventory, plan);
    let Outcomes {
        jobs,
        steps,
        prepared,
        ..
    } = outcomes;
    jobs.clear();
    for (at, step) in plan.steps.iter().enumerate() {
        if let (Decision::Bind, Some(function)) = (step.decision, inventory.get(step.function)) {
            // There are at most as many jobs as steps.
            let _ = jobs.push(Job::new(
                at,
                (step.function, function),
                plan.driver(step, policy),
            ));
        }
    }
    let mut work = Work {
        host,
        policy,
        inventory,
        jobs,
    };
    work.set_overrides();
    work.fail_whole_groups();
    work.release_console();
    work.prepare(prepared);
    work.fail_whole_groups();
    let was_loaded = host.exists(&driver_directory(VFIO_PCI));
    work.load_drivers(plan.without_kernel_ids);
    let emptied = (plan.without_kernel_ids && !was_loaded).then(|| work.empty_list());
    if work.sound_jobs().any(|job| job.missing.is_none()) {
        work.load_container_part();
    }
    work.unbind();
    work.fail_whole_groups();
    work.prepare(prepared);
    work.fail_whole_groups();
    work.probe();
    work.check();
    work.fail_whole_groups();
    for job in work.jobs.iter() {
        if let Some(outcome) = steps.get_mut(job.at) {
            *outcome = work.settle(job, prepared);
        }
    }
    // A driver that was there took by its IDs what it takes before this run.
    if plan.focus.is_none() || !was_loaded {
        verify::give_back(host, policy, inventory, plan, outcomes);
    }
    ask_groups(host, inventory, plan, outcomes);
    register::register(host, policy, inventory, plan, outcomes);
    emptied
}

struct Work<'a, H> {
    host: &'a H,
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
    jobs: &'a mut Vec<Job, MAX_FUNCTIONS>,
}

impl<'a, H: Machine> Work<'a, H> {
    /// The jobs that nothing has gone wrong with.
    fn sound_jobs(&mut self) -> impl Iterator<Item = &mut Job> {
        self.jobs.iter_mut().filter(|job| job.failure.is_none())
    }

    /// Takes a step with each job that nothing has gone wrong with, as long as there is time. Where one
    /// is stuck, the rest of its group need not be tried, nor be waited for.
    fn each_sound(&mut self, step: &dyn Fn(&H, &mut Job)) {
        for at in 0..self.jobs.len() {
            let Some(job) = self.jobs.get_mut(at).filter(|job| job.failure.is_none()) else {
                continue;
            };
            if self.host.is_late() {
                job.failure = Some(Failure::Late);
                continue;
            }
            step(self.host, job);
            if job.is_stuck() {
                self.fail_whole_groups();
            }
        }
    }

    fn set_overrides(&mut self) {
        self.each_sound(&|host, job| {
            job.failure = replace_override(host, job)
                .err()
                .map(|errno| failure(host, job.address, Operation::Override, errno));
        });
    }

    /// Done before vfio-pci may suspend the function: the kernel must not write to it then.
    fn release_console(&mut self) {
        let host = self.host;
        for job in self.sound_jobs() {
            job.console = framebuffer::release(host, job.address);
        }
    }

    /// Makes ready what no driver has now, and what is on its driver already: that one may be asked, and is
    /// never taken away.
    fn prepare(&mut self, done: &mut AllPrepared) {
        if self.policy.settings.is_empty() {
            return;
        }
        let (host, policy, inventory) = (self.host, self.policy, self.inventory);
        for job in self.sound_jobs().filter(|job| !job.prepared) {
            let free = driver_of(host, job.address) == Ok(None);
            if free || job.was_there() {
                job.prepared = true;
                let function = inventory.get(job.function);
                if !function.is_some_and(|function| prepare::prepare(host, policy, function, done))
                {
                    job.failure = Some(Failure::NotPrepared);
                }
            }
        }
    }

    /// Sees to it that the drivers are registered, and remembers where one is not.
    fn load_drivers(&mut self, without_ids: bool) {
        for at in 0..self.jobs.len() {
            let Some((earlier, [job, ..])) = self.jobs.split_at_mut_checked(at) else {
                continue;
            };
            let directory = driver_directory(&job.driver);
            if job.failure.is_some() || job.was_there() || self.host.exists(&directory) {
                continue;
            }
            let tried = earlier
                .iter()
                .find(|other| other.driver == job.driver && other.missing.is_some());
            job.missing = tried.map_or_else(
                || {
                    let loaded = loading::load(self.host, self.policy, &job.driver, without_ids);
                    if !self.host.exists(&directory) {
                        return Some(Failure::NoDriver(loaded.err()));
                    }
                    if let Err(error) = loaded {
                        warn!(job.driver; "{}: {error}", job.driver);
                    }
                    None
                },
                |other| other.missing,
            );
        }
    }

    /// Sees to it that nobody loads vfio-pci with its IDs later, whatever it is needed for now.
    fn empty_list(&self) -> Result<(), LoadError> {
        let mut tried = self.jobs.iter().filter(|job| job.driver == VFIO_PCI);
        let error = tried.find_map(|job| match job.missing {
            Some(Failure::NoDriver(Some(error))) => Some(error),
            _ => None,
        });
        error.map_or_else(|| loading::without_ids(self.host, self.policy), Err)
    }

    /// A container (`/dev/vfio/vfio`) maps nothing without this module. vfio asks for it by a soft
    /// dependency only (drivers/vfio/container.c), which busybox's modprobe does not know.
    fn load_container_part(&self) {
        if !self.host.exists("dev/vfio/vfio") || self.host.exists("sys/module/vfio_iommu_type1") {
            return;
        }
        let answer = self
            .host
            .load_module("vfio_iommu_type1", Loading::default());
        if let Err(error) = answer {
            warn!(
                Plain("vfio_iommu_type1");
                "vfio_iommu_type1 is not loaded, and a virtual machine may need it: {error}"
            );
        }
    }

    /// Takes functions from other drivers. Where the driver to be bound is missing, only
    /// `vfio.onfail=hold` wants that.
    fn unbind(&mut self) {
        let hold = self.policy.on_failure == OnFailure::Hold;
        if !hold {
            for job in self.sound_jobs() {
                job.failure = job.missing;
            }
            self.fail_whole_groups();
        }
        self.each_sound(&|host, job| {
            let taken = match driver_of(host, job.address) {
                Ok(Some(driver)) if driver != job.driver => unbind(host, job.address, DRIVER_LIMIT)
                    .map_err(|errno| failure(host, job.address, Operation::Unbind, errno)),
                Ok(_) => Ok(()),
                Err(errno) => Err(failure(host, job.address, Operation::Look, errno)),
            };
            job.failure = taken.err().or(job.missing);
        });
    }

    fn probe(&mut self) {
        self.each_sound(&|host, job| {
            if driver_of(host, job.address) == Ok(None) {
                job.failure = probe(host, job.address, DRIVER_LIMIT)
                    .err()
                    .map(|errno| Failure::System(Operation::Probe, errno));
            }
        });
    }

    fn check(&mut self) {
        let host = self.host;
        for job in self.sound_jobs() {
            job.failure = look(host, job).1;
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
            let (group, address) = (job.group, job.address);
            if matches!(
                job.failure,
                None | Some(Failure::Sibling(_) | Failure::Vanished)
            ) {
                continue;
            }
            for job in self.sound_jobs().filter(|job| job.group == group) {
                job.failure = Some(Failure::Sibling(address));
            }
        }
    }

    /// Leaves a function in the state it shall stay in, and tells which that is.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn settle(&self, job: &Job, prepared: &mut AllPrepared) -> Outcome {
        let hold = self.policy.on_failure == OnFailure::Hold;
        let was_there = job.was_there();
        let settled = if job.failure.is_none() || was_there {
            false
        } else if hold {
            self.withhold(job)
        } else {
            self.give_back(job, prepared)
        };
        let (driver, failure) = look(self.host, job);
        let on_target = job.is_target(driver.as_ref());
        // Without a driver before, none now is how it was.
        let as_before = driver.is_some() || job.before.is_none();
        let fate = match failure {
            _ if was_there && on_target => Fate::Already,
            None => Fate::Bound,
            Some(Failure::Vanished | Failure::System(Operation::Look, _)) => Fate::Failed,
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

    /// Undoes what was done to a function; whether its override is as before and nothing is stuck:
    /// a driver may have lost the link long before it lets go. The `driver` link, read afterwards,
    /// tells the rest.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn give_back(&self, job: &Job, prepared: &mut AllPrepared) -> bool {
        let (host, address) = (self.host, job.address);
        // What a child writes waits for the device lock, however long that is, and so a driver
        // that is late finds everything undone. Nobody has to wait for that.
        let limit = |stuck| if stuck { QUEUE_LIMIT } else { DRIVER_LIMIT };
        let mut stuck = job.is_stuck();
        let mut restored = true;
        if let Some(previous) = &job.previous {
            let answer = put_override(host, address, previous, limit(stuck).min(LOCK_LIMIT));
            restored = tried(job, Operation::Restore, answer, stuck);
            stuck |= answer == Err(Errno::TIMEDOUT);
        }
        stuck |= self.take_off_target(job, stuck);
        if !stuck {
            prepare::undo(host, address, prepared);
        }
        // Its native driver takes it now if it is loaded, or else when it comes. Where an unbinding
        // is still under way, or nobody knows whether there is a driver, a probe does no harm.
        match driver_of(host, address) {
            Ok(driver @ Some(_)) if !job.is_target(driver.as_ref()) => {}
            now => {
                tried(
                    job,
                    Operation::Probe,
                    probe(host, address, limit(stuck)),
                    stuck,
                );
                // By its IDs vfio-pci takes what no native driver was there for. What it has from before may
                // be on its way to that one.
                if now == Ok(None) {
                    stuck |= self.take_off_target(job, stuck);
                }
            }
        }
        if let Some(device) = job.console
            && driver_of(host, address) == Ok(None)
        {
            framebuffer::give_back(host, device);
        }
        restored && !stuck
    }

    /// Takes a function from the driver that it was to have; whether that hangs.
    #[inline(never)] // Inlined, it makes the executable larger.
    fn take_off_target(&self, job: &Job, stuck: bool) -> bool {
        let now = driver_of(self.host, job.address);
        if !now.is_ok_and(|driver| job.is_target(driver.as_ref())) {
            return false;
        }
        let limit = if stuck { QUEUE_LIMIT } else { DRIVER_LIMIT };
        let answer = unbind(self.host, job.address, limit);
        tried(job, Operation::Unbind, answer, stuck);
        answer == Err(Errno::TIMEDOUT)
    }

    /// Sees to it that no driver has a function; whether an override keeps them off and none is
    /// on its way out.
    fn withhold(&self, job: &Job) -> bool {
        // Everything that could be done waits for the same lock.
        if job.is_stuck() {
            return false;
        }
        let (host, address) = (self.host, job.address);
        let kept_off = current_override(host, address).as_ref() == Ok(&job.driver) || {
            let answer = put_override(host, address, &job.driver, LOCK_LIMIT);
            tried(job, Operation::Override, answer, false)
        };
        let refused = matches!(job.failure, Some(Failure::System(Operation::Unbind, _)));
        match driver_of(host, address) {
            Ok(None) => kept_off,
            Ok(driver) if refused || job.is_target(driver.as_ref()) => kept_off,
            _ => {
                let answer = unbind(host, address, DRIVER_LIMIT);
                tried(job, Operation::Unbind, answer, false) && kept_off
            }
        }
    }
}

/// Tells what went wrong on the way out of a failure; whether nothing did. That a call waits for a
/// driver that is known to be stuck is no news.
fn tried(job: &Job, act: Operation, answer: Result<(), Errno>, stuck: bool) -> bool {
    match answer {
        Err(Errno::TIMEDOUT) if stuck => {}
        Err(errno) => {
            let failure = Failure::System(act, errno);
            error!(job.address; "{}: {}", job.address, failure.told(&job.driver));
        }
        Ok(()) => {}
    }
    answer.is_ok()
}

/// The driver a function has now, and why it is not the one it should have.
fn look(root: &dyn Root, job: &Job) -> (Option<DriverName>, Option<Failure>) {
    match driver_of(root, job.address) {
        Ok(driver) if job.is_target(driver.as_ref()) => (driver, job.failure),
        Ok(driver) => (driver, job.failure.or(Some(Failure::NotBound))),
        Err(errno) => (
            None,
            Some(failure(root, job.address, Operation::Look, errno)),
        ),
    }
}

/// Sets the override of a job, unless it has it, and remembers what it replaced.
fn replace_override(host: &impl Machine, job: &mut Job) -> Result<(), Errno> {
    let address = job.address;
    let previous = current_override(host, address)?;
    if previous == job.driver {
        return Ok(());
    }
    let answer = put_override(host, address, &job.driver, LOCK_LIMIT);
    // A write that failed may have had its effect, and one that takes too long will have it later.
    let untouched = || current_override(host, address).as_ref() == Ok(&previous);
    match answer {
        // With the one left over from what made the groups, nothing would be given back.
        Err(errno) if errno != Errno::TIMEDOUT && previous != PORT_DRIVER && untouched() => {}
        _ => job.previous = Some(previous),
    }
    answer
}

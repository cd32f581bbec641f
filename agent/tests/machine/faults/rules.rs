//! What must hold after a run with a fault.

use std::time::Duration;

use super::cases::{
    AUDIO, DISK, GPU, Groups, NEIGHBOUR, NEIGHBOURS_DRIVER, OnFail, STRANGER, TARGET,
};
use super::faulty::{Fault, Kind, READ, answers};
use super::run::{Run, State, state};
use rustix::io::Errno;
use vfio_bind_agent::bind::failure::{Failure, Operation};
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND};

/// What a function is offered to, for its group.
const PORT_DRIVER: &str = "pcieport";

impl Run<'_> {
    fn after(&self, address: &str) -> State {
        state(self.host.machine, address)
    }

    /// Whether the machine changed on its own behind the last look at a function.
    fn changed_since_look(&self, address: &str) -> bool {
        let race = matches!(
            self.host.fault,
            Fault::Vanish(_) | Fault::NativeDrivers | Fault::Appear(_)
        );
        let looks = self.host.looks.borrow();
        let last = looks.get(address).map_or(0, |(number, _)| *number);
        race && self.host.happened() && self.host.at > last
    }

    /// Whether the last write of such data to a path was refused.
    fn refused(&self, path: &str, wanted: &dyn Fn(&str) -> bool) -> bool {
        let attempts = self.host.attempts.borrow();
        let mut matching = attempts
            .iter()
            .filter(|a| a.path.ends_with(path) && wanted(&a.data));
        matching.next_back().is_some_and(|attempt| !attempt.well)
    }

    pub(super) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, text: String| {
            if !holds {
                found.push(text);
            }
        };
        let attempts = self.host.attempts.borrow();
        for attempt in attempts.iter() {
            let own = attempt.path.contains(DISK) || attempt.data == DISK;
            rule(!own, format!("it wrote to {}", attempt.path));
        }
        rule(
            self.after(DISK) == self.before[DISK],
            "the disk was touched".to_owned(),
        );
        rule(
            [EXIT_DONE, EXIT_NOT_BOUND].contains(&self.exit),
            "no such exit status".to_owned(),
        );
        rule(
            self.host.waited.get() <= Duration::from_secs(40),
            format!("it waited {:?}", self.host.waited.get()),
        );
        for address in [GPU, AUDIO] {
            for text in self.function_violations(address) {
                rule(false, format!("{address}: {text}"));
            }
        }
        if self.case.groups != Groups::There {
            for address in [GPU, AUDIO, NEIGHBOUR] {
                for text in self.woken_violations(address) {
                    rule(false, format!("{address}: {text}; it said: {}", self.log));
                }
            }
            let touched = attempts
                .iter()
                .any(|a| a.path.contains(STRANGER) || a.data == STRANGER);
            let same = self.after(STRANGER) == self.before[STRANGER];
            rule(same, "the stranger is not as it was".to_owned());
            rule(
                !touched || self.way_unknown(),
                "the stranger was touched".to_owned(),
            );
        }
        if self.exit == EXIT_DONE {
            for address in self.case.wanted {
                let looks = self.host.looks.borrow();
                let seen = looks.get(*address).map(|(_, driver)| driver.as_deref());
                // What left before anybody looked at it was never asked for.
                let gone = !self.steps.contains_key(*address) && self.after(address).is_none();
                rule(
                    gone || seen == Some(Some(TARGET)),
                    format!("success, and {address} is on {seen:?}"),
                );
            }
            rule(
                self.host.viable.get() == Some(true),
                "success, and the group was not viable".to_owned(),
            );
            let asked = self
                .host
                .hit
                .borrow()
                .as_ref()
                .is_some_and(|hit| hit.0 == Kind::Viable);
            if let (true, Fault::Refused(which)) = (asked, self.host.fault) {
                let errno = answers(Kind::Viable, "")[which];
                rule(
                    [Errno::NOENT, Errno::BUSY].contains(&errno),
                    "success, and VFIO gave no answer".to_owned(),
                );
            }
        }
        found
    }

    fn function_violations(&self, address: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, text: &str| {
            if !holds {
                found.push(text.to_owned());
            }
        };
        let before = self.before[address].clone().unwrap();
        let Some((_, outcome)) = self.steps.get(address) else {
            let same = self.after(address) == Some(before);
            rule(
                same || self.race() || self.restore_refused(address),
                "no word of it, and it is not as it was",
            );
            return found;
        };
        let fate = outcome.fate;
        let Some((driver, value)) = self.after(address) else {
            let known = fate == Fate::Failed || self.changed_since_look(address);
            rule(
                known || fate == Fate::Left,
                "it is gone, and the report says otherwise",
            );
            return found;
        };
        let unknown = matches!(outcome.failure, Some(Failure::System(Operation::Look, _)));
        let told = outcome.driver.as_ref().map(|name| name.as_str().to_owned());
        if self.changed_since_look(address) {
            let looks = self.host.looks.borrow();
            rule(told == looks[address].1, "another driver was seen");
            return found;
        }
        // Once the kernel may show a driver that comes back as gone.
        let last = self
            .host
            .looks
            .borrow()
            .get(address)
            .map(|(number, _)| *number);
        let misled = Some(self.host.at) == last && matches!(self.host.fault, Fault::Refused(_));
        rule(
            told == driver || ((unknown || misled) && told.is_none() && fate == Fate::Failed),
            "the report says another driver than the tree",
        );
        let ours = driver.as_deref() == Some(TARGET);
        let as_before = value == before.1;
        match fate {
            Fate::Bound => rule(ours && value == TARGET, "it is not bound"),
            Fate::Already => rule(ours && before.0.as_deref() == Some(TARGET), "it was not"),
            Fate::Returned => {
                rule(!ours && as_before, "it was not given back whole");
                rule(
                    driver.is_some() || before.0.is_none(),
                    "its driver does not have it",
                );
            }
            Fate::Held => rule(driver.is_none() && value == TARGET, "it is not held"),
            Fate::Left | Fate::Refused | Fate::Planned => rule(
                (as_before && driver == before.0) || self.race() || self.restore_refused(address),
                "it was to be left alone",
            ),
            Fate::Failed => {}
        }
        let bound = matches!(fate, Fate::Bound | Fate::Already);
        let had_native = before.0.is_some() && before.0.as_deref() != Some(TARGET);
        let override_path = format!("{address}/driver_override");
        let unbind_path = format!("{address}/driver/unbind");
        match self.on_fail {
            _ if bound || fate == Fate::Left || fate == Fate::Refused => {}
            OnFail::Native => {
                let dead = driver.is_none() && (had_native || !as_before);
                let refused = if as_before {
                    self.refused("drivers_probe", &|data| data == address)
                } else {
                    self.refused(&override_path, &|data| data != TARGET && data != READ)
                };
                // A driver that never lets go keeps the lock from everybody.
                rule(
                    !dead || (fate == Fate::Failed && refused),
                    "it is left dead, although it could have been given back",
                );
            }
            OnFail::Hold => {
                let native = driver.is_some() && !ours;
                let refused = self.refused(&unbind_path, &|_| true)
                    || self.refused(&override_path, &|data| data == TARGET || data == READ);
                rule(
                    !native || (fate == Fate::Failed && refused),
                    "a native driver has it, although it could have been taken away",
                );
            }
        }
        found
    }

    /// Whether nobody could say what shares a group with what.
    fn way_unknown(&self) -> bool {
        let hit = self.host.hit.borrow();
        hit.as_ref().is_some_and(|(kind, path)| {
            let way = [GPU, AUDIO, STRANGER].iter().any(|a| path.ends_with(a));
            *kind == Kind::Link && way
        })
    }

    /// Whether the port driver's override was to be undone, and the system did not allow it.
    fn restore_refused(&self, address: &str) -> bool {
        let restoring = |data: &str| data != PORT_DRIVER && data != TARGET && data != READ;
        self.case.groups != Groups::There
            && self.refused(&format!("{address}/driver_override"), &restoring)
    }

    /// What must hold for each function that the kernel may have been made to group.
    fn woken_violations(&self, address: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, text: &str| {
            if !holds {
                found.push(text.to_owned());
            }
        };
        let before = self.before[address].clone().unwrap();
        let Some((driver, value)) = self.after(address) else {
            return found;
        };
        let bound = self
            .steps
            .get(address)
            .is_some_and(|(decision, _)| *decision == Decision::Bind);
        let held = bound && value == TARGET;
        let restored = value == before.1 || held;
        rule(
            restored || self.restore_refused(address),
            "its override is not as it was",
        );
        rule(
            driver.as_deref() != Some(PORT_DRIVER),
            "the port driver has it",
        );
        if !restored {
            let once = matches!(self.host.fault, Fault::Refused(_) | Fault::Late(_));
            rule(!once, "its override was restored once only");
            rule(
                self.exit == EXIT_NOT_BOUND,
                "its override is not as it was, and the exit status is good",
            );
            let told = self
                .log
                .lines()
                .any(|line| line.starts_with(address) && line.contains(PORT_DRIVER));
            rule(told, "its override is not as it was, and nobody is told");
        }
        let group = format!("sys/bus/pci/devices/{address}/iommu_group");
        let known = self.host.machine.exists(&group);
        let its_group = [GPU, AUDIO].contains(&address);
        let taken = self
            .steps
            .values()
            .any(|(_, outcome)| outcome.fate == Fate::Bound);
        rule(
            known || !its_group || !taken || self.race(),
            "nobody knows that it is in the group, and that is bound",
        );
        if address == NEIGHBOUR && self.case.groups == Groups::WithDriver && restored {
            let offered = driver.as_deref() == Some(NEIGHBOURS_DRIVER);
            let refused = self.refused("drivers_probe", &|data| data == address);
            let touched = self
                .host
                .attempts
                .borrow()
                .iter()
                .any(|a| a.data == address && a.well);
            rule(
                offered || refused || !touched,
                "its native driver, which is there, does not have it",
            );
        }
        found
    }

    fn race(&self) -> bool {
        matches!(
            self.host.fault,
            Fault::Vanish(_) | Fault::NativeDrivers | Fault::Appear(_)
        )
    }

    /// What a driver that lets go after the end of the run leaves behind.
    pub(super) fn late_violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !matches!(self.host.fault, Fault::Nothing | Fault::Stuck) {
            return found;
        }
        let machine = self.host.machine;
        let locked = [GPU, AUDIO].map(|address| (address, machine.is_locked(address)));
        machine.let_go();
        if self.case.groups != Groups::There {
            for address in [GPU, AUDIO, NEIGHBOUR] {
                let (driver, value) = self.after(address).unwrap();
                let (_, before) = self.before[address].clone().unwrap();
                let ported = driver.as_deref() == Some(PORT_DRIVER);
                if ported || (value != before && driver.as_deref() != Some(TARGET)) {
                    found.push(format!("{address} is {driver:?} with {value:?} at last"));
                }
                if address == NEIGHBOUR
                    && self.case.groups == Groups::WithDriver
                    && self
                        .host
                        .attempts
                        .borrow()
                        .iter()
                        .any(|a| a.data == address)
                    && driver.as_deref() != Some(NEIGHBOURS_DRIVER)
                {
                    found.push(format!("{address} is {driver:?} at last"));
                }
            }
        }
        for (address, was_locked) in locked {
            let Some((driver, value)) = self.after(address) else {
                continue;
            };
            let before = self.before[address].clone().unwrap();
            let failed = self
                .steps
                .get(address)
                .is_some_and(|(_, outcome)| outcome.fate == Fate::Failed);
            if was_locked && failed && self.on_fail == OnFail::Native {
                let back = value == before.1 && driver == before.0;
                if !back && driver.as_deref() != Some(TARGET) {
                    found.push(format!("{address} is {driver:?} with {value:?} at last"));
                }
            }
        }
        found
    }
}

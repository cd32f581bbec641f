//! A function goes back: its override is cleared, it is unbound, what was set of it is undone, its ID is taken back,
//! and the kernel is asked to find its driver. The `driver` link says what came of it.

use rustix::io::Errno;
use vfio_bind_agent::bind::controls::{
    DRIVER_LIMIT, LOCK_LIMIT, current_override, probe, put_address, put_override, unbind,
};
use vfio_bind_agent::bind::prepare::{self, AllPrepared, Attribute, Prepared, wanted};
use vfio_bind_agent::machine::Controls;
use vfio_bind_agent::machine::sysfs::{DRIVERS, attribute, driver_of, is_vfio, path};
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::policy::setting::Settings;
use vfio_bind_agent::text::errno::Answer;
use vfio_bind_agent::text::{DriverName, Text, clip};
use vfio_bind_report::Set;

use super::members::Member;
use crate::device::is_lent;

/// What became of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The driver that has it now.
    pub driver: Option<String>,
    /// Why it is still VFIO's, or nobody's.
    pub problem: Option<String>,
    /// What else there is to say of it.
    pub told: Vec<String>,
}

/// How often an ID is taken back: it may have been given several times, with other subsystems.
const MOST_IDS: usize = 64;

/// Gives functions back, all of them step by step. `load` loads the module that knows an alias.
pub fn give_back(host: &impl Controls, members: &[Member], load: &dyn Fn(&str)) -> Vec<Given> {
    let mut all: Vec<_> = members
        .iter()
        .map(|member| Back::new(host, member))
        .collect();
    // Each step for all of them: an ID that one of them is known by must not bring another one back.
    all.iter_mut().for_each(Back::clear_override);
    all.iter_mut().for_each(Back::unbind);
    all.iter_mut().for_each(Back::undo);
    all.iter_mut().for_each(Back::take_id_back);
    for back in &mut all {
        back.find_driver(load);
    }
    all.into_iter().map(Back::end).collect()
}

/// A function on its way.
struct Back<'m, H: Controls> {
    host: &'m H,
    member: &'m Member,
    address: Address,
    /// The override that was cleared.
    before: Option<DriverName>,
    given: Given,
}

impl<'m, H: Controls> Back<'m, H> {
    fn new(host: &'m H, member: &'m Member) -> Self {
        Self {
            host,
            member,
            address: member.found.address,
            before: None,
            given: Given {
                driver: None,
                problem: None,
                told: Vec::new(),
            },
        }
    }

    fn goes_on(&self) -> bool {
        self.given.problem.is_none()
    }

    fn fail(&mut self, call: &str, errno: Errno) {
        let answer = Answer(errno);
        self.given.problem = Some(match errno {
            Errno::TIMEDOUT => format!(
                "{call}: no answer in time; somebody has the device, or its driver hangs; see dmesg, and try again"
            ),
            Errno::PERM | Errno::ACCESS => format!("{call}: {answer}; run it as root"),
            _ => format!("{call}: {answer}"),
        });
    }

    fn clear_override(&mut self) {
        let found = current_override(self.host, self.address);
        let cleared = found.and_then(|name| {
            // One that names a native driver is its owner's.
            if !name.is_empty() && is_vfio(name.as_bytes()) {
                put_override(self.host, self.address, &DriverName::default(), LOCK_LIMIT)?;
                return Ok(Some(name));
            }
            Ok(None)
        });
        match cleared {
            Ok(name) => self.before = name,
            Err(errno) => self.fail("write(driver_override)", errno),
        }
    }

    fn unbind(&mut self) {
        if !self.goes_on() || !self.is_lent() {
            return;
        }
        if let Err(errno) = unbind(self.host, self.address, DRIVER_LIMIT) {
            self.fail("write(driver/unbind)", errno);
            if errno == Errno::TIMEDOUT {
                return;
            }
            // It stays what it was, and is found as it was by the next probe.
            if let Some(name) = &self.before
                && let Err(errno) = put_override(self.host, self.address, name, LOCK_LIMIT)
            {
                let told = format!(
                    "its driver override was {name} and is not again: {}",
                    Answer(errno)
                );
                self.given.told.push(told);
            }
        }
    }

    fn undo(&mut self) {
        if !self.goes_on() {
            return;
        }
        for set in &self.member.set {
            let Some((attribute, before)) = value(set) else {
                let told = format!("{} was `{}`; set it by hand", set.name, set.before);
                self.given.told.push(told);
                continue;
            };
            let mut one = AllPrepared::new();
            // There is room for one.
            let _ = one.push(Prepared {
                address: self.address,
                attribute,
                now: before.clone(),
                before,
            });
            let told = match prepare::undo(self.host, self.address, &mut one) {
                true => format!("{} is {} again", set.name, set.before),
                false => format!("{} was {} and is not again", set.name, set.before),
            };
            self.given.told.push(told);
        }
    }

    /// Takes its ID back from the driver of VFIO's that had it (`remove_id_store` in drivers/pci/pci-driver.c), which
    /// would be asked before the native one.
    fn take_id_back(&mut self) {
        let Some(driver) = self
            .member
            .found
            .driver
            .as_deref()
            .filter(|_| self.goes_on())
        else {
            return;
        };
        let id = self.member.found.id;
        let text = format!("{:04x} {:04x}", id.vendor, id.device);
        let file = format!("{DRIVERS}/{driver}/remove_id");
        for round in 0..MOST_IDS {
            match self.host.write_within(&file, text.as_bytes(), DRIVER_LIMIT) {
                Ok(()) if round == 0 => self.given.told.push(format!(
                    "{driver} has the ID {id} no more: what comes later with it is native"
                )),
                Ok(()) => {}
                // It has none, as the kernel says it; or no such file.
                Err(_) => return,
            }
        }
    }

    fn find_driver(&mut self, load: &dyn Fn(&str)) {
        if !self.goes_on() {
            return;
        }
        self.ask(Self::probe_now);
        // A pattern with a wildcard has no ID that could be taken back.
        if self.is_lent() {
            self.ask(|back| unbind(back.host, back.address, DRIVER_LIMIT));
            self.ask(Self::offer);
        }
        if self.goes_on() && self.driver().is_none() {
            if let Some(alias) = self.alias() {
                load(&alias);
            }
            if self.driver().is_none() {
                self.ask(Self::probe_now);
            }
        }
        if !self.goes_on() {
            return;
        }
        self.given.problem = match self.driver() {
            Some(driver) if is_vfio(driver.as_bytes()) => {
                Some(format!("{driver} took it again; see `dmesg | grep vfio`"))
            }
            Some(_) => None,
            None => Some(
                "no native driver takes it: none is loaded that knows it, and modprobe finds none"
                    .to_owned(),
            ),
        };
    }

    /// What modules call it, as the kernel spells it: aliases are compared letter by letter.
    fn alias(&self) -> Option<String> {
        let mut buffer = [0; 256];
        let text = self
            .host
            .read(&attribute(self.address, "modalias"), &mut buffer);
        Some(str::from_utf8(text.ok()?).ok()?.trim_end().to_owned())
    }

    fn probe_now(&self) -> Result<(), Errno> {
        probe(self.host, self.address, DRIVER_LIMIT)
    }

    /// Offers it to each driver that is not of VFIO's.
    fn offer(&self) -> Result<(), Errno> {
        self.host.list(DRIVERS, &mut |driver| {
            if !is_vfio(driver) && driver_of(self.host, self.address) == Ok(None) {
                let file = path(format_args!("{DRIVERS}/{}/bind", Text(driver)));
                // Those that do not know it say so.
                let _ = put_address(self.host, &file, self.address, DRIVER_LIMIT);
            }
        })
    }

    fn ask(&mut self, step: impl Fn(&Self) -> Result<(), Errno>) {
        if self.goes_on()
            && let Err(errno) = step(self)
        {
            self.fail("write(drivers_probe)", errno);
        }
    }

    fn driver(&self) -> Option<String> {
        let driver = driver_of(self.host, self.address).ok().flatten();
        driver.map(|name| name.as_str().to_owned())
    }

    fn is_lent(&self) -> bool {
        is_lent(self.driver().as_deref())
    }

    fn end(mut self) -> Given {
        if driver_of(self.host, self.address) == Err(Errno::NODEV) {
            self.given.problem = Some("it has vanished".to_owned());
        }
        self.given.driver = self.driver();
        self.given
    }
}

/// What the kernel is to be written, for what the record has in words.
fn value(set: &Set) -> Option<(Attribute, prepare::Value)> {
    // A record has the methods as sysfs shows them, and they are written in the same way.
    if set.name == "reset_method" {
        let methods = clip(format_args!("{}", set.before));
        return (!set.before.is_empty()).then_some((Attribute::ResetMethod, methods));
    }
    let text = format!("0000:00:00.0:{}={}", set.name, set.before);
    let settings = Settings::parse(text.as_bytes()).ok()?;
    settings.each().next().map(wanted)
}

//! A machine of which one call goes wrong.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use super::cases::{AUDIO, GPUS_BRIDGES, GROUP, NATIVE, NEIGHBOUR, NEIGHBOURS_DRIVER, STRANGER};
use crate::support::{Card, FakeMachine};
use rustix::io::Errno;
use vfio_bind_agent::machine::{Controls, LoadError, Loading, Machine, Root, SHOWN_MOST};

/// What may come into the group.
const LATE: &str = "0000:42:00.2";

/// What happens at the chosen call. A number chooses from the answers of [`answers`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Nothing,
    /// It is refused and has no effect.
    Refused(usize),
    /// It is refused, and so is every later one of its kind on its path.
    RefusedForGood(usize),
    /// It has its effect and says that it had none.
    Late(usize),
    /// The device lock is taken for the rest of the run: it and all behind it wait.
    Stuck,
    /// The time of the run is over from then on.
    NoTime,
    /// The function leaves the machine just before.
    Vanish(&'static str),
    /// Every native driver is loaded just before.
    NativeDrivers,
    /// One more function of the group comes just before, with or without a driver.
    Appear(Option<&'static str>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Read,
    Link,
    Exists,
    List,
    ReadWithin,
    WriteWithin,
    Load,
    Viable,
}

/// The errors that a call of this kind may give. What would be a lie of the kernel about a function
/// that is there is left out: `ENOENT` for its group or its modalias.
pub(super) fn answers(kind: Kind, path: &str) -> Vec<Errno> {
    let mut answers = match kind {
        Kind::Read | Kind::ReadWithin | Kind::Link | Kind::List => {
            vec![Errno::ACCESS, Errno::IO, Errno::NOMEM, Errno::INTR]
        }
        // A header type that reads wrongly is a matter of the scan.
        Kind::Exists if path.ends_with("secondary_bus_number") => vec![],
        Kind::Exists | Kind::Load => vec![Errno::ACCESS],
        Kind::WriteWithin => vec![
            Errno::ACCESS,
            Errno::BUSY,
            Errno::INVAL,
            Errno::IO,
            Errno::NODEV,
            Errno::NOENT,
            Errno::NOMEM,
            Errno::PERM,
            Errno::ROFS,
            Errno::INTR,
        ],
        Kind::Viable => vec![
            Errno::ACCESS,
            Errno::BUSY,
            Errno::IO,
            Errno::NODEV,
            Errno::NOENT,
            Errno::NOMEM,
            Errno::PERM,
            Errno::NXIO,
        ],
    };
    if matches!(kind, Kind::ReadWithin | Kind::WriteWithin) {
        answers.extend([Errno::TIMEDOUT, Errno::AGAIN]);
    }
    if path.ends_with("/driver") || kind == Kind::List {
        answers.push(Errno::NOENT);
    }
    if path.ends_with("/driver_override") && matches!(kind, Kind::Read | Kind::ReadWithin) {
        answers.extend([Errno::NOENT, Errno::NODEV]);
    }
    answers
}

const LOAD_ERRORS: [LoadError; 5] = [
    LoadError::NoModprobe,
    LoadError::Spawn(Errno::NOMEM),
    LoadError::Status(1),
    LoadError::Signal(9),
    LoadError::TimedOut,
];

pub(super) fn count(kind: Kind, path: &str) -> usize {
    match kind {
        Kind::Load => LOAD_ERRORS.len(),
        _ => answers(kind, path).len(),
    }
}

/// What stands for the data of an attempt to read.
pub(super) const READ: &str = "(read)";

/// A write, or a read with a limit, and what it answered.
pub(super) struct Attempt {
    pub(super) path: String,
    pub(super) data: String,
    pub(super) well: bool,
}

pub(super) struct Faulty<'m> {
    pub(super) machine: &'m FakeMachine,
    pub(super) at: usize,
    pub(super) fault: Fault,
    pub(super) calls: Cell<usize>,
    pub(super) log: RefCell<Vec<(Kind, String)>>,
    pub(super) hit: RefCell<Option<(Kind, String)>>,
    pub(super) attempts: RefCell<Vec<Attempt>>,
    /// The number of the last look at a function's driver, and the driver it really had.
    pub(super) looks: RefCell<BTreeMap<String, (usize, Option<String>)>>,
    /// Whether the group was viable when that was asked last.
    pub(super) viable: Cell<Option<bool>>,
    /// How long the agent waited for drivers.
    pub(super) waited: Cell<Duration>,
}

impl<'m> Faulty<'m> {
    pub(super) fn new(machine: &'m FakeMachine, at: usize, fault: Fault) -> Self {
        Self {
            machine,
            at,
            fault,
            calls: Cell::default(),
            log: RefCell::default(),
            hit: RefCell::default(),
            attempts: RefCell::default(),
            looks: RefCell::default(),
            viable: Cell::default(),
            waited: Cell::default(),
        }
    }

    /// Counts a call, lets happen what is to happen before it, and says how it is refused.
    fn enter(&self, kind: Kind, path: &str) -> Option<usize> {
        let number = self.calls.get();
        self.calls.set(number + 1);
        self.log.borrow_mut().push((kind, path.to_owned()));
        let first = number == self.at;
        if first {
            *self.hit.borrow_mut() = Some((kind, path.to_owned()));
            match self.fault {
                Fault::Vanish(address) => self.machine.remove(address),
                Fault::NativeDrivers => {
                    for (address, driver) in NATIVE {
                        self.machine.load_native(address, driver);
                    }
                    if self
                        .machine
                        .exists(&format!("sys/bus/pci/devices/{NEIGHBOUR}"))
                    {
                        self.machine.load_native(NEIGHBOUR, NEIGHBOURS_DRIVER);
                    }
                }
                Fault::Appear(driver) => {
                    let card = Card::new(LATE, 0x1234, 0x2222, 0x0c_0330, GROUP);
                    self.machine.insert(&match driver {
                        Some(driver) => card.on(driver),
                        None => card,
                    });
                    if self
                        .machine
                        .exists(&format!("sys/bus/pci/devices/{STRANGER}"))
                    {
                        self.machine.put_behind(LATE, GPUS_BRIDGES);
                    }
                }
                _ => {}
            }
        }
        let same = self
            .hit
            .borrow()
            .as_ref()
            .is_some_and(|hit| hit.0 == kind && hit.1 == path);
        match self.fault {
            Fault::Refused(which) | Fault::Late(which) if first => Some(which),
            Fault::RefusedForGood(which) if same => Some(which),
            _ => None,
        }
    }

    fn errno(&self, kind: Kind, path: &str) -> Result<(), Errno> {
        match self.enter(kind, path) {
            Some(which) => answers(kind, path).get(which).copied().map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    pub(super) fn happened(&self) -> bool {
        self.hit.borrow().is_some()
    }

    /// A call with a limit; without data it reads.
    fn within(&self, path: &str, data: Option<&[u8]>, limit: Duration) -> Result<(), Errno> {
        let kind = match data {
            Some(_) => Kind::WriteWithin,
            None => Kind::ReadWithin,
        };
        let stuck = self.fault == Fault::Stuck && self.calls.get() == self.at;
        let refused = self.errno(kind, path);
        let act = || match data {
            Some(data) => self.machine.write_within(path, data, limit),
            None => {
                let mut shown = [0; SHOWN_MOST];
                let read = self.machine.read_within(path, &mut shown, limit);
                read.map(drop)
            }
        };
        let answer = match (refused, self.fault) {
            (Err(errno), Fault::Late(_)) => {
                // Its own answer does not get through, unless it never comes back.
                match act() {
                    Err(Errno::TIMEDOUT) => Err(Errno::TIMEDOUT),
                    _ => Err(errno),
                }
            }
            (Err(errno), _) => Err(errno),
            (Ok(()), _) if stuck => self.machine.stick(path, data.unwrap_or_default(), limit),
            (Ok(()), _) => act(),
        };
        if answer == Err(Errno::TIMEDOUT) {
            self.waited.set(self.waited.get() + limit);
        }
        let data = data.map_or(READ.into(), String::from_utf8_lossy);
        self.attempts.borrow_mut().push(Attempt {
            path: path.to_owned(),
            data: data.trim_end().to_owned(),
            well: answer.is_ok(),
        });
        answer
    }
}

impl Root for Faulty<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        self.errno(Kind::Read, path)?;
        self.machine.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let number = self.calls.get();
        let answer = self.errno(Kind::Link, path);
        let function = path
            .strip_suffix("/driver")
            .and_then(|path| path.rsplit('/').next());
        if let Some(address) = function {
            let driver = self.machine.driver(address);
            let mut looks = self.looks.borrow_mut();
            looks.insert(address.to_owned(), (number, driver));
        }
        answer?;
        self.machine.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.errno(Kind::Exists, path).is_ok() && self.machine.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let refused = self.errno(Kind::List, path);
        // A list that breaks off does so before the audio function.
        self.machine.list(path, &mut |entry| {
            if refused.is_ok() || entry != AUDIO.as_bytes() {
                each(entry);
            }
        })?;
        refused
    }
}

impl Controls for Faulty<'_> {
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        self.within(path, Some(data), limit)
    }

    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8; SHOWN_MOST],
        limit: Duration,
    ) -> Result<&'b [u8], Errno> {
        self.within(path, None, limit)?;
        self.machine.read_at(path, 0, buffer)
    }
}

impl Machine for Faulty<'_> {
    fn is_late(&self) -> bool {
        self.fault == Fault::NoTime && self.happened()
    }

    fn load_module(&self, name: &str, how: Loading) -> Result<(), LoadError> {
        let refused = self
            .enter(Kind::Load, name)
            .and_then(|which| LOAD_ERRORS.get(which));
        match refused {
            Some(error) => {
                if matches!(self.fault, Fault::Late(_)) {
                    let _ = self.machine.load_module(name, how);
                }
                Err(*error)
            }
            None => self.machine.load_module(name, how),
        }
    }

    fn group_viable(&self, group: u32) -> Result<bool, Errno> {
        let refused = self.errno(Kind::Viable, "");
        let real = self.machine.group_viable(group);
        self.viable.set(real.ok());
        refused.and(real)
    }
}

//! Every call of a run fails once, in every way that makes sense, and what must hold then.
//!
//! [`Faulty`] stands between the agent and the machine made of a directory: it counts the calls and
//! does something to the N-th. The rules in [`Run::violations`] look at the machine before and
//! after, at the list of writes, and at what the record says, and share nothing with the agent.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::snapshots::messages;
use crate::support::{Card, FakeMachine, Trouble};
use rustix::io::Errno;
use vfio_bind_agent::bind::failure::{Failure, Operation};
use vfio_bind_agent::bind::outcome::{Fate, Outcome};
use vfio_bind_agent::machine::{LoadError, Loading, Machine, Root};
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND};
use vfio_bind_agent::run;

const GPU: &str = "0000:42:00.0";
const AUDIO: &str = "0000:42:00.1";
const LATE: &str = "0000:42:00.2";
const DISK: &str = "0000:01:00.0";
const GROUP: u32 = 15;
const TARGET: &str = "vfio-pci";
const NATIVE: [(&str, &str); 2] = [(GPU, "bochs-drm"), (AUDIO, "snd_hda_intel")];
/// Behind the root port of the GPU, in a group of its own; only where groups are not there yet.
const NEIGHBOUR: &str = "0000:43:00.0";
const NEIGHBOURS_DRIVER: &str = "e1000e";
/// Behind another root port, without a driver; only there, too.
const STRANGER: &str = "0000:51:00.0";
const GPUS_BRIDGES: &str = "0000:40/0000:40:01.0/0000:41:00.0";
/// What may have a function for a moment, for its group.
const STUB: &str = "pci-stub";

/// What happens at the chosen call. A number chooses from the answers of [`answers`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
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
enum Kind {
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
fn answers(kind: Kind, path: &str) -> Vec<Errno> {
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

fn count(kind: Kind, path: &str) -> usize {
    match kind {
        Kind::Load => LOAD_ERRORS.len(),
        _ => answers(kind, path).len(),
    }
}

/// What stands for the data of an attempt to read.
const READ: &str = "(read)";

/// A write, or a read with a limit, and what it answered.
struct Attempt {
    path: String,
    data: String,
    well: bool,
}

struct Faulty<'m> {
    machine: &'m FakeMachine,
    at: usize,
    fault: Fault,
    calls: Cell<usize>,
    log: RefCell<Vec<(Kind, String)>>,
    hit: RefCell<Option<(Kind, String)>>,
    attempts: RefCell<Vec<Attempt>>,
    /// The number of the last look at a function's driver, and the driver it really had.
    looks: RefCell<BTreeMap<String, (usize, Option<String>)>>,
    /// Whether the group was viable when that was asked last.
    viable: Cell<Option<bool>>,
    /// How long the agent waited for drivers.
    waited: Cell<Duration>,
}

impl<'m> Faulty<'m> {
    fn new(machine: &'m FakeMachine, at: usize, fault: Fault) -> Self {
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

    fn happened(&self) -> bool {
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
                let mut shown = [0; 256];
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

impl Machine for Faulty<'_> {
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        self.within(path, Some(data), limit)
    }

    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8],
        limit: Duration,
    ) -> Result<&'b [u8], Errno> {
        self.within(path, None, limit)?;
        self.machine.read_at(path, 0, buffer)
    }

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

/// A machine and what is asked of it.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// The drivers of the GPU and of its audio function; empty for none.
    drivers: [&'static str; 2],
    /// Their overrides.
    overrides: [&'static str; 2],
    /// Whether vfio-pci is registered from the beginning.
    loaded: bool,
    trouble: fn() -> Trouble,
    options: &'static str,
    wanted: &'static [&'static str],
    /// Whether a run without a fault does what is asked.
    succeeds: bool,
    groups: Groups,
}

/// When the kernel makes the IOMMU groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Groups {
    /// Before the agent looks.
    There,
    /// With the first driver that is probed for a function. The neighbour's native driver is there.
    WithDriver,
    /// The same, but not before the IOMMU has its own driver, and that native driver comes later.
    WithIommu,
}

const PLAIN: Case = Case {
    name: "nothing is bound",
    drivers: ["", ""],
    overrides: ["", ""],
    loaded: false,
    trouble: Trouble::default,
    options: "",
    wanted: &[GPU, AUDIO],
    succeeds: true,
    groups: Groups::There,
};

const NATIVES: [&str; 2] = [NATIVE[0].1, NATIVE[1].1];

const CASES: &[Case] = &[
    PLAIN,
    Case {
        name: "native drivers have both",
        drivers: NATIVES,
        ..PLAIN
    },
    Case {
        name: "a native driver has the sibling",
        drivers: ["", NATIVES[1]],
        ..PLAIN
    },
    Case {
        name: "vfio-pci has both",
        drivers: [TARGET; 2],
        overrides: [TARGET; 2],
        loaded: true,
        ..PLAIN
    },
    Case {
        name: "vfio-pci has one, a native driver the other",
        drivers: [TARGET, NATIVES[1]],
        loaded: true,
        ..PLAIN
    },
    Case {
        name: "vfio-pci is loaded and has nothing",
        loaded: true,
        ..PLAIN
    },
    Case {
        name: "somebody else's overrides",
        drivers: ["", NATIVES[1]],
        overrides: ["pci-stub", NATIVES[1]],
        ..PLAIN
    },
    Case {
        name: "vfio-pci is not in the image",
        drivers: NATIVES,
        trouble: || Trouble {
            no_module: true,
            ..Trouble::default()
        },
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "vfio-pci is not in the image and nothing is bound",
        trouble: || Trouble {
            no_module: true,
            ..Trouble::default()
        },
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "vfio-pci refuses the sibling",
        drivers: NATIVES,
        trouble: || Trouble {
            probe_refuses: vec![AUDIO.to_owned()],
            ..Trouble::default()
        },
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "the GPU's driver never lets go",
        drivers: NATIVES,
        trouble: || Trouble {
            stuck: vec![GPU.to_owned()],
            ..Trouble::default()
        },
        succeeds: false,
        ..PLAIN
    },
    Case {
        name: "only the GPU is listed",
        drivers: [NATIVES[0], ""],
        options: " vfio.group=listed",
        wanted: &[GPU],
        ..PLAIN
    },
];

const UNGROUPED: &[Case] = &[
    Case {
        name: "groups come with a driver",
        groups: Groups::WithDriver,
        ..PLAIN
    },
    Case {
        name: "groups come with a driver, which the GPU has, and somebody else's override",
        drivers: [NATIVES[0], ""],
        overrides: ["", NATIVES[1]],
        loaded: true,
        groups: Groups::WithDriver,
        ..PLAIN
    },
    Case {
        name: "the IOMMU waits for its driver",
        groups: Groups::WithIommu,
        ..PLAIN
    },
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnFail {
    Native,
    Hold,
}

/// A function as the tree shows it: its driver and its override; `None` if it is gone.
type State = Option<(Option<String>, String)>;

fn state(machine: &FakeMachine, address: &str) -> State {
    let there = machine.exists(&format!("sys/bus/pci/devices/{address}"));
    there.then(|| (machine.driver(address), machine.driver_override(address)))
}

const FUNCTIONS: [&str; 5] = [GPU, AUDIO, DISK, NEIGHBOUR, STRANGER];

struct Run<'m> {
    case: Case,
    on_fail: OnFail,
    host: Faulty<'m>,
    before: BTreeMap<&'static str, State>,
    exit: u8,
    steps: BTreeMap<String, (Decision, Outcome)>,
    /// What the log says, where groups are not there yet.
    log: String,
}

fn machine_of(case: &Case) -> FakeMachine {
    let [gpu, audio] = case.drivers;
    let on = |card: Card, driver: &str| {
        if driver.is_empty() {
            card
        } else {
            card.on(driver)
        }
    };
    let machine = FakeMachine::new(&[
        Card::new("0000:41:00.0", 0x1b36, 0x000c, 0x06_0400, GROUP)
            .on("pcieport")
            .bridge(),
        on(Card::new(GPU, 0x1234, 0x1111, 0x03_0000, GROUP), gpu),
        on(Card::new(AUDIO, 0x8086, 0x2668, 0x04_0300, GROUP), audio),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 3).on("nvme"),
    ])
    .with((case.trouble)());
    for (address, value) in [GPU, AUDIO].into_iter().zip(case.overrides) {
        if !value.is_empty() {
            machine.set_override(address, value);
        }
    }
    let machine = if case.groups == Groups::There {
        machine
    } else {
        without_groups(machine, case.groups)
    };
    if case.loaded {
        machine.with_vfio_pci()
    } else {
        machine
    }
}

fn without_groups(machine: FakeMachine, groups: Groups) -> FakeMachine {
    for card in [
        Card::new("0000:00:07.0", 0x1af4, 0x1057, 0x00_ff00, 7).on("virtio-pci"),
        Card::new(NEIGHBOUR, 0x8086, 0x10d3, 0x02_0000, 16),
        Card::new(STRANGER, 0x8086, 0x100e, 0x02_0000, 17),
    ] {
        machine.insert(&card);
    }
    for (address, bridges) in [
        (GPU, GPUS_BRIDGES),
        (AUDIO, GPUS_BRIDGES),
        (NEIGHBOUR, "0000:40/0000:40:01.0/0000:41:01.0"),
        (STRANGER, "0000:40/0000:40:02.0"),
    ] {
        machine.put_behind(address, bridges);
    }
    let machine = machine.with_late_groups("0000:00:07.0");
    if groups == Groups::WithIommu {
        return machine.with_idle_iommu();
    }
    machine.expect_native(NEIGHBOUR, NEIGHBOURS_DRIVER);
    machine
}

/// A run with one fault, once it is over.
struct FaultedRun {
    calls: Vec<(Kind, String)>,
    exit: u8,
    violations: Vec<String>,
}

fn perform(case: Case, on_fail: OnFail, at: usize, fault: Fault) -> FaultedRun {
    let machine = machine_of(&case);
    let mut run = Run {
        case,
        on_fail,
        before: FUNCTIONS.map(|a| (a, state(&machine, a))).into(),
        host: Faulty::new(&machine, at, fault),
        exit: u8::MAX,
        steps: BTreeMap::new(),
        log: String::new(),
    };
    let hold = match on_fail {
        OnFail::Native => "",
        OnFail::Hold => " vfio.onfail=hold",
    };
    let line = format!("vfio.bind={GPU}{}{hold}", case.options);
    let mut perform = || {
        catch_unwind(AssertUnwindSafe(|| {
            run::perform(&run.host, line.as_bytes(), &|| 0, &mut |record| {
                run.exit = record.exit();
                let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
                run.steps = steps
                    .map(|(step, outcome)| {
                        let function = record.inventory.get(step.function).unwrap();
                        let pair = (step.decision, outcome.clone());
                        (function.address.to_string(), pair)
                    })
                    .collect();
                run.exit
            })
        }))
    };
    let mut ended = Ok(0);
    let log = if case.groups == Groups::There {
        ended = perform();
        String::new()
    } else {
        messages(|| ended = perform())
    };
    run.log = log;
    let mut violations = match ended {
        Ok(_) => run.violations(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            vec![text.unwrap_or_else(|| "it panicked".to_owned())]
        }
    };
    if violations.is_empty() {
        violations.extend(run.late_violations());
    }
    let hit = run.host.hit.take();
    let told = violations.into_iter().map(|violation| {
        let mut text = format!(
            "{}, {on_fail:?}, {fault:?} at {at} {hit:?}: {violation}; exit {}",
            case.name, run.exit
        );
        for (address, (_, outcome)) in &run.steps {
            let failure = outcome.failure.map(|f| f.told(TARGET).to_string());
            let (fate, driver) = (outcome.fate, &outcome.driver);
            write!(text, "; {address} {fate} {driver:?} {failure:?}").unwrap();
        }
        text
    });
    FaultedRun {
        violations: told.collect(),
        calls: run.host.log.take(),
        exit: run.exit,
    }
}

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

    fn violations(&self) -> Vec<String> {
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

    /// Whether the stub's override was to be undone, and the system did not allow it.
    fn restore_refused(&self, address: &str) -> bool {
        let restoring = |data: &str| data != STUB && data != TARGET && data != READ;
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
        let stubborn = driver.as_deref() == Some(STUB) && before.1 != STUB;
        let unbind_refused = self.refused(&format!("{STUB}/unbind"), &|data| data == address)
            || self.refused(&format!("{address}/driver/unbind"), &|_| true);
        rule(
            restored || self.restore_refused(address),
            "its override is not as it was",
        );
        rule(!stubborn || unbind_refused, "pci-stub has it still");
        if !restored || stubborn {
            let once = matches!(self.host.fault, Fault::Refused(_) | Fault::Late(_));
            rule(
                !once,
                "pci-stub may keep it, and undoing was refused only once",
            );
            rule(
                self.exit == EXIT_NOT_BOUND,
                "pci-stub may keep it, and the exit status is good",
            );
            let told = self
                .log
                .lines()
                .any(|line| line.starts_with(address) && line.contains(STUB));
            rule(told, "pci-stub may keep it, and nobody is told");
        }
        if address == NEIGHBOUR && self.case.groups == Groups::WithDriver && restored && !stubborn {
            let offered = driver.as_deref() == Some(NEIGHBOURS_DRIVER);
            let refused = self.refused("drivers_probe", &|data| data == address);
            let unbound = self
                .host
                .attempts
                .borrow()
                .iter()
                .any(|a| a.path.ends_with("/unbind") && a.data == address && a.well);
            rule(
                offered || refused || !unbound,
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
    fn late_violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !matches!(self.host.fault, Fault::Nothing | Fault::Stuck) {
            return found;
        }
        let machine = self.host.machine;
        let locked = [GPU, AUDIO].map(|address| (address, machine.is_locked(address)));
        let stub_was_probed = self.host.hit.borrow().as_ref().is_some_and(|hit| {
            hit.1 == "sys/bus/pci/drivers_probe" && self.host.fault == Fault::Stuck
        });
        machine.let_go();
        if self.case.groups != Groups::There {
            for address in [GPU, AUDIO, NEIGHBOUR] {
                let (driver, value) = self.after(address).unwrap();
                let (_, before) = self.before[address].clone().unwrap();
                // A probe that waits for the lock comes behind nothing that could undo it.
                let stubborn = driver.as_deref() == Some(STUB) && !stub_was_probed;
                if stubborn || (value != before && driver.as_deref() != Some(TARGET)) {
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
                    && !stub_was_probed
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

/// Every call of a run, with every fault that `faults` has for it.
fn every_call(
    case: Case,
    on_fail: OnFail,
    faults: &dyn Fn(usize) -> Vec<Fault>,
    found: &mut Vec<String>,
) -> usize {
    let clean = perform(case, on_fail, 0, Fault::Nothing);
    found.extend(clean.violations);
    let exit = if case.succeeds {
        EXIT_DONE
    } else {
        EXIT_NOT_BOUND
    };
    assert_eq!(clean.exit, exit, "{}, {on_fail:?}", case.name);
    let mut runs = 1;
    // Up to the fault a run is the clean one: its calls are all that can be hit.
    for (at, (kind, path)) in clean.calls.iter().enumerate() {
        let kind = *kind;
        for fault in faults(count(kind, path)) {
            // That a driver's link is not there now is no lie; for ever it would be.
            let lie = Fault::RefusedForGood(answers(kind, path).len().saturating_sub(1));
            if kind == Kind::Link && path.ends_with("/driver") && fault == lie {
                continue;
            }
            let late = matches!(fault, Fault::Late(_));
            if (late && !matches!(kind, Kind::WriteWithin | Kind::Load))
                || (fault == Fault::Stuck && !matches!(kind, Kind::ReadWithin | Kind::WriteWithin))
            {
                continue;
            }
            let run = perform(case, on_fail, at, fault);
            found.extend(run.violations);
            runs += 1;
            let most = clean.calls.len() * 2 + 40;
            if run.calls.len() > most {
                found.push(format!(
                    "{}: {fault:?} at {at}: {} calls",
                    case.name,
                    run.calls.len()
                ));
            }
        }
    }
    runs
}

fn all_hold(faults: &dyn Fn(usize) -> Vec<Fault>) {
    hold_in(CASES, &[OnFail::Native, OnFail::Hold], faults);
}

fn hold_in(cases: &[Case], ends: &[OnFail], faults: &dyn Fn(usize) -> Vec<Fault>) {
    let mut found = Vec::new();
    let mut runs = 0;
    for case in cases {
        for on_fail in ends {
            runs += every_call(*case, *on_fail, faults, &mut found);
        }
    }
    println!("{runs} runs");
    let shown = found.iter().take(40).cloned().collect::<Vec<_>>();
    assert!(
        found.is_empty(),
        "{} of {runs} runs:\n{}",
        found.len(),
        shown.join("\n")
    );
}

#[test]
fn a_call_that_is_refused_once() {
    all_hold(&|count| (0..count).map(Fault::Refused).collect());
}

#[test]
fn a_call_that_is_refused_for_good() {
    // Every other answer: once or for good, few of them make a difference.
    all_hold(&|count| (1..count).step_by(2).map(Fault::RefusedForGood).collect());
}

#[test]
fn a_write_that_says_it_failed_and_did_not() {
    all_hold(&|count| (0..count).map(Fault::Late).collect());
}

#[test]
fn a_driver_that_never_comes_back() {
    all_hold(&|_| vec![Fault::Stuck]);
}

#[test]
fn a_run_whose_time_is_over_at_any_call() {
    all_hold(&|_| vec![Fault::NoTime]);
    all_hold_ungrouped(&|_| vec![Fault::NoTime]);
}

#[test]
fn a_machine_that_changes_at_any_call() {
    all_hold(&|_| {
        vec![
            Fault::Vanish(GPU),
            Fault::Vanish(AUDIO),
            Fault::NativeDrivers,
            Fault::Appear(None),
            Fault::Appear(Some("xhci_hcd")),
        ]
    });
}

/// What goes wrong before there are groups, and behind that.
fn all_hold_ungrouped(faults: &dyn Fn(usize) -> Vec<Fault>) {
    hold_in(UNGROUPED, &[OnFail::Native], faults);
}

#[test]
fn a_call_that_is_refused_before_there_are_groups() {
    all_hold_ungrouped(&|count| {
        let once = (0..count).step_by(4).map(Fault::Refused);
        let for_good = (1..count).step_by(5).map(Fault::RefusedForGood);
        let late = (0..count).step_by(4).map(Fault::Late);
        once.chain(for_good).chain(late).collect()
    });
}

#[test]
fn a_machine_that_changes_or_hangs_before_there_are_groups() {
    all_hold_ungrouped(&|_| {
        vec![
            Fault::Stuck,
            Fault::Vanish(GPU),
            Fault::Vanish(AUDIO),
            Fault::Vanish(NEIGHBOUR),
            Fault::NativeDrivers,
            Fault::Appear(None),
        ]
    });
}

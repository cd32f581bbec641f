//! The system that is looked at: its files, what its owner asks for, and what could not be read.

use std::cell::OnceCell;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::{Decision, Why};
use vfio_bind_agent::policy::problem::Severity;
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::run::{self, Extent};
use vfio_bind_agent::text::cmdline::parameters;

use crate::inventory;
use crate::preview::known::{self, Informed, Known};
use crate::storage::ask;
use crate::storage::protected::Scope;
use crate::usage::{self, Usage};

use super::finding::Unread;

/// A system below a root directory.
pub struct System<'r> {
    /// The directory.
    pub root: &'r Path,
    /// The same as the agent's library reads it.
    pub tree: Tree,
    /// Its kernel command line, where that can be read.
    pub line: Option<String>,
    /// Every function, by address.
    pub functions: Vec<Function>,
    /// The functions that are looked at one by one.
    pub chosen: Vec<Address>,
    /// What is asked for, and what is wrong with it.
    pub asked: Asked,
    usage: OnceCell<Usage>,
}

/// What the owner asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether anything is.
    pub anything: bool,
    /// What would be bound.
    pub bound: Vec<Address>,
    /// What would not, and why.
    pub refused: Vec<String>,
    /// Mistakes that make a word have no effect.
    pub errors: Vec<String>,
    /// What may not be meant.
    pub warnings: Vec<String>,
}

/// What the CPU is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// A PC with Intel's.
    Intel,
    /// A PC with AMD's or Hygon's.
    Amd,
    /// Arm.
    Arm,
    /// IBM Z.
    S390,
    /// Another one, or unknown.
    Other,
}

impl<'r> System<'r> {
    /// Looks at the system at `root`: at what its policy asks for, or at `devices`, each written as a selector.
    ///
    /// # Errors
    /// Where `root` is no directory, or a device is none of this machine or not understood.
    pub fn at(root: &'r Path, tree: Tree, devices: &[String]) -> Result<Self> {
        let mut system = Self {
            root,
            tree,
            line: None,
            functions: Vec::new(),
            chosen: Vec::new(),
            asked: Asked::default(),
            usage: OnceCell::new(),
        };
        system.line = system.text("proc/cmdline").ok().flatten();
        let line = system.line.clone().unwrap_or_default();
        let known = known::gather_or_less(root, Scope::Boot)?;
        let informed = Informed {
            tree: &system.tree,
            known: &known,
        };
        let mut asked = Asked::default();
        let mut chosen = Vec::new();
        run::rehearse(&informed, line.as_bytes(), Extent::Whole, &mut |record| {
            asked.anything = record.policy.asks();
            for problem in &record.policy.problems {
                match problem.severity() {
                    Severity::Error => asked.errors.push(problem.to_string()),
                    _ => asked.warnings.push(problem.to_string()),
                }
            }
            for step in &record.plan.steps {
                let Some(function) = record.inventory.get(step.function) else {
                    continue;
                };
                if !matches!(step.decision, Decision::Leave(_)) {
                    chosen.push(function.address);
                }
                match step.decision {
                    Decision::Bind => asked.bound.push(function.address),
                    Decision::Refuse(refusal) => asked
                        .refused
                        .push(format!("{} is refused: {refusal}", function.address)),
                    Decision::Leave(_) => {}
                }
            }
            for unmatched in unmatched(record.policy, record.inventory, record.plan) {
                if unmatched.selector.source != Source::KernelIds {
                    asked.refused.push(unmatched.to_string());
                }
            }
            record.exit()
        });
        (system.functions, system.asked) = (inventory::functions(&system.tree)?, asked);
        system.chosen = match devices {
            [] => chosen,
            devices => system.find(devices)?,
        };
        Ok(system)
    }

    /// The functions that selectors mean, as the agent reads them.
    fn find(&self, devices: &[String]) -> Result<Vec<Address>> {
        // Without the policy of the system, which may ask for others.
        let known = Known::default();
        let informed = Informed {
            tree: &self.tree,
            known: &known,
        };
        let mut found = Vec::new();
        for device in devices {
            if device.is_empty() || device.starts_with('!') || device.contains(char::is_whitespace)
            {
                bail!("`{device}` is no device: write an address such as 42:00.0, a path or an ID");
            }
            let line = format!("vfio.group=listed vfio.force vfio.bind={device}");
            let mut matched = Vec::new();
            let mut wrong = None;
            run::rehearse(&informed, line.as_bytes(), Extent::Whole, &mut |record| {
                for step in &record.plan.steps {
                    let Why::Selected(at) = step.why else {
                        continue;
                    };
                    let selector = record.policy.selectors.get(usize::from(at));
                    let function = record.inventory.get(step.function);
                    if selector.is_some_and(|one| one.source == Source::Bind) {
                        matched.extend(function.map(|function| function.address));
                    }
                }
                let errors = record.policy.problems.iter();
                let mut errors = errors.filter(|one| one.severity() == Severity::Error);
                wrong = errors.next().map(ToString::to_string);
                record.exit()
            });
            match (matched.is_empty(), wrong) {
                (_, Some(wrong)) => bail!("`{device}`: {wrong}"),
                (true, None) => bail!(
                    "`{device}` matches no function of this machine; ls /sys/bus/pci/devices shows them"
                ),
                (false, None) => found.extend(matched),
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// A path below the root.
    #[must_use]
    pub fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Whether something is there.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.place(path)).is_ok()
    }

    /// What a file says, without white space at its end; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn text(&self, path: &str) -> Result<Option<String>, Unread> {
        let bytes = self.bytes(path)?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
        Ok(text)
    }

    /// The bytes of a file; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Unread> {
        match fs::read(self.place(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(unread(path, &error)),
        }
    }

    /// The names in a directory, in order; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn names(&self, path: &str) -> Result<Option<Vec<String>>, Unread> {
        let entries = match fs::read_dir(self.place(path)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(unread(path, &error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(Some(names))
    }

    /// An attribute of a function; `None` where it has none.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn attribute(&self, function: Address, name: &str) -> Result<Option<String>, Unread> {
        self.text(attribute(function, name).as_str())
    }

    /// A function of the machine.
    #[must_use]
    pub fn function(&self, address: Address) -> Option<&Function> {
        self.functions
            .iter()
            .find(|function| function.address == address)
    }

    /// The last value of a parameter of the kernel command line; `Some("")` where it has none.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let line = self.line.as_deref()?;
        let all = parameters(line.as_bytes()).filter(|one| one.is(name) && !one.after_dashes);
        let last = all.last()?;
        Some(String::from_utf8_lossy(last.value.unwrap_or_default()).into_owned())
    }

    /// The release of the kernel that runs.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn release(&self) -> Result<Option<String>, Unread> {
        self.text("proc/sys/kernel/osrelease")
    }

    /// Who uses the functions that are looked at; all processes are gone through once.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        self.usage
            .get_or_init(|| usage::of(self.root, ask::of(self.root), &self.chosen))
    }

    /// What the CPU is.
    #[must_use]
    pub fn cpu(&self) -> Cpu {
        let text = self.text("proc/cpuinfo").ok().flatten().unwrap_or_default();
        let has = |word: &str| text.contains(word);
        match () {
            () if has("CPU implementer") => Cpu::Arm,
            () if has("IBM/S390") => Cpu::S390,
            () if has("GenuineIntel") => Cpu::Intel,
            () if has("AuthenticAMD") || has("HygonGenuine") => Cpu::Amd,
            () => Cpu::Other,
        }
    }

    /// Whether this is the system that runs here, which has programs.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
    )
}

fn unread(path: &str, error: &io::Error) -> Unread {
    Unread {
        path: path.to_owned(),
        answer: error.to_string(),
        denied: error.kind() == ErrorKind::PermissionDenied,
    }
}

//! A run of the agent, by what it took and what it said.

use crate::schema::{faults, written};
use crate::snapshots::leveled;
use crate::support::{FakeMachine, bound};
use log::Level;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::focus::Focus;
use vfio_bind_agent::record::{Record, lines, rules};
use vfio_bind_agent::run;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Taken {
    pub bound: Vec<String>,
    pub exit: u8,
    /// The rules that it leaves for udev, and whether it leaves no record.
    pub rules: String,
    pub is_no_news: bool,
    /// What it said, a line for each message.
    pub messages: String,
    /// What is wrong with its report.
    pub faults: Vec<String>,
    /// Its warnings and its errors, without line ends.
    pub warnings: Vec<String>,
    pub errors: Vec<String>,
}

impl Taken {
    pub fn says(&self, piece: &str) -> bool {
        self.messages.contains(piece)
    }
}

/// Runs the agent on a machine.
pub fn take(machine: &FakeMachine, line: &str) -> Taken {
    told(|then| run::perform(machine, line.as_bytes(), &|| 0, then))
}

/// Plans only.
pub fn plan(machine: &FakeMachine, line: &str) -> Taken {
    told(|then| run::rehearse(machine, line.as_bytes(), run::Extent::Whole, then))
}

/// Runs it for one function that has come, as in the real root or as in an image.
pub fn follow(machine: &FakeMachine, line: &str, address: &str, knows_use: bool) -> Taken {
    let function = Address::parse(address.as_bytes()).unwrap();
    let focus = Focus {
        function,
        knows_use,
    };
    told(|then| run::follow(machine, line.as_bytes(), focus, &|| 0, then))
}

fn told(run: impl FnOnce(&mut dyn FnMut(&Record<'_>) -> u8) -> u8) -> Taken {
    let mut taken = Taken::default();
    let said = leveled(|| {
        taken.exit = run(&mut |record| {
            taken.bound = bound(record);
            taken.faults = faults(&written(record));
            taken.rules = String::new();
            if rules::are_wanted(record) {
                rules::write(record, &mut taken.rules).unwrap();
            }
            taken.is_no_news = record.is_no_news();
            if !taken.is_no_news {
                lines::tell(record);
            }
            record.exit()
        });
    });
    for (level, text) in said {
        taken.messages.push_str(&text);
        match level {
            Level::Error => taken.errors.push(text.trim_end().to_owned()),
            Level::Warn => taken.warnings.push(text.trim_end().to_owned()),
            _ => {}
        }
    }
    taken
}

/// Asserts that a refused run wrote nothing; where vfio-pci has IDs of the kernel's own parameter, it is
/// loaded without them, so that nobody loads it later with what was refused.
#[track_caller]
pub fn expect_untouched(machine: &FakeMachine, line: &str) {
    let expected: &[&str] = match line.contains("vfio_pci.ids=") {
        true => &["modprobe vfio-pci ids="],
        false => &[],
    };
    assert_eq!(machine.take_events(), expected, "{line}");
}

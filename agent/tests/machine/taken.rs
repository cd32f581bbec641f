//! A run of the agent, by what it took and what it said.

use crate::snapshots::leveled;
use crate::support::{FakeMachine, bound};
use log::Level;
use vfio_bind_agent::record::lines;
use vfio_bind_agent::run;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Taken {
    pub bound: Vec<String>,
    pub exit: u8,
    /// What it said, a line for each message.
    pub messages: String,
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
    let mut taken = Taken::default();
    let said = leveled(|| {
        taken.exit = run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
            taken.bound = bound(record);
            lines::tell(record);
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

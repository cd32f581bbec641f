//! A machine with a GPU, its audio function and a disk, and a run on it.

use crate::support::{Card, FakeMachine, address};
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::record::State;
use vfio_bind_agent::run;

pub(crate) const GPU: &str = "0000:42:00.0";
pub(crate) const AUDIO: &str = "0000:42:00.1";
pub(crate) const DISK: &str = "0000:01:00.0";

/// A GPU with its audio function in group 15, behind a bridge, and a disk in a group of its own.
pub(crate) fn cards() -> Vec<Card> {
    vec![
        Card::new("0000:41:00.0", 0x1b36, 0x000c, 0x06_0400, 15)
            .on("pcieport")
            .bridge(),
        Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 15),
        Card::new(AUDIO, 0x8086, 0x2668, 0x04_0300, 15),
        Card::new(DISK, 0x1b36, 0x0010, 0x01_0802, 3).on("nvme"),
    ]
}

pub(crate) fn native_cards() -> Vec<Card> {
    cards()
        .into_iter()
        .map(|card| match card.address.as_str() {
            GPU => card.on("bochs-drm"),
            AUDIO => card.on("snd_hda_intel"),
            _ => card,
        })
        .collect()
}

/// What a run left behind, besides the machine itself.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) exit: u8,
    pub(crate) state: State,
    fates: Vec<(String, Fate)>,
    pub(crate) reasons: Vec<String>,
    pub(crate) viable: Vec<Option<bool>>,
    pub(crate) newcomers: Vec<String>,
}

impl Result {
    pub(crate) fn fate(&self, address: &str) -> Option<Fate> {
        let found = self.fates.iter().find(|(other, _)| other == address);
        found.map(|(_, fate)| *fate)
    }
}

pub(crate) fn run(machine: &FakeMachine, line: &str) -> Result {
    let mut result = None;
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| {
        let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
        result = Some(Result {
            exit: record.exit(),
            state: record.state,
            fates: steps
                .map(|(step, outcome)| (address(record, step), outcome.fate))
                .collect(),
            reasons: record
                .outcomes
                .steps
                .iter()
                .filter_map(|outcome| {
                    outcome
                        .failure
                        .map(|failure| failure.told("vfio-pci").to_string())
                })
                .collect(),
            viable: record
                .outcomes
                .groups
                .iter()
                .map(|group| group.viable)
                .collect(),
            newcomers: record
                .outcomes
                .groups
                .iter()
                .filter_map(|group| Some(group.newcomer?.to_string()))
                .collect(),
        });
        record.exit()
    });
    result.unwrap()
}

pub(crate) fn overrides(machine: &FakeMachine) -> [String; 3] {
    [GPU, AUDIO, DISK].map(|address| machine.driver_override(address))
}

pub(crate) fn drivers(machine: &FakeMachine) -> [Option<String>; 3] {
    [GPU, AUDIO, DISK].map(|address| machine.driver(address))
}

pub(crate) fn on(names: [&str; 3]) -> [Option<String>; 3] {
    names.map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()))
}

//! What a machine left, and what its guest saw.

use crate::function::Snapshot;
use crate::protocol::{
    AgentRun, Changed, IdsCase, Inherited, Loaded, Memory, Ran, Seen, Used, Verdict,
};

/// What is left of a machine that has ended.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Everything on its console.
    pub console: String,
    /// QEMU's exit status, where it exited.
    pub exit: Option<i32>,
    /// The limit in seconds, where it was ended for running too long.
    pub over_time: Option<u64>,
    /// Why it was ended, where what its guest asked for could not be done to it.
    pub refused: Option<String>,
}

/// A guest's records, by kind.
#[derive(Default)]
pub(super) struct Records {
    /// That of each kernel that booted.
    pub(super) releases: Vec<String>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) memory: Vec<Memory>,
    pub(super) runs: Vec<AgentRun>,
    pub(super) loaded: Vec<Loaded>,
    pub(super) inherited: Vec<Inherited>,
    pub(super) found: Vec<String>,
    pub(super) ran: Vec<Ran>,
    pub(super) changed: Vec<Changed>,
    pub(super) used: Vec<Used>,
    pub(super) ids: Vec<IdsCase>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Records {
    pub(super) fn sort(records: Vec<Seen>) -> Self {
        let mut sorted = Self::default();
        for record in records {
            match record {
                Seen::Booted(release) => sorted.releases.push(release),
                Seen::Loaded(loaded) => sorted.loaded.push(loaded),
                Seen::Snapshot(snapshot) => sorted.snapshots.push(snapshot),
                Seen::Memory(memory) => sorted.memory.push(memory),
                Seen::AgentRun(run) => sorted.runs.push(run),
                Seen::Inherited(inherited) => sorted.inherited.push(inherited),
                Seen::Found(found) => sorted.found.extend(found),
                Seen::Ran(ran) => sorted.ran.push(ran),
                Seen::Changed(changed) => sorted.changed.push(changed),
                Seen::Used(used) => sorted.used.push(used),
                Seen::IdsCase(case) => sorted.ids.push(case),
                Seen::Verdict(verdict) => sorted.verdicts.push(verdict),
                // No scenario measures.
                Seen::Measured(_) => {}
            }
        }
        sorted
    }

    /// The last kernel that booted; empty where none came so far.
    pub(super) fn release(&self) -> String {
        self.releases.last().cloned().unwrap_or_default()
    }

    pub(super) fn snapshot(&self, label: &str) -> Option<&Snapshot> {
        self.snapshots
            .iter()
            .find(|snapshot| snapshot.label == label)
    }
}

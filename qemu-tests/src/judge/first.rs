//! Whether the agent, as the first process, has said what it must and left nothing running.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::scenario::Scenario;

pub(super) fn judge(scenario: &Scenario, records: &Records, failures: &mut Failures) {
    let Some(piece) = scenario.said_first else {
        return;
    };
    let [inherited] = &records.inherited[..] else {
        return failures.add(
            "what the first process left",
            "once",
            records.inherited.len(),
        );
    };
    let actual = list(&inherited.agents);
    failures.equal("agents that still run", list::<&str>(&[]), actual);
    if !inherited.log.iter().any(|line| line.contains(piece)) {
        failures.add("its log", format_args!("`{piece}`"), list(&inherited.log));
    }
}

//! Random sequences of what happens to a machine that runs: functions come and go, drivers too, and the agent
//! is run in between, by a random policy. After each run [`rules`] must hold, whatever was before.
//!
//! `VFIO_BIND_CASES=100000 cargo test -p vfio-bind-agent --test machine sequences` tries more of them.

mod rules;
mod world;

use proptest::prelude::*;
use world::{Happening, beginning, happenings};

use crate::random::drafted;

/// How many sequences are tried.
fn cases() -> u32 {
    std::env::var("VFIO_BIND_CASES").map_or(1000, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn whatever_happens_between_runs_each_keeps_the_rules(
        beginning in beginning(),
        policy in drafted(),
        happenings in happenings(),
    ) {
        let mut world = beginning.world(&policy);
        for (at, happening) in happenings.iter().chain([&Happening::Run]).enumerate() {
            if let Err(broken) = world.see(happening) {
                let line = world.line();
                return Err(TestCaseError::fail(format!(
                    "`{line}`, {happening:?} at {at} of {happenings:?}, {:?}: {broken}\n{}",
                    world.files(),
                    world.history(),
                )));
            }
        }
    }
}

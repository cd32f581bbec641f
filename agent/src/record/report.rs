//! The record as JSON, for tools and for the running system.
//!
//! vfio-bind-agent(8) tells its readers what each field means, docs/report.schema.json what it may be.

use core::fmt;

use crate::bind::outcome::{Outcome, Unasked};
use crate::bind::sriov::Made;
use crate::machine::Root;
use crate::machine::inventory::{Function, Inventory, Unseen};
use crate::machine::sysfs::{Path, path};
use crate::pci::address::Address;
use crate::plan::decision::{Decision, Step, Why};
use crate::policy::Policy;
use crate::policy::nearest::nearest;
use crate::policy::problem::Severity;
use crate::policy::selector::Selector;
use crate::record::Record;
use crate::record::journal::{self, Journal};
use crate::text::errno::Answer;
use crate::text::json::Json;
use crate::text::output::Output;
use crate::text::{Bounded, Dec, Hex, Plain, Text, clip, contains};

/// The version of the form below; it changes when a reader of an older one would go wrong.
pub const SCHEMA: u64 = 1;

/// Where the report is kept, below the root.
pub const DIRECTORY: &str = "run/vfio-bind";
/// The report's name in that directory.
pub const FILE: &str = "report.json";

/// Where the run of this number since the boot has its report, below the root.
#[must_use]
pub fn directory_of_run(number: u32) -> Path {
    path(format_args!(
        "{}/run-{}",
        Plain(DIRECTORY),
        Dec(number.into())
    ))
}
/// How many runs of one boot have a report each.
pub const MOST_RUNS: u32 = 1000;
/// What a run behind the first holds, below the root: one looks and acts at a time.
pub const LOCK: &str = "run/vfio-bind/lock";

/// Whether the report of this boot's first run speaks of a function.
#[must_use]
pub fn has_decided(root: &dyn Root, address: Address) -> bool {
    let wanted: Bounded<32> = clip(format_args!("\"address\":\"{address}\""));
    let mut buffer = [0; 1024];
    let mut offset = 0;
    loop {
        let file = path(format_args!("{}/{}", Plain(DIRECTORY), Plain(FILE)));
        let Ok(piece) = root.read_at(&file, offset, &mut buffer) else {
            return false;
        };
        if contains(piece, wanted.as_bytes()) {
            return true;
        }
        // What is cut in two is whole in the next piece.
        let step = piece.len().saturating_sub(wanted.len());
        if piece.len() < 1024 || step == 0 {
            return false;
        }
        offset = offset.saturating_add(step as u32);
    }
}

/// Writes the whole report.
///
/// It asks the machine nothing: `kernel` is the release that runs, `journal` what was said.
pub fn write(record: &Record<'_>, kernel: &[u8], journal: &Journal, output: &mut Output<'_>) {
    let mut json = Json::new(output);
    json.open(b'{');
    json.number("schema", SCHEMA);
    json.text("agent", &Plain(env!("CARGO_PKG_VERSION")));
    json.text("kernel", &Text(kernel));
    json.text("state", &record.state);
    json.key("iommu");
    json.open(b'{');
    json.text("kind", &record.iommu);
    json.number("groups", record.groups.into());
    json.optional("advice", shown(&record.advice));
    json.close(b'}');
    write_policy(record.policy, record.inventory, &mut json);
    json.key("functions");
    write_functions(record, &mut json);
    json.key("groups");
    write_groups(record, &mut json);
    json.key("virtual_functions");
    json.open(b'[');
    for made in &record.outcomes.made {
        let Made {
            address,
            asked,
            there,
            stage,
            ..
        } = made;
        let (asked, there) = (Dec((*asked).into()), Dec((*there).into()));
        json.element(&format_args!("{address} {asked} {there} {}", stage.word()));
    }
    json.close(b']');
    json.key("unasked");
    json.open(b'[');
    for unasked in &record.outcomes.unasked {
        let Unasked {
            address,
            driver,
            fate,
            ..
        } = unasked;
        json.element(&format_args!("{address} {driver} {fate}"));
    }
    json.close(b']');
    match record.inventory.listed {
        Some(count) => json.count("functions_seen", count),
        None => json.optional("functions_seen", None),
    }
    json.count("functions_beyond_limit", record.inventory.beyond_limit);
    json.count("functions_unreadable", record.inventory.unreadable);
    json.count("groups_beyond_limit", record.outcomes.more_groups);
    json.count("blockers_beyond_limit", record.outcomes.more_blockers);
    write_messages(journal, &mut json);
    json.number("exit", record.exit().into());
    json.number("elapsed_us", record.elapsed_us);
    json.close(b'}');
    json.finish();
}

fn write_policy(policy: &Policy<'_>, inventory: &Inventory, json: &mut Json<'_, '_>) {
    json.key("policy");
    json.open(b'{');
    let driver = if policy.auto { "auto" } else { &policy.driver };
    json.text("driver", &Plain(driver));
    json.text("group", &policy.group);
    json.text("onfail", &policy.on_failure);
    json.truth("dry_run", policy.dry_run);
    json.truth("listed", policy.listed);
    json.key("selectors");
    json.open(b'[');
    for selector in &policy.selectors {
        json.next();
        write_selector(selector, inventory, json);
    }
    json.close(b']');
    for (key, severity) in &[("errors", Severity::Error), ("warnings", Severity::Warning)] {
        json.key(key);
        json.open(b'[');
        for problem in policy.problems.iter().filter(|p| p.severity() == *severity) {
            json.element(problem);
        }
        json.close(b']');
    }
    json.count("problems_beyond_limit", policy.more_problems);
    json.close(b'}');
}

fn write_selector(selector: &Selector<'_>, inventory: &Inventory, json: &mut Json<'_, '_>) {
    json.open(b'{');
    json.text("text", &Text(selector.text));
    json.text("source", &selector.source);
    json.truth("excludes", selector.excludes);
    json.key("matches");
    json.open(b'[');
    let mut matches = false;
    for function in inventory.functions() {
        if selector.matches(function) {
            matches = true;
            json.element(&function.address);
        }
    }
    json.close(b']');
    let near = if matches {
        None
    } else {
        nearest(selector, inventory)
    };
    json.optional("nearest", shown(&near.map(|near| near.address)));
    json.close(b'}');
}

fn write_functions(record: &Record<'_>, json: &mut Json<'_, '_>) {
    json.open(b'[');
    for (step, outcome) in record.plan.steps.iter().zip(&record.outcomes.steps) {
        let Some(function) = record.inventory.get(step.function) else {
            continue;
        };
        json.next();
        write_function(record, (step, outcome, function), json);
    }
    json.close(b']');
}

fn write_function(
    record: &Record<'_>,
    (step, outcome, function): (&Step, &Outcome, &Function),
    json: &mut Json<'_, '_>,
) {
    let Function {
        address,
        id,
        group,
        driver,
        way,
        ..
    } = function;
    let role = match step.why {
        Why::Selected(_) => Plain("selected"),
        Why::Sibling(_) => Plain("sibling"),
    };
    json.open(b'{');
    json.text("address", address);
    json.optional("path", shown(way));
    json.text("vendor", &Hex(id.vendor, 4));
    json.text("device", &Hex(id.device, 4));
    json.text("subvendor", &Hex(id.subvendor, 4));
    json.text("subdevice", &Hex(id.subdevice, 4));
    json.text("class", &Hex(id.class, 6));
    match group {
        Some(group) => json.number("group", (*group).into()),
        None => json.optional("group", None),
    }
    json.text("role", &role);
    json.text("why", &step.reason(record.policy));
    json.optional("driver_before", shown(driver));
    json.optional("driver_now", shown(&outcome.driver));
    json.text("outcome", &outcome.fate);
    match (&outcome.failure, &step.decision) {
        (Some(failure), _) => json.text("reason", &failure.told(record.driver(step))),
        (None, Decision::Refuse(refusal)) => json.text("reason", refusal),
        (None, Decision::Leave(leave)) => {
            json.text("reason", &leave.told(outcome.driver.as_deref()))
        }
        (None, Decision::Bind) => json.text("reason", &Plain("")),
    }
    json.key("set");
    json.open(b'[');
    let all = record.outcomes.prepared.iter();
    for one in all.filter(|one| one.address == *address) {
        json.next();
        json.open(b'{');
        json.text("name", &one.attribute);
        json.text("before", &one.attribute.show(&one.before));
        json.text("now", &one.attribute.show(&one.now));
        json.close(b'}');
    }
    json.close(b']');
    json.close(b'}');
}

/// What is there, as something that can be shown.
fn shown<T: fmt::Display>(thing: &Option<T>) -> Option<&dyn fmt::Display> {
    thing.as_ref().map(|thing| thing as &dyn fmt::Display)
}

fn write_groups(record: &Record<'_>, json: &mut Json<'_, '_>) {
    json.open(b'[');
    for status in &record.outcomes.groups {
        json.next();
        json.open(b'{');
        json.number("group", status.group.into());
        match status.viable {
            Some(viable) => json.truth("viable", viable),
            None => json.optional("viable", None),
        }
        let came_late = |address: &Address| record.inventory.unseen(*address) == Unseen::Late;
        json.optional("unanswered", shown(&status.unanswered.map(Answer)));
        json.optional("late", shown(&status.newcomer.filter(came_late)));
        json.optional("unseen", shown(&status.newcomer.filter(|a| !came_late(a))));
        json.key("blockers");
        json.open(b'[');
        let all = record.outcomes.blockers.iter();
        for blocker in all.filter(|blocker| blocker.group == status.group) {
            json.element(&format_args!("{} {}", blocker.address, blocker.driver));
        }
        json.close(b']');
        json.close(b'}');
    }
    json.close(b']');
}

fn write_messages(journal: &Journal, json: &mut Json<'_, '_>) {
    json.key("messages");
    json.open(b'[');
    for message in journal.messages() {
        let about = (!message.about.is_empty()).then_some(Text(message.about));
        json.next();
        json.open(b'{');
        json.text("level", &journal::word(message.level));
        json.optional("about", shown(&about));
        json.text("text", &Text(message.text));
        json.close(b'}');
    }
    json.close(b']');
    json.count("messages_beyond_limit", journal.more());
}

//! Prometheus: a file for node_exporter's textfile collector, from the records and the live machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vfio_bind_report::{Fate, Function};

use crate::device::chosen::Found;
use crate::records::Run;

/// What was asked for of a function, and what it is on now.
struct Asked<'r> {
    function: &'r Function,
    driver: Option<&'r str>,
    lent: bool,
}

/// The metrics of all that was asked for since the boot; of the chosen functions alone where some were named.
#[must_use]
pub fn export(runs: &[Run], machine: &[Found]) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = writeln!(
        text,
        "# HELP vfio_bind_function_bound Whether a function that was asked for is on a vfio driver.\n\
         # TYPE vfio_bind_function_bound gauge"
    );
    for asked in asked(runs, machine) {
        let Function {
            address,
            vendor,
            device,
            ..
        } = asked.function;
        let driver = escaped(asked.driver.unwrap_or_default());
        let _ = writeln!(
            text,
            "vfio_bind_function_bound{{address=\"{}\",id=\"{}:{}\",driver=\"{driver}\"}} {}",
            escaped(address),
            escaped(vendor),
            escaped(device),
            u8::from(asked.lent)
        );
    }
    let each = |text: &mut String, name: &str, help: &str, value: &dyn Fn(&Run) -> String| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for run in runs {
            let _ = writeln!(text, "{name}{{run=\"{}\"{}", escaped(&run.name), value(run));
        }
    };
    each(
        &mut text,
        "vfio_bind_run_state",
        "1, with the state in which a run since the boot ended.",
        &|run| format!(",state=\"{}\"}} 1", escaped(&run.report.state)),
    );
    each(
        &mut text,
        "vfio_bind_run_exit_status",
        "The exit status of a run since the boot: 0 done, 1 a function is not bound, 2 a mistake in the policy.",
        &|run| format!("}} {}", run.report.exit),
    );
    each(
        &mut text,
        "vfio_bind_run_duration_seconds",
        "How long a run took.",
        &|run| {
            let us = run.report.elapsed_us;
            format!("}} {}.{:06}", us / 1_000_000, us % 1_000_000)
        },
    );
    text
}

/// How many of the functions that were asked for are not on a vfio driver.
#[must_use]
pub fn missing(runs: &[Run], machine: &[Found]) -> usize {
    asked(runs, machine).iter().filter(|one| !one.lent).count()
}

fn asked<'r>(runs: &'r [Run], machine: &'r [Found]) -> Vec<Asked<'r>> {
    let mut functions = BTreeMap::new();
    for function in runs.iter().flat_map(|run| &run.report.functions) {
        // A system function that stays was not asked for.
        if function.outcome != Fate::Left {
            functions.insert(function.address.as_str(), function);
        }
    }
    let named = machine.iter().any(|one| one.chosen);
    let mut all = Vec::new();
    for (address, function) in functions {
        let now = machine
            .iter()
            .find(|one| one.address.to_string() == address);
        if named && !now.is_some_and(|now| now.chosen) {
            continue;
        }
        all.push(Asked {
            function,
            driver: now.and_then(|now| now.driver.as_deref()),
            lent: now.is_some_and(Found::is_lent),
        });
    }
    all
}

/// The value of a label (the text format's rules).
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

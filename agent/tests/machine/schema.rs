//! Every report is as docs/report.schema.json says, and the crate for other programs reads all of it.

use std::fs::{self, File};
use std::os::fd::AsFd;

use crate::agreement::{case, compared_cases, with_case};
use crate::snapshots::{begin_journal, with_journal};
use jsonschema::{Validator, validator_for};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use vfio_bind_agent::record::{Record, lines, report};
use vfio_bind_agent::run;
use vfio_bind_agent::text::output::Output;
use vfio_bind_report::Report;

thread_local! {
    static SCHEMA: Validator = {
        let text = include_str!("../../../docs/report.schema.json");
        validator_for(&serde_json::from_str(text).unwrap()).unwrap()
    };
}

/// What is wrong with a report.
pub fn faults(report: &Value) -> Vec<String> {
    let mut faults: Vec<_> = SCHEMA.with(|schema| {
        let errors = schema.iter_errors(report);
        errors
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect()
    });
    match Report::parse(&report.to_string()) {
        Err(error) => faults.push(error.to_string()),
        Ok(read) if serde_json::to_value(&read).unwrap() != *report => {
            faults.push("it is not read whole".to_owned());
        }
        Ok(_) => {}
    }
    faults
}

/// The report of a run.
pub fn written(record: &Record<'_>) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    let to = File::create(file.path()).unwrap();
    let mut output = Output::new(to.as_fd());
    with_journal(&mut |journal| report::write(record, b"6.1.0-test", journal, &mut output));
    output.finish().unwrap();
    serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap()
}

#[test]
fn reports_of_random_policies_are_as_the_schema_says() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(compared_cases() / 8));
    let ran = runner.run(&case(), |case| {
        with_case(case, |image, policy| {
            let mut found = Vec::new();
            for extent in [run::Extent::Needed, run::Extent::Whole] {
                begin_journal();
                run::rehearse(image, policy.line().as_bytes(), extent, &mut |record| {
                    lines::tell(record);
                    found.extend(faults(&written(record)));
                    record.exit()
                });
            }
            match found.is_empty() {
                true => Ok(()),
                false => Err(format!("`{}`: {found:#?}", policy.line())),
            }
        })
    });
    ran.unwrap();
}

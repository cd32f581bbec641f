//! The record as JSON, read back as a stranger would.

use std::cell::RefCell;
use std::fs;

use crate::snapshots::{begin_journal, messages, with_journal};
use crate::support::{Card, FakeMachine, Trouble};
use serde_json::{Value, json};
use vfio_bind_agent::record::{Record, lines, report};
use vfio_bind_agent::run;

fn machine() -> FakeMachine {
    FakeMachine::new(&[
        Card::new("0000:00:1f.4", 0x8086, 0x2930, 0x0c_0500, 15).on("i801_smbus"),
        Card::new("0000:42:00.0", 0x1234, 0x1111, 0x03_0000, 15),
        Card::new("0000:42:00.1", 0x8086, 0x2668, 0x04_0300, 15).on("snd_hda_intel"),
    ])
}

fn report(machine: &FakeMachine, line: &[u8]) -> Value {
    report_after(machine, line, &|_| {})
}

/// The report of a run, written when `then` is done.
fn report_after(machine: &FakeMachine, line: &[u8], then: &dyn Fn(&Record<'_>)) -> Value {
    begin_journal();
    run::perform(machine, line, &|| 1234, &mut |record| {
        then(record);
        let tree = crate::support::open(machine.root());
        let written = tree.replace(report::DIRECTORY, report::FILE, &|output| {
            with_journal(&mut |journal| report::write(record, b"6.1.0-test", journal, output));
        });
        written.unwrap();
        record.exit()
    });
    let text = fs::read_to_string(machine.path("run/vfio-bind/report.json")).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(crate::schema::faults(&report), [""; 0]);
    report
}

#[test]
fn everything_that_was_done_is_in_it() {
    let trouble = Trouble {
        not_viable: vec![15],
        ..Trouble::default()
    };
    let machine = machine().with(trouble);
    let line = b"vfio.bind=42:00.0,9:9 vfio.onfail=hold";
    let report = report_after(&machine, line, &lines::tell);
    assert_eq!(
        report,
        json!({
            "schema": 1,
            "agent": env!("CARGO_PKG_VERSION"),
            "kernel": "6.1.0-test",
            "state": "applied",
            "iommu": {"kind": "intel", "groups": 1, "advice": null},
            "policy": {
                "driver": "auto",
                "group": "endpoints",
                "onfail": "hold",
                "dry_run": false,
                "listed": true,
                "selectors": [{
                    "text": "42:00.0",
                    "source": "vfio.bind",
                    "excludes": false,
                    "matches": ["0000:42:00.0"],
                    "nearest": null,
                }],
                "errors": ["vfio.bind: `9:9`: expected a bus of two digits at `9`"],
                "warnings": [],
                "problems_beyond_limit": 0,
            },
            "functions": [
                {
                    "address": "0000:00:1f.4", "path": null,
                    "vendor": "8086", "device": "2930", "subvendor": "0000", "subdevice": "0000",
                    "class": "0c0500", "group": 15, "role": "sibling",
                    "why": "same group as 0000:42:00.0",
                    "driver_before": "i801_smbus", "driver_now": "i801_smbus",
                    "outcome": "left",
                    "reason": "it belongs to the machine itself and stays; i801_smbus has it, and so \
                               the group is not usable",
                    "set": [],
                },
                {
                    "address": "0000:42:00.0", "path": null,
                    "vendor": "1234", "device": "1111", "subvendor": "0000", "subdevice": "0000",
                    "class": "030000", "group": 15, "role": "selected",
                    "why": "vfio.bind=42:00.0",
                    "driver_before": null, "driver_now": "vfio-pci",
                    "outcome": "bound", "reason": "", "set": [],
                },
                {
                    "address": "0000:42:00.1", "path": null,
                    "vendor": "8086", "device": "2668", "subvendor": "0000", "subdevice": "0000",
                    "class": "040300", "group": 15, "role": "sibling",
                    "why": "same group as 0000:42:00.0",
                    "driver_before": "snd_hda_intel", "driver_now": "vfio-pci",
                    "outcome": "bound", "reason": "", "set": [],
                },
            ],
            "groups": [{"group": 15, "viable": false, "unanswered": null, "late": null, "unseen": null, "blockers": ["0000:00:1f.4 i801_smbus"]}],
            "virtual_functions": [],
            "unasked": [],
            "functions_seen": null,
            "functions_beyond_limit": 0,
            "functions_unreadable": 0,
            "groups_beyond_limit": 0,
            "blockers_beyond_limit": 0,
            "messages": [
                {
                    "level": "warning",
                    "about": "0000:00:1f.4",
                    "text": "0000:00:1f.4 (SMBus): it belongs to the machine itself and stays; i801_smbus \
                             has it, and so the group is not usable",
                },
                {
                    "level": "info",
                    "about": "0000:42:00.0",
                    "text": "0000:42:00.0: (none) -> vfio-pci (vfio.bind=42:00.0)",
                },
                {
                    "level": "info",
                    "about": "0000:42:00.1",
                    "text": "0000:42:00.1: snd_hda_intel -> vfio-pci (same group as 0000:42:00.0)",
                },
                {
                    "level": "error",
                    "about": "group 15",
                    "text": "group 15 is not usable: i801_smbus has 0000:00:1f.4; select it too, or keep \
                             that driver from loading",
                },
                {
                    "level": "info",
                    "about": null,
                    "text": "`vfio: unknown parameter` in the kernel log is harmless: the kernel hands \
                             vfio.X to the module vfio, too",
                },
                {
                    "level": "error",
                    "about": "9:9",
                    "text": "vfio.bind: `9:9`: expected a bus of two digits at `9`",
                },
                {
                    "level": "info",
                    "about": null,
                    "text": "2 functions on vfio-pci, 1 left, after 1.2 ms",
                },
            ],
            "messages_beyond_limit": 0,
            "exit": 1,
            "elapsed_us": 1234,
        })
    );
}

/// What is said on the way there is kept as well, and before what is said of the end.
#[test]
fn every_stage_is_heard() {
    let machine = machine();
    let modalias = machine.path("sys/bus/pci/devices/0000:42:00.1/modalias");
    fs::remove_file(&modalias).unwrap();
    // Reading a directory answers EISDIR.
    fs::create_dir(&modalias).unwrap();
    let line = b"vfio.bind=42:00.0,99:00.0";
    let report = report_after(&machine, line, &lines::tell);
    let messages = report["messages"].as_array().unwrap();
    let about = |message: &Value| message["about"].as_str().map(str::to_owned);
    let all: Vec<_> = messages.iter().filter_map(about).collect();
    assert_eq!(
        all,
        [
            "0000:42:00.1",
            "0000:00:1f.4",
            "0000:42:00.0",
            "group 15",
            "group 15",
            "vfio.bind=99:00.0",
        ]
    );
    assert!(messages[0]["text"].as_str().unwrap().contains("EISDIR"));
}

/// What sysfs shows later is another story: the messages and the report tell the same one.
#[test]
fn what_changes_between_the_messages_and_the_report_changes_neither() {
    let trouble = Trouble {
        not_viable: vec![15],
        deaf_to_options: true,
        by_ids: vec!["0000:43:00.0".to_owned()],
        ..Trouble::default()
    };
    let machine = machine().with(trouble);
    machine.insert(&Card::new("0000:43:00.0", 0x1234, 0x1111, 0x03_0000, 16));
    let said = RefCell::default();
    let line = b"vfio.bind=42:00.0 vfio.onfail=hold";
    let report = report_after(&machine, line, &|record| {
        said.replace(messages(|| lines::tell(record)));
        for address in ["0000:00:1f.4", "0000:43:00.0", "0000:42:00.0"] {
            let driver = machine.path(&format!("sys/bus/pci/devices/{address}/driver"));
            fs::remove_file(driver).unwrap();
        }
    });
    let said = said.into_inner();
    for piece in [
        "group 15 is not usable: i801_smbus has 0000:00:1f.4",
        "0000:42:00.0: (none) -> vfio-pci",
        "0000:43:00.0: vfio-pci took it, and nobody asks for that: left, now vfio-pci",
    ] {
        assert!(said.contains(piece), "{said}");
    }
    assert_eq!(
        report["groups"][0]["blockers"],
        json!(["0000:00:1f.4 i801_smbus"])
    );
    assert_eq!(report["functions"][1]["driver_now"], "vfio-pci");
    assert_eq!(report["unasked"], json!(["0000:43:00.0 vfio-pci left"]));
}

/// An override that an earlier run left: vfio-pci takes the function as soon as it is loaded.
#[test]
fn what_was_refused_and_taken_all_the_same_is_told_with_its_driver() {
    let machine = machine();
    machine.insert(&Card::new("0000:43:00.0", 0x1234, 0x1111, 0x03_0000, 16));
    machine.set_override("0000:43:00.0", "vfio-pci");
    let report = report(&machine, b"vfio.bind=42:00.0,43:00.0 vfio.protect=43:00.0");
    let functions = report["functions"].as_array().unwrap().iter();
    let mut refused = functions.filter(|one| one["address"] == "0000:43:00.0");
    let refused = refused.next().unwrap();
    assert_eq!(refused["outcome"], "refused");
    assert_eq!(refused["driver_now"], "vfio-pci");
    assert_eq!(report["unasked"], json!(["0000:43:00.0 vfio-pci left"]));
}

#[test]
fn any_text_of_the_command_line_survives() {
    let mut line = b"vfio.bind=42:00.0,\"".to_vec();
    line.extend((1..=255u8).filter(|byte| !b" ,\t\n\x0b\x0c\r\xa0".contains(byte)));
    line.extend(b"x".repeat(5000));
    let report = report(&machine(), &line);
    let error = report["policy"]["errors"][0].as_str().unwrap();
    assert!(
        error.contains("\\x01") && error.contains(&"x".repeat(5000)),
        "{error}"
    );
    assert_eq!(report["functions"][1]["outcome"], "bound");
}

#[test]
fn an_old_report_is_replaced_whole() {
    let machine = machine();
    report(&machine, b"vfio.bind=42:00.0");
    let second = report(&machine, b"vfio.bind=off");
    assert_eq!(second["state"], "off");
    let left = fs::read_dir(machine.path("run/vfio-bind")).unwrap();
    assert_eq!(left.count(), 1, "no part of it is left beside it");
}

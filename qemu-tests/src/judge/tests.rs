//! A good boot, told by hand, and what becomes of it when one thing in it is otherwise.

use super::*;
use crate::architecture::Architecture;
use crate::function::Function;
use crate::machine::{GPU, GPU_AUDIO, Iommu, NIC, TWIN, pc};
use crate::protocol::{End, Ending};
use crate::report::Outcome;
use crate::scenario::{BEFORE, NATIVES, Run};

const GROUP: u32 = 10;

fn scenario() -> Scenario {
    let run = Run::new("agent")
        .bound(&[GPU, GPU_AUDIO])
        .says("same group");
    Scenario::new(
        "card",
        "that a card is taken",
        "vfio.bind=0000:42:00.0",
        run,
    )
}

/// The machine with `taken` on VFIO, and the rest native where `natives`.
fn snapshot(label: &str, taken: &[&str], natives: bool) -> Record {
    let function = |device: &crate::machine::Device| {
        let vfio = taken
            .contains(&device.address)
            .then(|| "vfio-pci".to_owned());
        let native = natives.then(|| device.native.to_owned());
        Function {
            address: device.address.to_owned(),
            ids: device.ids.to_owned(),
            class: device.class.to_owned(),
            group: device.address.starts_with("0000:42").then_some(GROUP),
            driver: vfio.clone().or(native),
            driver_override: vfio,
            header: 0,
        }
    };
    let functions = pc(Iommu::Intel).devices.iter().map(function).collect();
    Record::Snapshot(Snapshot {
        label: label.to_owned(),
        uevents: 7,
        functions,
    })
}

fn agent_run() -> AgentRun {
    let function = |address, vendor, device, class| {
        format!(
            r#"{{"address":"{address}","vendor":"{vendor}","device":"{device}","subvendor":"1af4",
                "subdevice":"1100","class":"{class}","group":{GROUP},"driver_before":null,
                "driver_now":"vfio-pci","outcome":"bound"}}"#
        )
    };
    let report = format!(
        r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},"functions":[{},{}],
            "groups":[{{"group":{GROUP},"viable":true}}],"exit":0,"elapsed_us":9}}"#,
        function(GPU, "1234", "1111", "038000"),
        function(GPU_AUDIO, "8086", "2668", "040300")
    );
    AgentRun {
        label: "agent".to_owned(),
        ending: Ending::Exited(0),
        elapsed_ms: 30,
        report: Some(report),
        log: vec!["vfio-bind: 0000:42:00.1: none -> vfio-pci (same group)".to_owned()],
        output: Vec::new(),
        writes: vec![
            format!("{GPU}/driver_override"),
            format!("{GPU_AUDIO}/driver_override"),
            "pci/drivers_probe".to_owned(),
        ],
    }
}

fn used(address: &str, ids: &str) -> Record {
    Record::Used(Used {
        address: address.to_owned(),
        through: "group".to_owned(),
        ids: ids.to_owned(),
        error: String::new(),
    })
}

/// The records of a good boot; `change` may spoil them.
fn evidence(change: impl FnOnce(&mut Vec<Record>)) -> Evidence {
    let card = [GPU, GPU_AUDIO];
    let mut records = vec![
        Record::Booted("6.1".to_owned()),
        snapshot(BEFORE, &[], false),
        Record::AgentRun(agent_run()),
        snapshot("agent", &card, false),
        snapshot(NATIVES, &card, true),
        used(GPU, "1234:1111"),
        used(GPU_AUDIO, "8086:2668"),
        Record::Verdict(Verdict {
            scenario: "card".to_owned(),
            broken: String::new(),
        }),
    ];
    change(&mut records);
    let lines = records
        .iter()
        .enumerate()
        .flat_map(|(at, record)| wire::encode(at, record).unwrap());
    let console = lines.map(|line| format!("[    1.0] {line}\n")).collect();
    Evidence {
        console,
        exit: Some(i32::from(End::Finished.status(Architecture::X86_64))),
        over_time: None,
    }
}

/// The only failure must hold all of `pieces`.
fn fails_with(evidence: &Evidence, pieces: &[&str]) {
    let judgement = judge(&scenario(), evidence);
    let failures: Vec<_> = judgement.failures.iter().map(ToString::to_string).collect();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(
        pieces.iter().all(|piece| failures[0].contains(piece)),
        "{pieces:?} in {}",
        failures[0]
    );
}

fn change_run(change: impl FnOnce(&mut AgentRun)) -> Evidence {
    let mut run = agent_run();
    change(&mut run);
    evidence(|records| records[2] = Record::AgentRun(run))
}

#[test]
fn a_good_boot_passes() {
    let judgement = judge(&scenario(), &evidence(|_| {}));
    assert_eq!(
        judgement,
        Judgement {
            ended_well: true,
            release: "6.1".to_owned(),
            failures: Vec::new()
        }
    );
}

#[test]
fn a_machine_must_end_well() {
    let good = evidence(|_| {});
    let otherwise = |exit, over_time| Evidence {
        exit,
        over_time,
        ..good.clone()
    };
    fails_with(
        &otherwise(Some(0), None),
        &["exit status", "expected 85", "got 0"],
    );
    fails_with(&otherwise(None, None), &["exit status", "a signal"]);
    fails_with(&otherwise(None, Some(120)), &["within 120 s"]);
    let panicked = Evidence {
        console: good.console.clone() + "Kernel panic - not syncing\n",
        ..good
    };
    fails_with(&panicked, &["the kernel", "Kernel panic - not syncing"]);
    assert!(!judge(&scenario(), &panicked).ended_well);
}

#[test]
fn exactly_one_verdict_counts() {
    fails_with(
        &evidence(|records| drop(records.pop())),
        &["verdict records", "got 0"],
    );
    fails_with(
        &evidence(|records| records.push(records[7].clone())),
        &["verdict records", "got 2"],
    );
    let broken = Verdict {
        scenario: "card".to_owned(),
        broken: "step 2: spawn".to_owned(),
    };
    fails_with(
        &evidence(|records| records[7] = Record::Verdict(broken)),
        &["step 2: spawn"],
    );
}

#[test]
fn an_agent_that_does_nothing_fails() {
    let idle = evidence(|records| {
        let idle = AgentRun {
            report: None,
            log: Vec::new(),
            writes: Vec::new(),
            ..agent_run()
        };
        records[2] = Record::AgentRun(idle);
        records[3] = snapshot("agent", &[], false);
        records[4] = snapshot(NATIVES, &[], true);
    });
    let judgement = judge(&scenario(), &idle);
    assert!(
        judgement.ended_well && judgement.failures.len() >= 4,
        "{judgement:#?}"
    );
}

#[test]
fn a_stolen_function_is_noticed() {
    let stolen = snapshot(NATIVES, &[GPU, GPU_AUDIO, TWIN], true);
    fails_with(
        &evidence(|records| records[4] = stolen),
        &[TWIN, "got driver vfio-pci"],
    );
}

#[test]
fn the_exit_status_is_compared_with_the_record_too() {
    let late = change_run(|run| run.ending = Ending::TimedOut(60));
    fails_with(&late, &["its end", "TimedOut(60)"]);
}

#[test]
fn the_record_must_say_what_sysfs_says() {
    let lying = change_run(|run| {
        run.report = run
            .report
            .take()
            .map(|text| text.replacen("\"vfio-pci\"", "null", 1));
    });
    fails_with(&lying, &["record of 0000:42:00.0", "driver none -> none"]);
    let no_json = change_run(|run| run.report = Some("{".to_owned()));
    fails_with(&no_json, &["its record", "expected JSON"]);
}

#[test]
fn overrides_come_first_and_nobody_else_is_written_to() {
    fails_with(
        &change_run(|run| run.writes.rotate_left(1)),
        &["0000:42:00.0/driver_override before"],
    );
    let other = change_run(|run| run.writes.push(format!("{TWIN}/driver_override")));
    fails_with(&other, &["none to this function", TWIN]);
}

#[test]
fn a_function_that_does_not_answer_through_vfio_is_noticed() {
    fails_with(
        &evidence(|records| records[6] = used(GPU_AUDIO, "ffff:ffff")),
        &["got ffff:ffff"],
    );
}

#[test]
fn what_the_kernel_gave_to_vfio_gets_an_override_too() {
    let mut scenario = scenario();
    scenario.runs[0].outcomes[0].1 = Outcome::Already;
    let boot = |writes: usize| {
        let mut run = agent_run();
        let told = run.report.map(|text| {
            let text = text.replacen("null", "\"vfio-pci\"", 1);
            text.replacen("\"bound\"", "\"already\"", 1)
        });
        run.report = told;
        run.writes.drain(..writes);
        let evidence = evidence(|records| {
            if let Record::Snapshot(before) = &mut records[1] {
                let gpu = before.functions.iter_mut().find(|f| f.address == GPU);
                gpu.unwrap().driver = Some("vfio-pci".to_owned());
            }
            records[2] = Record::AgentRun(run);
        });
        judge(&scenario, &evidence).failures
    };
    assert_eq!(boot(0), []);
    let failures = boot(1);
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(
        failures[0]
            .expected
            .contains("0000:42:00.0/driver_override")
    );
}

#[test]
fn a_device_may_be_left_to_the_kernel() {
    let boot = || {
        evidence(|records| {
            if let Record::Snapshot(end) = &mut records[4] {
                let twin = end.functions.iter_mut().find(|f| f.address == TWIN);
                twin.unwrap().driver = Some("vfio-pci".to_owned());
            }
        })
    };
    let failures = judge(&scenario().left_to_kernel(&[TWIN]), &boot()).failures;
    assert_eq!(failures, []);
    assert_eq!(judge(&scenario(), &boot()).failures.len(), 1);
}

#[test]
fn the_built_kernel_lacks_some_native_drivers() {
    let machine = pc(Iommu::Intel);
    let (gpu, nic) = (machine.device(GPU).unwrap(), machine.device(NIC).unwrap());
    let native = |scenario: &Scenario| [gpu, nic].map(|device| scenario.native(&device));
    assert_eq!(native(&scenario()), [Some("bochs-drm"), Some("e1000")]);
    assert_eq!(native(&scenario().built_in()), [Some("bochs-drm"), None]);
}

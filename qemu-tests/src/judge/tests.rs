//! A good boot, told by hand, and what becomes of it when one thing in it is otherwise.

use super::*;
use crate::architecture::Architecture;
use crate::function::{Function, Snapshot};
use crate::machine::{GPU, GPU_AUDIO, Iommu, NIC, TWIN, pc};
use crate::protocol::{AgentRun, End, Ending, Inherited, Ran, Seen, Used, Verdict};
use crate::report::Fate;
use crate::scenario::{BEFORE, NATIVES, Run};
use crate::storage::{EMERGENCY, FREE, LIST, NEEDED, PROTECTED};

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
fn snapshot(label: &str, taken: &[&str], natives: bool) -> Seen {
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
            ..Function::default()
        }
    };
    let functions = pc(Iommu::Intel).devices.iter().map(function).collect();
    Seen::Snapshot(Snapshot {
        label: label.to_owned(),
        uevents: 7,
        functions,
    })
}

const SAID: &str = "0000:42:00.1: none -> vfio-pci (same group)";

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
            "groups":[{{"group":{GROUP},"viable":true}}],"messages":[{{"level":"info","about":"{GPU_AUDIO}","text":"{SAID}"}}],"exit":0,"elapsed_us":9}}"#,
        function(GPU, "1234", "1111", "038000"),
        function(GPU_AUDIO, "8086", "2668", "040300")
    );
    AgentRun {
        label: "agent".to_owned(),
        ending: Ending::Exited(0),
        elapsed_ms: 30,
        report: Some(report),
        log: vec![format!("vfio-bind: {SAID}")],
        output: Vec::new(),
        writes: vec![
            format!("{GPU}/driver_override"),
            format!("{GPU_AUDIO}/driver_override"),
            "pci/drivers_probe".to_owned(),
        ],
        left: Vec::new(),
    }
}

fn used(address: &str, ids: &str) -> Seen {
    Seen::Used(Used {
        address: address.to_owned(),
        through: "group".to_owned(),
        ids: ids.to_owned(),
        error: String::new(),
    })
}

/// The records of a good boot; `change` may spoil them.
fn evidence(change: impl FnOnce(&mut Vec<Seen>)) -> Evidence {
    let card = [GPU, GPU_AUDIO];
    let mut records = vec![
        Seen::Booted("6.1".to_owned()),
        snapshot(BEFORE, &[], false),
        Seen::AgentRun(agent_run()),
        snapshot("agent", &card, false),
        snapshot(NATIVES, &card, true),
        used(GPU, "1234:1111"),
        used(GPU_AUDIO, "8086:2668"),
        Seen::Verdict(Verdict {
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
        refused: None,
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
    evidence(|records| records[2] = Seen::AgentRun(run))
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
        &evidence(|records| records[7] = Seen::Verdict(broken)),
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
        records[2] = Seen::AgentRun(idle);
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
fn the_record_must_say_what_the_log_says() {
    for log in [
        vec![],
        vec!["vfio-bind: something else"],
        vec!["vfio-bind: one more", SAID],
    ] {
        let other = change_run(|run| run.log = log.iter().map(|line| (*line).to_owned()).collect());
        let judgement = judge(&scenario(), &other);
        let told = judgement.failures.iter().any(|failure| {
            let failure = failure.to_string();
            failure.contains("the record's messages")
        });
        assert!(told, "{judgement:#?}");
    }
}

#[test]
fn what_is_left_running_is_noticed_unless_it_hangs() {
    let left = |state: &str| change_run(|run| run.left = vec![state.to_owned()]);
    for state in ["99 S (sleeping)", "99 Z (zombie)"] {
        fails_with(&left(state), &["what it leaves running", state]);
    }
    let hanging = judge(&scenario(), &left("99 D (disk sleep)"));
    assert!(hanging.failures.is_empty(), "{hanging:#?}");
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
    scenario.runs[0].outcomes[0].1 = Fate::Already;
    let boot = |writes: usize| {
        let mut run = agent_run();
        let told = run.report.map(|text| {
            let text = text.replacen("null", "\"vfio-pci\"", 1);
            text.replacen("\"bound\"", "\"already\"", 1)
        });
        run.report = told;
        run.writes.drain(..writes);
        let evidence = evidence(|records| {
            if let Seen::Snapshot(before) = &mut records[1] {
                let gpu = before.functions.iter_mut().find(|f| f.address == GPU);
                gpu.unwrap().driver = Some("vfio-pci".to_owned());
            }
            records[2] = Seen::AgentRun(run);
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
            if let Seen::Snapshot(end) = &mut records[4] {
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

/// The records of a system on two disks; `change` may spoil them.
fn storage_evidence(listed: bool, change: impl FnOnce(&mut Vec<Seen>)) -> (Evidence, String) {
    let lines = PROTECTED.map(|start| format!("{start} # /: nvme1n1"));
    let list = lines.join("\n") + "\n";
    let taken: &[&str] = if listed { &[FREE] } else { &[] };
    let Seen::Snapshot(mut natives) = snapshot(NATIVES, taken, true) else {
        panic!("a snapshot")
    };
    for address in NEEDED {
        let mut disk = natives.function(FREE).unwrap().clone();
        (disk.address, disk.driver) = (address.to_owned(), Some("nvme".to_owned()));
        natives.functions.push(disk);
    }
    let disk = |address: &str, outcome: &str| {
        format!(
            r#"{{"address":"{address}","vendor":"1b36","device":"0010","subvendor":"1af4","subdevice":"1100",
                "class":"010802","group":1,"driver_before":null,"driver_now":null,"outcome":"{outcome}"}}"#
        )
    };
    let [first, second] = NEEDED;
    let report = format!(
        r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
            "functions":[{},{},{}],"exit":1,"elapsed_us":9}}"#,
        disk(FREE, "bound"),
        disk(first, "refused"),
        disk(second, "refused")
    );
    let inherited = Inherited {
        report: listed.then_some(report),
        kept: if listed { list.clone() } else { String::new() },
        ..Inherited::default()
    };
    let ran = Ran {
        command: LIST.to_owned(),
        ending: Ending::Exited(0),
        output: lines.to_vec(),
        writes: Vec::new(),
        records: std::collections::BTreeMap::new(),
        disk: String::new(),
    };
    let evidence = evidence(|records| {
        let end = Seen::Verdict(Verdict {
            scenario: Stack::Group.name().to_owned(),
            broken: String::new(),
        });
        let booted = records.remove(0);
        *records = vec![
            booted,
            Seen::Inherited(inherited),
            Seen::Snapshot(natives),
            Seen::Ran(ran),
            end,
        ];
        change(records);
    });
    (evidence, list)
}

#[test]
fn a_system_on_two_disks_tells_both_and_keeps_both() {
    let failures = |boot, change: fn(&mut Vec<Seen>)| {
        let (evidence, list) = storage_evidence(boot == Boot::Listed, change);
        let judgement = judge_storage(Stack::Group, boot, &list, &evidence);
        let failures = judgement.failures.iter().map(ToString::to_string);
        failures.collect::<Vec<_>>()
    };
    let forget: fn(&mut Vec<Seen>) = |records| {
        if let Seen::Ran(ran) = &mut records[3] {
            ran.output.pop();
        }
    };
    let warn: fn(&mut Vec<Seen>) = |records| {
        if let Seen::Ran(ran) = &mut records[3] {
            ran.output.push("vfio-bind: not protected: /: x".to_owned());
        }
    };
    let lose: fn(&mut Vec<Seen>) = |records| {
        if let Seen::Snapshot(natives) = &mut records[2] {
            natives.functions.last_mut().unwrap().driver = Some("vfio-pci".to_owned());
        }
    };
    let idle: fn(&mut Vec<Seen>) = |records| records[1] = Seen::Inherited(Inherited::default());
    for boot in [Boot::Native, Boot::Listed] {
        assert_eq!(failures(boot, |_| {}), [""; 0]);
        for (change, piece) in [
            (forget, "the list: expected"),
            (warn, "not protected"),
            (lose, "the driver of 0000:04:00.0"),
        ] {
            let failures = failures(boot, change);
            assert!(
                failures.len() == 1 && failures[0].contains(piece),
                "{piece}: {failures:#?}"
            );
        }
    }
    assert_eq!(failures(Boot::Listed, idle).len(), 2);
}

#[test]
fn a_system_without_its_second_disk_fails_as_it_must() {
    let console = |taken: &str, complaint: &str| Evidence {
        console: format!("[  9.0] vfio-bind: {taken}: (none) -> vfio-pci (x)\n{complaint}\n"),
        exit: Some(0),
        over_time: None,
        refused: None,
    };
    let failures = |evidence| {
        let judgement = judge_storage(Stack::Fstab, Boot::HalfListed, "", &evidence);
        judgement.failures.len()
    };
    let [first, second] = NEEDED;
    let good = console(second, EMERGENCY);
    assert_eq!(failures(good.clone()), 0);
    assert_eq!(failures(console(first, EMERGENCY)), 1);
    assert_eq!(failures(console(second, "")), 1);
    let over_time = Some(240);
    assert_eq!(failures(Evidence { over_time, ..good }), 1);
    let (up, _) = storage_evidence(true, |_| {});
    assert_eq!(failures(up), 3);
}

#[test]
fn a_panic_is_no_trouble_only_where_another_kernel_boots_for_it() {
    const PANIC: &str = "[    9.0] Kernel panic - not syncing: sysrq triggered crash\n";
    let crashing = scenario().in_crash_kernel();
    let boots = |count: usize| {
        let more = std::iter::repeat_n(Seen::Booted("6.1".to_owned()), count - 1);
        let mut evidence = evidence(|records| drop(records.splice(..0, more)));
        evidence.console.push_str(PANIC);
        evidence
    };
    let failures = |scenario, count| judge(scenario, &boots(count)).failures;
    assert_eq!(failures(&crashing, 2), []);
    assert!(failures(&crashing, 1)[0].what.contains("the kernel"));
    assert!(
        failures(&scenario(), 2)[0]
            .what
            .contains("kernels that booted")
    );
    let calm = judge(&crashing, &evidence(|_| {})).failures;
    assert!(calm[0].what.contains("kernels that booted"), "{calm:?}");
}

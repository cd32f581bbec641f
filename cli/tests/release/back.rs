//! The steps, on the machine of the agent's tests.

use std::cell::RefCell;
use std::path::PathBuf;

use rustix::io::Errno;
use vfio_bind_agent::bind::controls::current_override;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::run;
use vfio_bind_cli::device::chosen::{self, Choice};
use vfio_bind_cli::records::Run;
use vfio_bind_cli::release::back::{Given, give_back};
use vfio_bind_cli::release::members::{Member, members};
use vfio_bind_report::Report;

use crate::support::{Card, FakeMachine, Trouble, open};

const GPU: &str = "0000:42:00.0";
const AUDIO: &str = "0000:42:00.1";
const NIC: &str = "0000:43:00.0";

/// A graphics card and a network card that the agent has bound as `line` asks.
fn bound(line: &str, trouble: Trouble) -> FakeMachine {
    let machine = FakeMachine::new(&[
        Card::new(GPU, 0x10de, 0x2204, 0x03_0000, 15),
        Card::new(AUDIO, 0x10de, 0x1aef, 0x04_0300, 15),
        Card::new(NIC, 0x8086, 0x10d3, 0x02_0000, 16),
    ])
    .with_attributes(GPU)
    .with(trouble);
    run::perform(&machine, line.as_bytes(), &|| 0, &mut |record| {
        record.exit()
    });
    for (address, driver) in [(GPU, "nouveau"), (AUDIO, "snd_hda_intel"), (NIC, "e1000e")] {
        machine.expect_native(address, driver);
    }
    machine.take_events();
    machine
}

fn chosen_members(machine: &FakeMachine, words: &[&str], runs: &[Run]) -> Vec<Member> {
    let tree = open(machine.root());
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let Choice::Made(found) = chosen::choose(machine.root(), &tree, &words).unwrap() else {
        panic!("{words:?}");
    };
    members(&found, runs)
}

/// What becomes of the members, and what was to be loaded.
fn given(machine: &FakeMachine, members: &[Member]) -> (Vec<Given>, Vec<String>) {
    let loaded = RefCell::new(Vec::new());
    let given = give_back(machine, members, &|alias| {
        loaded.borrow_mut().push(alias.to_owned());
    });
    (given, loaded.into_inner())
}

#[test]
fn a_group_goes_back_whole_and_nothing_else() {
    let machine = bound("vfio.bind=42:00.0,43:00.0", Trouble::default());
    let members = chosen_members(&machine, &["42:00.0"], &[]);
    let (given, loaded) = given(&machine, &members);
    assert_eq!(given.len(), 2);
    for one in &given {
        assert_eq!(one.problem, None, "{given:?}");
    }
    assert_eq!(loaded, Vec::<String>::new());
    for (address, driver) in [
        (GPU, "nouveau"),
        (AUDIO, "snd_hda_intel"),
        (NIC, "vfio-pci"),
    ] {
        assert_eq!(
            machine.driver(address).as_deref(),
            Some(driver),
            "{address}"
        );
    }
    for (address, name) in [(GPU, ""), (AUDIO, ""), (NIC, "vfio-pci")] {
        let address = Address::parse(address.as_bytes()).unwrap();
        assert_eq!(current_override(&machine, address).unwrap().as_str(), name);
    }
    // All overrides first: what is unbound while another has one would go to VFIO again.
    let events = machine.take_events();
    let place = |piece: &str| {
        events
            .iter()
            .position(|event| event.contains(piece))
            .unwrap_or_else(|| panic!("{piece}: {events:#?}"))
    };
    assert!(place(&format!("{AUDIO}/driver_override")) < place(&format!("{GPU}/driver/unbind")));
    assert!(place(&format!("{AUDIO}/driver/unbind")) < place("drivers_probe"));
    // A second time there is nothing left to do.
    assert_eq!(chosen_members(&machine, &["42:00.0"], &[]), []);
}

#[test]
fn an_id_that_vfio_pci_was_given_is_taken_back() {
    let machine = bound("vfio.bind=10de:2204", Trouble::default());
    let members = chosen_members(&machine, &["42:00.0"], &[]);
    let (given, _) = given(&machine, &members);
    assert_eq!(given[0].driver.as_deref(), Some("nouveau"));
    assert!(
        given[0].told[0].contains("vfio-pci has the ID 10de:2204 no more"),
        "{given:?}"
    );
    // The other one's was never given.
    assert_eq!(given[1].told, Vec::<String>::new());
    let twin = "0000:44:00.0";
    machine.insert(&Card::new(twin, 0x10de, 0x2204, 0x03_0000, 17).on("nouveau"));
    assert_eq!(machine.driver(twin).as_deref(), Some("nouveau"));
}

#[test]
fn what_vfio_pci_takes_again_by_a_wildcard_is_offered_to_native_drivers() {
    let trouble = Trouble {
        by_ids: vec![GPU.to_owned()],
        ids_first: true,
        ..Trouble::default()
    };
    let machine = bound("vfio.bind=42:00.0", trouble);
    let members = chosen_members(&machine, &["42:00.0"], &[]);
    let (given, _) = given(&machine, &members);
    assert_eq!(given[0].driver.as_deref(), Some("nouveau"), "{given:?}");
    assert_eq!(given[0].problem, None);
}

#[test]
fn what_was_set_is_undone_as_the_record_has_it() {
    let machine = bound(
        "vfio.bind=42:00.0 vfio.set=42:00.0:d3cold_allowed=0",
        Trouble::default(),
    );
    assert_eq!(machine.attribute(GPU, "d3cold_allowed"), "0");
    let report = format!(
        r#"{{"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},"functions":[
            {{"address":"{GPU}","vendor":"10de","device":"2204","subvendor":"0000","subdevice":"0000","class":"030000",
              "group":15,"driver_before":null,"driver_now":"vfio-pci","outcome":"bound",
              "set":[{{"name":"d3cold_allowed","before":"1","now":"0"}}]}}],"exit":0,"elapsed_us":1}}"#
    );
    let run = |name: &str, text: &str| Run {
        name: name.to_owned(),
        path: PathBuf::from(name),
        report: Report::parse(text).unwrap(),
    };
    let runs = [run("boot", &report)];
    let members = chosen_members(&machine, &["42:00.0"], &runs);
    let (given, _) = given(&machine, &members);
    assert_eq!(machine.attribute(GPU, "d3cold_allowed"), "1");
    assert_eq!(given[0].told, ["d3cold_allowed is 1 again"]);
    // Once it has gone back, nothing is left to undo.
    let back = report.replace(
        r#""functions":["#,
        &format!(r#""given_back":["{GPU} nouveau"],"functions":["#),
    );
    let runs = [run("boot", &report), run("run-1", &back)];
    machine.set_override(GPU, "vfio-pci");
    let machine = bound("vfio.bind=42:00.0", Trouble::default());
    let members = chosen_members(&machine, &["42:00.0"], &runs);
    assert_eq!(members[0].set, []);
}

#[test]
fn one_that_does_not_let_go_keeps_no_other() {
    let machine = bound("vfio.bind=42:00.0,43:00.0", Trouble::stuck(GPU));
    let members = chosen_members(&machine, &["42:00.0", "43:00.0"], &[]);
    let (given, _) = given(&machine, &members);
    let problem = given[0].problem.as_deref().unwrap();
    assert!(
        problem.contains("write(driver/unbind): no answer in time"),
        "{problem}"
    );
    assert_eq!(given[2].driver.as_deref(), Some("e1000e"), "{given:?}");
    assert_eq!(given[2].problem, None);
}

#[test]
fn one_that_is_refused_is_as_it_was() {
    let trouble = Trouble::write_answers(&format!("{GPU}/driver/unbind"), Errno::BUSY);
    let machine = bound("vfio.bind=42:00.0", trouble);
    let members = chosen_members(&machine, &["42:00.0"], &[]);
    let (given, _) = given(&machine, &members);
    assert_eq!(
        given[0].problem.as_deref(),
        Some("write(driver/unbind): EBUSY")
    );
    assert_eq!(given[0].driver.as_deref(), Some("vfio-pci"));
    assert_eq!(machine.driver_override(GPU), "vfio-pci");
}

#[test]
fn where_no_driver_is_loaded_modprobe_is_asked_and_then_that_is_told() {
    let machine = bound("vfio.bind=43:00.0", Trouble::default());
    machine.unload_driver("e1000e");
    let members = chosen_members(&machine, &["43:00.0"], &[]);
    let (given, loaded) = given(&machine, &members);
    assert_eq!(
        loaded,
        ["pci:v00008086d000010D3sv00000000sd00000000bc02sc00i00"]
    );
    assert_eq!(given[0].driver, None);
    assert!(
        given[0]
            .problem
            .as_deref()
            .unwrap()
            .contains("no native driver takes it")
    );
}

#[test]
fn an_override_of_its_owner_stays() {
    let machine = bound("vfio.bind=43:00.0", Trouble::default());
    machine.set_override(NIC, "e1000e");
    let members = chosen_members(&machine, &["43:00.0"], &[]);
    let (given, _) = given(&machine, &members);
    assert_eq!(given[0].driver.as_deref(), Some("e1000e"), "{given:?}");
    assert_eq!(machine.driver_override(NIC), "e1000e");
}

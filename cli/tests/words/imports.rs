//! What other managers hold, as words.

use vfio_bind_cli::imports::{self, Imports, Manager};

use crate::command::run;
use crate::machine::{Machine, desktop};

const GPU: &str = "vfio.bind=0000:00:01.0/00.0@10de:2204";
const BOTH: &str = "vfio.bind=0000:00:01.0/00.0@10de:2204,0000:00:01.0/00.1@10de:1aef";
const NIC: &str = "vfio.bind=0000:00:1c.0/00.0@8086:1528";

fn found(machine: &Machine) -> Imports {
    imports::find(machine.root()).unwrap()
}

#[test]
fn each_manager_s_list_becomes_words() {
    for (manager, file, text, words) in [
        (
            Manager::Modprobe,
            "etc/modprobe.d/vfio.conf",
            "options vfio-pci ids=10de:2204,10de:1aef\n",
            Some(BOTH),
        ),
        (
            Manager::InitramfsTools,
            "etc/initramfs-tools/modules",
            "vfio\nvfio_pci ids=8086:1528\n",
            Some(NIC),
        ),
        (
            Manager::CommandLine,
            "proc/cmdline",
            "quiet vfio-pci.ids=10de:2204\n",
            Some(GPU),
        ),
        (
            Manager::Driverctl,
            "etc/driverctl.d/pci-0000:02:00.0",
            "vfio-pci\n",
            Some(NIC),
        ),
        (
            Manager::Unraid,
            "boot/config/vfio-pci.cfg",
            "BIND=0000:01:00.0|10de:2204 0000:01:00.1|10de:1aef\n",
            Some(BOTH),
        ),
        (
            Manager::Proxmox,
            "etc/pve/mapping/pci.cfg",
            "gpu\n\tmap id=10de:2204,iommugroup=6,node=pve1,path=0000:01:00\n",
            Some(BOTH),
        ),
        (
            Manager::Modprobe,
            "etc/modprobe.d/a.conf",
            "softdep nouveau pre: vfio-pci\nblacklist nouveau\n",
            None,
        ),
    ] {
        let machine = desktop();
        machine.write(file, text);
        let all = found(&machine);
        let total = all.words.map(|words| words.words);
        assert_eq!(
            total,
            words.map(|words| vec![words.to_owned()]),
            "{file}: {:?}",
            all.found
        );
        assert!(!all.found.is_empty(), "{file}");
        for one in &all.found {
            assert_eq!(one.manager, manager, "{file}");
            assert_eq!(one.file, format!("/{file}"));
            assert_eq!(one.problem, None, "{file}");
            assert!(!one.by_hand.is_empty());
            // Nothing of theirs is touched.
            assert_eq!(std::fs::read_to_string(machine.path(file)).unwrap(), text);
        }
    }
}

#[test]
fn what_cannot_be_taken_over_says_why_and_the_rest_has_words() {
    let machine = desktop();
    machine.write(
        "etc/modprobe.d/vfio.conf",
        "options vfio-pci ids=10de:1111\nblacklist pcspkr\n",
    );
    // The card has moved, and what sits there is another.
    machine.write(
        "boot/config/vfio-pci.cfg",
        "BIND=\"0000:01:00.0|1002:744c 02:00.0\"\n",
    );
    machine.write("etc/driverctl.d/pci-0000:09:00.0", "vfio-pci\n");
    machine.write("etc/driverctl.d/pci-0000:04:00.0", "nvme\n");
    machine.write(
        "etc/pve/mapping/pci.cfg",
        "other\n\tmap id=10de:2204,node=pve2,path=0000:01:00\n",
    );
    machine.write("etc/hostname", "pve1.lan\n");
    let all = found(&machine);
    assert_eq!(all.words.unwrap().words, [NIC]);
    let told: Vec<_> = all
        .found
        .iter()
        .map(|one| (one.text.as_str(), one.problem.as_deref().unwrap_or("")))
        .collect();
    for (text, problem) in [
        (
            "options vfio-pci ids=10de:1111",
            "no function of this machine has one of these IDs",
        ),
        ("0000:01:00.0|1002:744c", "10de:2204 sits there now"),
        (
            "vfio-pci",
            "0000:09:00.0 matches no function of this machine",
        ),
        ("02:00.0", ""),
    ] {
        let one = told
            .iter()
            .find(|(own, _)| *own == text)
            .unwrap_or_else(|| panic!("{text}: {told:?}"));
        assert!(
            one.1.contains(problem) && one.1.is_empty() == problem.is_empty(),
            "{text}: {told:?}"
        );
    }
    assert_eq!(told.len(), 4, "{told:?}");

    let (exit, out, err) = run(&machine, &["--import"]);
    assert_eq!((exit, err.as_str()), (Some(1), ""), "{out}");
    assert_eq!(out.lines().next(), Some(NIC));
    for piece in [
        "/boot/config/vfio-pci.cfg:1: 02:00.0\n",
        "  no words: no function of this machine has one of these IDs: 10de:1111\n",
        "  by hand: it goes by ID: equal cards are taken as well",
        "once the words are set, remove the file (`driverctl unset-override`",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
}

/// An ID of two equal cards means both, as vfio-pci has it.
#[test]
fn an_id_of_twins_becomes_words_for_both() {
    let machine = Machine::of("nvme-same-model-threadripper-trx40");
    machine.write(
        "etc/modprobe.d/vfio.conf",
        "options vfio-pci ids=1cc1:8201\n",
    );
    let words = found(&machine).words.unwrap();
    assert_eq!(words.selectors.len(), 4, "{:?}", words.words);
    assert!(words.words[0].contains('/'), "{:?}", words.words);
}

#[test]
fn where_nothing_is_held_that_is_said() {
    let machine = desktop();
    let (exit, out, _) = run(&machine, &["--import"]);
    assert_eq!(exit, Some(0));
    assert_eq!(out, "no other manager holds anything for vfio-pci here\n");
    let (exit, _, err) = run(&machine, &[]);
    assert_eq!(exit, Some(2));
    assert!(err.contains("DEVICE"), "{err}");
}

//! What is said of real machines. After a change that is meant, `VFIO_BIND_RENEW=1 cargo test -p vfio-bind-cli --test
//! doctor` writes it anew; read the difference before you commit it.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_cli::commands::doctor::text;
use vfio_bind_cli::doctor;
use vfio_bind_cli::names::Names;
use vfio_bind_cli::terminal::Screen;

use super::machine::Machine;
use crate::snapshot;

/// A machine of agent/tests/topologies whose owner wants its displays and its networks.
fn machine(tsv: &str) -> Machine {
    let machine = Machine::bare("vfio.bind=class:03,class:02");
    let (mut groups, mut amd) = (false, false);
    for row in tsv.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let fields: Vec<_> = row.split('\t').collect();
        let [
            address,
            class,
            vendor,
            device,
            _,
            _,
            _,
            driver,
            group,
            secondary,
        ] = fields[..10]
        else {
            panic!("{row}");
        };
        let group: Option<u32> = group.parse().ok();
        groups |= group.is_some();
        amd |= vendor == "1022";
        let driver = if driver == "-" { "" } else { driver };
        machine.function(address, vendor, device, class, group, driver);
        if let Ok(bus) = u8::from_str_radix(secondary, 16) {
            machine.write(
                &format!("sys/bus/pci/devices/{address}/secondary_bus_number"),
                format!("{bus}\n"),
            );
            machine.write(
                &format!("sys/bus/pci/devices/{address}/subordinate_bus_number"),
                format!("{bus}\n"),
            );
        }
    }
    if groups {
        machine.write(
            if amd {
                "sys/class/iommu/ivhd0/x"
            } else {
                "sys/class/iommu/dmar0/x"
            },
            "",
        );
    }
    machine
}

#[test]
fn real_machines() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(here.join("../agent/tests/topologies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "tsv"))
        .collect();
    files.sort();
    assert!(files.len() >= 12);
    let mut texts = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let machine = machine(&fs::read_to_string(&file).unwrap());
        let root = CString::new(machine.root().as_os_str().as_bytes()).unwrap();
        let report = doctor::report(machine.root(), Tree::open(&root).unwrap(), &[]).unwrap();
        let screen = Screen {
            width: Some(100),
            colour: false,
        };
        let found = text(&report, &Names::default(), true, screen);
        assert!(
            found.lines().all(|line| line.chars().count() <= 100),
            "{name}\n{found}"
        );
        texts.push((name, found));
    }
    snapshot::compare("doctor/snapshots", &texts);
}

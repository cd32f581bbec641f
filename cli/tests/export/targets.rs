//! What each target is given, held against files that were read.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::machine::{Machine, gpu, twins, vf, vmd, z};

/// Every target, with its options.
const TARGETS: [&str; 26] = [
    "libvirt",
    "libvirt --managed yes",
    "libvirt --libvirt 9.0",
    "libvirt --libvirt 10.0",
    "qemu",
    "qemu --iommufd",
    "qemu --monitor add",
    "qemu --monitor add --port rp1",
    "qemu --monitor add --port rp1 --port rp2",
    "qemu --monitor del",
    "stratovirt",
    "stratovirt --monitor add --port pcie.1",
    "stratovirt --monitor add --port pcie.1 --port pcie.2",
    "stratovirt --monitor del",
    "cloud-hypervisor",
    "crosvm",
    "firecracker",
    "proxmox",
    "proxmox --vm 101",
    "proxmox --resource card --vm 101",
    "incus",
    "incus --vm guest",
    "kubevirt",
    "sriov-device-plugin",
    "nfd",
    "prometheus",
];

fn snapshot(name: &str, machine: &Machine, devices: &str) {
    let mut text = String::new();
    for target in TARGETS {
        let ran = machine.export(&format!("{devices} --to {target}"));
        let exit = ran.exit.unwrap();
        let _ = write!(text, "== {devices} --to {target}: {exit}\n{}", ran.out);
        for line in ran.err.lines() {
            let _ = writeln!(text, "! {line}");
        }
        // Either a text, or why there is none.
        assert_eq!(exit == 0, !ran.out.is_empty(), "{target}\n{text}");
        assert!(exit == 0 || !ran.err.is_empty(), "{target}");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/export/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("VFIO_BIND_RENEW").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == known,
        "{} is not what is printed now; after a change that is meant, VFIO_BIND_RENEW=1 writes it anew:\n{text}",
        file.display()
    );
}

#[test]
fn a_graphics_card_with_its_audio() {
    snapshot("gpu", &gpu(), "42:00.*");
}

#[test]
fn a_domain_with_five_digits() {
    snapshot("vmd", &vmd(), "10000:e1:00.0");
}

#[test]
fn an_ibm_z() {
    snapshot("z", &z(), "0021:00:00.0 0022:00:00.0");
}

#[test]
fn virtual_functions() {
    snapshot("vf", &vf(), "vf:03:00.0#0-1");
}

#[test]
fn one_of_two_twins() {
    snapshot("twins", &twins(), "04:00.0");
}

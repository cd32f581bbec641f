//! Plans by the image that will boot.

use crate::initramfs::image;
use crate::machine::{Machine, desktop};
use crate::plan::plan;

const AGENT: (&str, &str) = ("usr/bin/vfio-bind-agent", "x");
const MODULE: (&str, &str) = ("usr/lib/modules/6.12.1/kernel/vfio-pci.ko.xz", "x");
const LIST: (&str, &str) = ("etc/vfio-bind/protected.conf", "");

fn machine() -> Machine {
    let machine = desktop();
    machine.write("proc/sys/kernel/osrelease", "6.12.1\n");
    machine.write("lib/modules/6.12.1/modules.dep", "kernel/vfio-pci.ko.xz:\n");
    machine
}

#[test]
fn policy_and_protections_are_those_of_the_image() {
    let machine = machine();
    let policy = ("etc/vfio-bind/policy.conf", "vfio.bind=02:00.0\n");
    let list = (
        "etc/vfio-bind/protected.conf",
        "vfio.protect=0000:00:01.0/00.0@10de:2204  # /: sda1\n",
    );
    let modprobe = (
        "etc/modprobe.d/vfio.conf",
        "options vfio-pci ids=8086:a352\n",
    );
    let text = image(&[AGENT, MODULE, policy, list, modprobe]);
    machine.write("boot/initrd.img-6.12.1", &text);
    // What the system has says otherwise, and does not count.
    machine.write("etc/vfio-bind/policy.conf", "vfio.bind=00:14.0\n");
    machine.write(
        "etc/modprobe.d/other.conf",
        "options vfio-pci ids=144d:a808\n",
    );
    let (exit, out, err) = plan(&machine, &["01:00.0"]);
    assert_eq!((exit, err.as_str()), (Some(1), ""), "{out}");
    for piece in [
        "policy and protections are those of /boot/initrd.img-6.12.1\n",
        "-> vfio-pci (vfio.bind=02:00.0)",
        "-> vfio-pci (vfio_pci.ids=8086:a352)",
        "refused: 0000:01:00.0 of its IOMMU group is protected",
        "note: 0000:01:00.0 is protected: /: sda1",
        "warning: /etc/vfio-bind/policy.conf is not what /boot/initrd.img-6.12.1 has of it",
    ] {
        assert!(out.contains(piece), "{piece}: {out}");
    }
    for absent in [
        "0000:00:14.0",
        "0000:04:00.0",
        "no module vfio-pci",
        "not looked into",
    ] {
        assert!(!out.contains(absent), "{absent}: {out}");
    }
}

#[test]
fn an_image_without_the_agent_or_the_module_or_a_list_is_told_loudly() {
    let machine = machine();
    machine.write("etc/initramfs-tools/initramfs.conf", "");
    let told = |files: &[(&str, &str)]| {
        machine.write("boot/initrd.img-6.12.1", image(files));
        plan(&machine, &["02:00.0"])
    };
    let (exit, out, _) = told(&[AGENT, MODULE, LIST]);
    assert_eq!(exit, Some(0), "{out}");
    assert!(!out.contains("warning"), "{out}");
    let (exit, out, _) = told(&[MODULE, LIST]);
    assert_eq!(exit, Some(1), "{out}");
    assert!(
        out.contains("does not have the agent: nothing will be bound"),
        "{out}"
    );
    assert!(out.contains("(`update-initramfs -u`)"), "{out}");
    let (_, out, _) = told(&[AGENT, LIST]);
    assert!(
        out.contains("warning: /boot/initrd.img-6.12.1 has no module vfio-pci"),
        "{out}"
    );
    let (_, out, _) = told(&[AGENT, MODULE]);
    assert!(
        out.contains("has no list of what the system boots from"),
        "{out}"
    );
    let (_, out, _) = plan(&machine, &["144d:a808"]);
    assert!(
        out.contains("refused: 0000:04:00.0 stores, and this image does not know"),
        "{out}"
    );
}

#[test]
fn an_image_that_cannot_be_read_is_said_and_the_files_of_the_system_count() {
    let machine = machine();
    machine.write("etc/vfio-bind/policy.conf", "vfio.bind=02:00.0\n");
    for (write, why) in [
        (None, "no image of Linux 6.12.1 was found in /boot"),
        (
            Some(&b"no archive"[..]),
            "/boot/initrd.img-6.12.1: an archive begins with",
        ),
    ] {
        if let Some(text) = write {
            machine.write("boot/initrd.img-6.12.1", text);
        }
        let (exit, out, _) = plan(&machine, &[]);
        assert_eq!(exit, Some(0), "{out}");
        assert!(out.contains("-> vfio-pci (vfio.bind=02:00.0)"), "{out}");
        assert!(
            out.contains(&format!(
                "the image that will boot was not looked into ({why}"
            )),
            "{out}"
        );
    }
}

/// Each place where images are, with what else is there.
#[test]
fn the_image_is_found_where_each_tool_puts_it() {
    let stub = "sys/firmware/efi/efivars/StubInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    for (path, others) in [
        ("boot/initrd.img-6.12.1", &[][..]),
        ("boot/initramfs-6.12.1.img", &[]),
        ("boot/initrd-6.12.1", &[]),
        (
            "boot/initramfs-linux.img",
            &[("usr/lib/modules/6.12.1/pkgbase", "linux\n")],
        ),
        ("efi/0123/6.12.1/initrd", &[]),
        ("boot/ostree/default-1/initramfs-6.12.1.img", &[]),
        (
            "boot/efi/EFI/arch/main.img",
            &[
                (
                    "proc/cmdline",
                    "initrd=\\ucode.img initrd=\\EFI\\arch\\main.img quiet\n",
                ),
                ("boot/initrd.img-6.12.1", "another"),
            ],
        ),
        (
            "efi/EFI/Linux/arch.efi",
            &[(stub, "x"), ("boot/initrd.img-6.12.1", "another")],
        ),
        ("efi/EFI/Linux/arch.efi", &[]),
    ] {
        let machine = machine();
        for (file, text) in others {
            machine.write(file, text);
        }
        let text = image(&[AGENT, MODULE, LIST]);
        let text = if path.ends_with(".efi") {
            unified("6.12.1", &text)
        } else {
            text
        };
        machine.write(path, &text);
        machine.write("efi/EFI/Linux/old.efi", unified("6.1.0", b"old"));
        let (exit, out, _) = plan(&machine, &["02:00.0"]);
        assert_eq!(exit, Some(0), "{path}: {out}");
        assert!(
            out.contains(&format!("those of /{path}\n")),
            "{path}: {out}"
        );
    }
}

/// An EFI program with a release and an image in it.
fn unified(release: &str, image: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[60..64].copy_from_slice(&128_u32.to_le_bytes());
    bytes[128..132].copy_from_slice(b"PE\0\0");
    bytes[134..136].copy_from_slice(&2_u16.to_le_bytes());
    bytes[148..150].copy_from_slice(&240_u16.to_le_bytes());
    let table = 128 + 24 + 240;
    let mut at = 1024;
    for (number, (name, text)) in [(".uname", release.as_bytes()), (".initrd", image)]
        .into_iter()
        .enumerate()
    {
        let row = table + number * 40;
        bytes[row..row + name.len()].copy_from_slice(name.as_bytes());
        let padded = text.len().next_multiple_of(512);
        for (field, value) in [(8, text.len()), (16, padded), (20, at)] {
            let value = u32::try_from(value).unwrap();
            bytes[row + field..row + field + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend(text);
        bytes.resize(at + padded, 0);
        at += padded;
    }
    bytes
}

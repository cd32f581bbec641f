//! The checks that are about the machine: what is well, what is not, and where there is nothing to check.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, SystemTime};

use super::initramfs::image as packed;
use super::machine::{GPU, Machine};

#[test]
fn policy() {
    Machine::bare("ro").expect("policy", "NOT APPLICABLE", "nothing is asked for");
    let machine = Machine::new();
    machine.expect(
        "policy",
        "PASS",
        "a boot binds what is asked for: 1 function",
    );
    machine
        .write("proc/cmdline", "vfio.bind=42:00.0,43:00.0")
        .expect("policy", "FAIL", "vfio.bind=43:00.0");
    machine
        .write("proc/cmdline", "vfio.bind=42:00.0,!42:00.0")
        .expect("policy", "WARN", "a boot binds nothing");
    machine
        .write("proc/cmdline", "vfio.bind=42:00.0,zz")
        .expect("policy", "FAIL", "zz");
    machine
        .write("proc/cmdline", "vfio.bind=42:00.0")
        .write("etc/vfio-bind/protected.conf", "vfio.protect=42:00.0");
    machine.expect("policy", "FAIL", "0000:42:00.0 is refused");
}

#[test]
fn image() {
    let machine = Machine::new();
    machine.expect(
        "agent-in-image",
        "NOT APPLICABLE",
        "which kernel runs is not known",
    );
    machine.expect(
        "image-age",
        "NOT APPLICABLE",
        "which kernel runs is not known",
    );
    machine
        .write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
        .write("boot/initrd.img-6.1.0-18-amd64", "what is no archive")
        .write("etc/vfio-bind/policy.conf", "")
        .write("usr/sbin/update-initramfs", "");
    machine.expect(
        "agent-in-image",
        "UNKNOWN",
        "/boot/initrd.img-6.1.0-18-amd64 could not be read: an archive begins with",
    );
    const AGENT: (&str, &str) = ("usr/bin/vfio-bind-agent", "x");
    const MODULE: (&str, &str) = ("usr/lib/modules/6.1.0-18-amd64/vfio-pci.ko.xz", "x");
    for (files, verdict, fact) in [
        (
            &[MODULE][..],
            "FAIL",
            "the agent is not in /boot/initrd.img",
        ),
        (&[AGENT], "WARN", "and vfio-pci is not"),
        (&[AGENT, MODULE], "PASS", "the agent and vfio-pci are in"),
    ] {
        machine.write("boot/initrd.img-6.1.0-18-amd64", packed(files));
        machine.expect("agent-in-image", verdict, fact);
    }
    let set = |path: &str, age: u64| {
        let file = File::options()
            .append(true)
            .open(machine.path(path))
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .unwrap();
    };
    set("boot/initrd.img-6.1.0-18-amd64", 10);
    set("etc/vfio-bind/policy.conf", 20);
    machine.expect("image-age", "PASS", "is newer than what it carries");
    machine.write("etc/modprobe.d/vfio.conf", "");
    machine.expect(
        "image-age",
        "WARN",
        "is older than /etc/modprobe.d/vfio.conf -> update-initramfs -u",
    );
    set("etc/modprobe.d/vfio.conf", 20);
    machine.expect("image-age", "PASS", "");
}

#[test]
fn iommu_in_firmware() {
    let machine = Machine::new();
    machine.expect(
        "iommu-firmware",
        "PASS",
        "Intel VT-d: ACPI has a table DMAR",
    );
    machine
        .remove("sys/firmware")
        .expect("iommu-firmware", "PASS", "the kernel uses one (intel)");
    machine.remove("sys/class/iommu").expect(
        "iommu-firmware",
        "NOT APPLICABLE",
        "no /sys/firmware",
    );
    machine.write("sys/firmware/acpi/tables/APIC", "").expect(
        "iommu-firmware",
        "FAIL",
        "turn on VT-d",
    );
    machine
        .write("proc/cpuinfo", "vendor_id : AuthenticAMD\n")
        .expect("iommu-firmware", "FAIL", "AMD-Vi");
    machine
        .write("proc/cpuinfo", "vendor_id : IBM/S390\n")
        .expect("iommu-firmware", "NOT APPLICABLE", "IBM Z");
}

#[test]
fn iommu_active() {
    let machine = Machine::new();
    machine.expect("iommu-active", "PASS", "intel, with 1 IOMMU group");
    machine.remove("sys/kernel/iommu_groups").expect(
        "iommu-active",
        "WARN",
        "no function has an IOMMU group yet",
    );
    machine
        .remove("sys/class/iommu")
        .expect("iommu-active", "FAIL", "add intel_iommu=on");
}

#[test]
fn intel_default() {
    let machine = Machine::new();
    let config = "boot/config-6.1.0";
    machine.expect(
        "intel-default",
        "NOT APPLICABLE",
        "neither /boot/config-RELEASE",
    );
    machine.write("proc/sys/kernel/osrelease", "6.1.0\n");
    for (set, line, verdict, piece) in [
        ("ON", "vfio.bind=42:00.0", "PASS", "on without a parameter"),
        ("OFF", "vfio.bind=42:00.0", "FAIL", "add intel_iommu=on"),
        (
            "OFF",
            "vfio.bind=42:00.0 intel_iommu=on",
            "PASS",
            "turns it on",
        ),
        (
            "ON_INTGPU_OFF",
            "vfio.bind=42:00.0",
            "PASS",
            "except for Intel's own graphics",
        ),
    ] {
        machine
            .write(config, format!("CONFIG_INTEL_IOMMU_DEFAULT_{set}=y\n"))
            .write("proc/cmdline", line);
        machine.expect("intel-default", verdict, piece);
    }
    machine.function("0000:00:02.0", "8086", "9bc5", "030000", Some(1), "i915");
    machine.write("proc/cmdline", "vfio.bind=00:02.0").expect(
        "intel-default",
        "FAIL",
        "0000:00:02.0 is that",
    );
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed
        .write_all(b"CONFIG_INTEL_IOMMU_DEFAULT_ON=y\n")
        .unwrap();
    machine
        .remove(config)
        .write("proc/config.gz", packed.finish().unwrap());
    machine.expect("intel-default", "PASS", "on without a parameter");
    machine
        .write("proc/cpuinfo", "vendor_id : AuthenticAMD\n")
        .expect("intel-default", "NOT APPLICABLE", "VT-d");
}

#[test]
fn interrupts() {
    let machine = Machine::new();
    machine.expect(
        "interrupt-remapping",
        "NOT APPLICABLE",
        "nor /proc/interrupts",
    );
    machine.write("proc/interrupts", " 8: 1 IO-APIC 8-edge rtc0\n");
    machine.expect("interrupt-remapping", "FAIL", "VFIO refuses");
    machine.write("proc/interrupts", " 8: 1 IR-IO-APIC 8-edge rtc0\n");
    machine.expect("interrupt-remapping", "PASS", "IR-IO-APIC");
    machine
        .write("sys/kernel/irq/24/chip_name", "PCI-MSI\n")
        .expect("interrupt-remapping", "FAIL", "");
    machine.write("sys/kernel/irq/25/chip_name", "IR-PCI-MSI-0000:42:00.0\n");
    machine.expect("interrupt-remapping", "PASS", "IR-PCI-MSI");
    machine.remove("sys/class/iommu").expect(
        "interrupt-remapping",
        "NOT APPLICABLE",
        "without an IOMMU",
    );
    machine
        .write("proc/cpuinfo", "CPU implementer : 0x41\n")
        .expect("interrupt-remapping", "NOT APPLICABLE", "x86");
}

#[test]
fn unsafe_interrupts() {
    let machine = Machine::new();
    let check = "unsafe-interrupts";
    machine.expect(check, "NOT APPLICABLE", "vfio_iommu_type1 is not loaded");
    machine
        .write("proc/cmdline", "vfio_iommu_type1.allow_unsafe_interrupts=1")
        .expect(check, "WARN", "remove it");
    machine.write("proc/cmdline", "ro");
    let parameter = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
    machine
        .write(parameter, "N\n")
        .expect(check, "PASS", "is off");
    machine
        .write(parameter, "Y\n")
        .expect(check, "WARN", "allow_unsafe_interrupts is on");
    machine.write(
        "sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
        "Y\n",
    );
    machine.expect(check, "WARN", "without an IOMMU");
}

#[test]
fn acs_override() {
    let machine = Machine::new();
    machine.expect("acs-override", "PASS", "not set");
    machine
        .write("proc/cmdline", "pcie_acs_override=downstream")
        .expect("acs-override", "WARN", "downstream");
    machine
        .remove("proc/cmdline")
        .expect("acs-override", "NOT APPLICABLE", "not known");
}

#[test]
fn vfio_modules() {
    let machine = Machine::new();
    let check = "vfio-modules";
    machine.expect(check, "NOT APPLICABLE", "which kernel runs");
    machine
        .write("proc/sys/kernel/osrelease", "6.1.0\n")
        .expect(check, "NOT APPLICABLE", "no modules");
    machine
        .write("lib/modules/6.0.0/modules.dep", "")
        .expect(check, "WARN", "(6.1.0) are gone");
    machine
        .write("lib/modules/6.1.0/modules.dep", "kernel/a.ko:\n")
        .expect(check, "FAIL", "has no vfio-pci");
    machine.write(
        "lib/modules/6.1.0/modules.dep",
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/vfio.ko\n",
    );
    machine.expect(check, "PASS", "is a module");
    machine.write(
        "lib/modules/6.1.0/modules.builtin",
        "kernel/drivers/vfio/pci/vfio-pci.ko\n",
    );
    machine.expect(check, "PASS", "a part of the kernel");
    machine
        .write("sys/bus/pci/drivers/vfio-pci/bind", "")
        .expect(check, "PASS", "vfio-pci is there");
    machine
        .write(
            "etc/initramfs-tools/modules",
            "# vfio_virqfd\nvfio_virqfd\n",
        )
        .expect(check, "PASS", "");
    machine
        .write("proc/sys/kernel/osrelease", "6.2.0-1\n")
        .expect(check, "WARN", "vfio_virqfd");
    machine
        .write("etc/initramfs-tools/modules", "# vfio_virqfd\n")
        .expect(check, "PASS", "");
}

#[test]
fn other_managers() {
    let check = "other-managers";
    Machine::new().expect(check, "PASS", "nothing else");
    for (place, text, piece) in [
        (
            "etc/modprobe.d/vfio.conf",
            "\noptions vfio-pci ids=10de:2204\n",
            "/etc/modprobe.d/vfio.conf:2: options",
        ),
        (
            "etc/modprobe.d/vfio.conf",
            "blacklist nouveau\n",
            "keeps the driver from all other devices",
        ),
        (
            "etc/modprobe.d/vfio.conf",
            "softdep nouveau pre: vfio-pci\n",
            "a softdep orders nothing",
        ),
        (
            "etc/modprobe.d/vfio.conf",
            "install vfio-pci /bin/false\n",
            "an install line",
        ),
        (
            "etc/driverctl.d/0000:42:00.0",
            "vfio-pci\n",
            "driverctl has overrides for 0000:42:00.0",
        ),
        (
            "boot/config/vfio-pci.cfg",
            "BIND=0000:42:00.0|10de:2204\n",
            "Unraid",
        ),
        (
            "etc/initramfs-tools/modules",
            "vfio-pci ids=10de:2204\n",
            "/etc/initramfs-tools/modules: vfio-pci ids=",
        ),
        (
            "proc/cmdline",
            "pci-stub.ids=10de:2204",
            "pci-stub.ids=10de:2204",
        ),
    ] {
        Machine::new()
            .write(place, text)
            .expect(check, "WARN", piece);
    }
}

#[test]
fn secure_boot_and_lockdown() {
    let machine = Machine::new();
    machine.expect("secure-boot", "NOT APPLICABLE", "not started by EFI");
    machine.expect("lockdown", "NOT APPLICABLE", "no lockdown");
    let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    machine
        .write("sys/firmware/efi/fw_platform_size", "64")
        .expect("secure-boot", "NOT APPLICABLE", "does not tell");
    machine
        .write(variable, [6, 0, 0, 0, 1])
        .expect("secure-boot", "PASS", "is on");
    machine
        .write(variable, [6, 0, 0, 0, 0])
        .expect("secure-boot", "PASS", "is off");
    let lockdown = "sys/kernel/security/lockdown";
    machine
        .write(lockdown, "[none] integrity confidentiality\n")
        .expect("lockdown", "PASS", "not locked");
    machine
        .write(lockdown, "none [integrity] confidentiality\n")
        .expect("lockdown", "PASS", "(integrity)");
}

#[test]
fn memory() {
    let machine = Machine::new();
    machine.expect("memlock", "NOT APPLICABLE", "no /proc/self/limits");
    let limits = |soft: &str| {
        format!("Limit Soft Hard Units\nMax locked memory         {soft}    unlimited   bytes\n")
    };
    machine
        .write("proc/self/limits", limits("unlimited"))
        .expect("memlock", "PASS", "all memory");
    machine.write("proc/self/limits", limits("8388608")).expect(
        "memlock",
        "WARN",
        "USER - memlock 5242880",
    );
    machine.expect("hugepages", "NOT APPLICABLE", "no /proc/meminfo");
    machine.write("proc/meminfo", "MemTotal: 1 kB\n").expect(
        "hugepages",
        "NOT APPLICABLE",
        "no huge pages",
    );
    let pages = |total: u32| {
        format!(
            "MemTotal: 1 kB\nHugePages_Total: {total}\nHugePages_Free: 3\nHugepagesize: 2048 kB\n"
        )
    };
    machine
        .write("proc/meminfo", pages(0))
        .expect("hugepages", "PASS", "set aside");
    machine.write("proc/meminfo", pages(8)).expect(
        "hugepages",
        "PASS",
        "8 huge pages of 2 MiB are set aside, 3",
    );
}

#[test]
fn interfaces_of_the_kernel() {
    let machine = Machine::new();
    machine.expect("iommufd", "NOT APPLICABLE", "no /dev/iommu");
    machine
        .write("dev/iommu", "")
        .expect("iommufd", "PASS", "no nodes of its own");
    machine
        .write("sys/class/vfio-dev/x", "")
        .expect("iommufd", "PASS", "VFIO's own nodes");
    machine.expect("nested", "NOT APPLICABLE", "no virtual machine");
    machine
        .write("sys/module/kvm_intel/parameters/nested", "N\n")
        .expect("nested", "PASS", "may not");
    machine
        .write("sys/module/kvm_intel/parameters/nested", "Y\n")
        .expect("nested", "PASS", "guests may have");
    machine
        .write("proc/cpuinfo", "flags : fpu hypervisor\n")
        .expect("nested", "PASS", "a virtual one");
    machine
        .remove("proc/cpuinfo")
        .expect("nested", "NOT APPLICABLE", "/proc/cpuinfo");
}

#[test]
fn ibm_z() {
    let machine = Machine::new();
    machine
        .expect("ibm-z", "NOT APPLICABLE", "no IBM Z")
        .expect("z-function", "NOT APPLICABLE", "no IBM Z");
    machine
        .write("proc/cpuinfo", "vendor_id       : IBM/S390\n")
        .expect("ibm-z", "PASS", "nothing");
    for (word, verdict) in [
        ("off", "FAIL"),
        ("norid", "WARN"),
        ("nomio", "WARN"),
        ("noats", "PASS"),
    ] {
        machine.write("proc/cmdline", format!("vfio.bind=42:00.0 pci={word}"));
        machine.expect("ibm-z", verdict, if verdict == "PASS" { "" } else { word });
    }
    machine.expect("z-function", "NOT APPLICABLE", "UID and FID");
    machine
        .gpu("uid", "0x1\n")
        .gpu("function_id", "0x00000010\n")
        .gpu("uid_is_unique", "1\n");
    machine.expect("z-function", "PASS", "UID 0x1, FID 0x00000010");
    machine
        .gpu("uid_is_unique", "0\n")
        .expect("z-function", "WARN", "UID checking");
    assert_eq!(
        machine
            .findings(&[])
            .iter()
            .filter(|one| one.function.as_deref() == Some(GPU))
            .count(),
        14
    );
}

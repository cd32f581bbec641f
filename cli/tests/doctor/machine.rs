//! A machine made of a directory.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_cli::doctor;
use vfio_bind_cli::doctor::finding::Finding;

pub const GPU: &str = "0000:42:00.0";
pub const GPU_DIRECTORY: &str = "sys/bus/pci/devices/0000:42:00.0";

pub struct Machine(tempfile::TempDir);

impl Machine {
    /// A PC of Intel's with an IOMMU and one graphics card, which `vfio.bind=` names, in a group of its own.
    pub fn new() -> Self {
        let machine = Self::bare("vfio.bind=42:00.0 ro");
        machine.write(
            "proc/cpuinfo",
            "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n",
        );
        machine.write("sys/firmware/acpi/tables/DMAR", "");
        machine.write("sys/class/iommu/dmar0/x", "");
        machine.function(GPU, "10de", "2204", "030000", Some(14), "nouveau");
        machine
    }

    /// One with nothing but a command line.
    pub fn bare(line: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("proc/cmdline", line);
        machine.write("proc/self/mountinfo", "22 1 0:21 / / rw - tmpfs tmpfs rw\n");
        machine.write("etc/vfio-bind/protected.conf", "");
        machine
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn remove(&self, path: &str) -> &Self {
        let path = self.path(path);
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
        self
    }

    /// A link as sysfs makes it: relative.
    pub fn link(&self, at: &str, target: &str) -> &Self {
        self.remove(at);
        let path = self.path(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("../".repeat(at.split('/').count() - 1) + target, path).unwrap();
        self
    }

    pub fn function(
        &self,
        address: &str,
        vendor: &str,
        device: &str,
        class: &str,
        group: Option<u32>,
        driver: &str,
    ) -> &Self {
        let place = format!("sys/bus/pci/devices/{address}");
        let [base, sub, interface] = [0, 2, 4].map(|at| &class[at..at + 2]);
        let (v, d) = (vendor.to_uppercase(), device.to_uppercase());
        self.write(
            &format!("{place}/modalias"),
            format!("pci:v0000{v}d0000{d}sv00000000sd00000000bc{base}sc{sub}i{interface}\n"),
        );
        if let Some(group) = group {
            let directory = format!("sys/kernel/iommu_groups/{group}");
            self.link(&format!("{place}/iommu_group"), &directory);
            self.write(&format!("{directory}/devices/{address}"), "");
        }
        if !driver.is_empty() {
            self.link(
                &format!("{place}/driver"),
                &format!("sys/bus/pci/drivers/{driver}"),
            );
        }
        self
    }

    /// A bridge that leads to one bus.
    pub fn bridge(&self, address: &str, bus: u8, group: u32) -> &Self {
        self.function(address, "8086", "1901", "060400", Some(group), "pcieport");
        let place = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{place}/secondary_bus_number"), format!("{bus}\n"));
        self.write(
            &format!("{place}/subordinate_bus_number"),
            format!("{bus}\n"),
        )
    }

    pub fn gpu(&self, attribute: &str, text: impl AsRef<[u8]>) -> &Self {
        self.write(&format!("{GPU_DIRECTORY}/{attribute}"), text)
    }

    pub fn findings(&self, devices: &[&str]) -> Vec<Finding> {
        let root = CString::new(self.root().as_os_str().as_bytes()).unwrap();
        let tree = Tree::open(&root).unwrap();
        let devices: Vec<_> = devices.iter().map(|one| (*one).to_owned()).collect();
        doctor::report(self.root(), tree, &devices)
            .unwrap()
            .findings
    }

    /// What the check says, of the machine or of the first function: its verdict, then the fact and what mends it.
    pub fn says(&self, check: &str) -> (String, String) {
        let findings = self.findings(&[]);
        let finding = findings.iter().find(|finding| finding.check == check);
        let finding = finding.unwrap_or_else(|| panic!("no {check}: {findings:?}"));
        let mend = finding.mend.clone().unwrap_or_default();
        (
            finding.verdict.to_string(),
            format!("{} -> {mend}", finding.fact),
        )
    }

    #[track_caller]
    pub fn expect(&self, check: &str, verdict: &str, piece: &str) -> &Self {
        let (found, text) = self.says(check);
        assert_eq!(found, verdict, "{check}: {text}");
        assert!(text.contains(piece), "{check}: `{piece}` is not in: {text}");
        self
    }
}

//! A system in a directory, with what runs have left.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_cli::inventory;
use vfio_bind_cli::status::last_good::Snapshot;

pub const GPU: &str = "0000:42:00.0";
pub const NIC: &str = "0000:43:00.0";

pub struct System(tempfile::TempDir);

impl System {
    /// With a GPU and a NIC in groups of their own, and these drivers of them.
    pub fn new(line: &str, gpu: &str, nic: &str) -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        system.write("proc/cmdline", line);
        system.write("proc/sys/kernel/random/boot_id", "first\n");
        system.write("proc/self/mountinfo", "22 1 0:21 / / rw - tmpfs tmpfs rw\n");
        system.put(GPU, "12341111", "03", 14, gpu);
        system.put(NIC, "80861572", "02", 15, nic);
        system
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn put(&self, address: &str, id: &str, class: &str, group: u32, driver: &str) {
        let device = format!("sys/bus/pci/devices/{address}");
        let (vendor, model) = id.split_at(4);
        self.write(
            &format!("{device}/modalias"),
            &format!("pci:v0000{vendor}d0000{model}sv00000000sd00000000bc{class}sc00i00"),
        );
        let device = self.root().join(device);
        symlink(
            format!("../../../../kernel/iommu_groups/{group}"),
            device.join("iommu_group"),
        )
        .unwrap();
        if !driver.is_empty() {
            symlink(format!("../../drivers/{driver}"), device.join("driver")).unwrap();
        }
    }

    pub fn remove(&self, address: &str) {
        fs::remove_dir_all(self.root().join("sys/bus/pci/devices").join(address)).unwrap();
    }

    /// A record with what became of one function.
    pub fn record(&self, file: &str, address: &str, outcome: &str, driver: &str) {
        let text = format!(
            r#"{{"schema":1,"agent":"0.1.0","kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
                "functions":[{{"address":"{address}","vendor":"1234","device":"1111","subvendor":"0000",
                "subdevice":"0000","class":"030000","group":14,"driver_before":null,"driver_now":"{driver}",
                "outcome":"{outcome}","reason":"because"}}],"exit":0,"elapsed_us":9000}}"#
        );
        self.write(&format!("run/vfio-bind/{file}"), &text);
    }

    pub fn status(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run("status", arguments)
    }

    pub fn run(&self, command: &str, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
            .args([command, "--root"])
            .arg(self.root())
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    pub fn snapshot(&self) -> Snapshot {
        let root = CString::new(self.root().as_os_str().as_bytes()).unwrap();
        let tree = Tree::open(&root).unwrap();
        let functions = inventory::functions(&tree).unwrap();
        Snapshot::of(self.root(), &tree, &functions)
    }
}

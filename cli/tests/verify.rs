//! `vfio-bind verify`: what was asked for and what was bound, beside the machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const GPU: &str = "0000:42:00.0";
const NIC: &str = "0000:43:00.0";

struct System(tempfile::TempDir);

impl System {
    /// With a GPU and a NIC in groups of their own, and these drivers of them.
    fn new(line: &str, gpu: &str, nic: &str) -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        system.write("proc/cmdline", line);
        system.put(
            GPU,
            "pci:v00001234d00001111sv00000000sd00000000bc03sc00i00",
            14,
            gpu,
        );
        system.put(
            NIC,
            "pci:v00008086d00001572sv00000000sd00000000bc02sc00i00",
            15,
            nic,
        );
        system
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn put(&self, address: &str, modalias: &str, group: u32, driver: &str) {
        let device = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{device}/modalias"), modalias);
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

    /// A record with what became of one function.
    fn record(&self, file: &str, address: &str, outcome: &str, driver: &str, rest: &str) {
        let text = format!(
            r#"{{{rest}"schema":1,"kernel":"6.1","state":"applied","iommu":{{"kind":"intel"}},"policy":{{}},
                "functions":[{{"address":"{address}","vendor":"1234","device":"1111","subvendor":"0000",
                "subdevice":"0000","class":"030000","group":14,"driver_before":null,"driver_now":"{driver}",
                "outcome":"{outcome}"}}],"exit":0,"elapsed_us":9}}"#
        );
        self.write(&format!("run/vfio-bind/{file}"), &text);
    }

    fn verify(&self) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
            .args(["verify", "--root"])
            .arg(self.root())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), format!("{text}{errors}"))
    }
}

#[test]
fn what_is_asked_for_and_so_is_good() {
    let system = System::new("vfio.bind=42:00.0", "vfio-pci", "i40e");
    system.record("report.json", GPU, "bound", "vfio-pci", "");
    let expected = "0000:42:00.0: on vfio-pci (vfio.bind=42:00.0)\n";
    assert_eq!(system.verify(), (0, expected.to_owned()));
    let idle = System::new("quiet", "bochs-drm", "i40e");
    let expected = "nothing is asked for, and nothing was bound\n";
    assert_eq!(idle.verify(), (0, expected.to_owned()));
}

#[test]
fn what_is_asked_for_and_not_so_is_wrong() {
    let line = "vfio.bind=42:00.0,43:00.0,44:00.0";
    let system = System::new(line, "bochs-drm", "");
    system.record("report.json", GPU, "bound", "vfio-pci", "");
    system.write(
        "etc/vfio-bind/protected.conf",
        "vfio.protect=43:00.0  # nfs\n",
    );
    let (exit, text) = system.verify();
    assert_eq!(exit, 1);
    for piece in [
        "WRONG: 0000:42:00.0: not on vfio-pci (vfio.bind=42:00.0): it was bound to vfio-pci since the boot, and \
         bochs-drm has it; `vfio-bind bind` takes it, unless it is in use\n",
        "WRONG: 0000:43:00.0: refused (vfio.bind=43:00.0): ",
        "; it has no driver\n",
        "WRONG: vfio.bind=44:00.0 ",
    ] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
}

#[test]
fn what_was_bound_and_is_not_asked_for_any_more_is_looked_at_too() {
    for (driver, exit, told) in [
        (
            "vfio-pci",
            0,
            "0000:42:00.0: on vfio-pci, and not asked for any more\n",
        ),
        (
            "bochs-drm",
            1,
            "WRONG: 0000:42:00.0: it was bound to vfio-pci since the boot, and bochs-drm has it\n",
        ),
        (
            "",
            1,
            "WRONG: 0000:42:00.0: it was bound to vfio-pci since the boot, and has no driver\n",
        ),
    ] {
        let system = System::new("quiet", driver, "i40e");
        system.record("report.json", GPU, "bound", "vfio-pci", "");
        assert_eq!(system.verify(), (exit, told.to_owned()));
        // A later run says otherwise, or the same of another function.
        system.record("run-1/report.json", GPU, "returned", "bochs-drm", "");
        assert_eq!(system.verify().0, 0, "{driver}");
        system.record("run-2/report.json", "0000:99:00.0", "bound", "vfio-pci", "");
        let expected =
            "WRONG: 0000:99:00.0: it was bound to vfio-pci since the boot, and is gone\n";
        assert_eq!(system.verify(), (1, expected.to_owned()));
    }
    // What went back, as no root file system appeared, is as it should be.
    let system = System::new("quiet", "bochs-drm", "i40e");
    let back = r#""given_back":["0000:42:00.0 bochs-drm"],"#;
    system.record("report.json", GPU, "bound", "vfio-pci", back);
    assert_eq!(system.verify().0, 0);
}

#[test]
fn what_cannot_be_read_is_told() {
    let system = System::new("quiet", "bochs-drm", "i40e");
    system.write("run/vfio-bind/report.json", "{");
    let (exit, text) = system.verify();
    assert!(
        exit == 1 && text.contains("report.json: it is no record"),
        "{text}"
    );
    fs::remove_file(system.root().join("proc/cmdline")).unwrap();
    fs::remove_file(system.root().join("run/vfio-bind/report.json")).unwrap();
    let (exit, text) = system.verify();
    assert!(exit == 1 && text.contains("proc/cmdline"), "{text}");
}

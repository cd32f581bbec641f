//! Machines, and the command run on them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The `sys` of a machine.
pub struct Machine(tempfile::TempDir);

/// A function: its address, IDs with class (`10de:2204:10de:1467:030000`), group and driver.
pub struct Card<'a>(
    pub &'a str,
    pub &'a str,
    pub Option<u32>,
    pub Option<&'a str>,
);

/// What a run of the command came to.
pub struct Ran {
    pub exit: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Machine {
    pub fn new(cards: &[Card<'_>]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        // A list of its own, so that the names are the same wherever this runs.
        machine.write(
            "usr/share/misc/pci.ids",
            "10de  NVIDIA Corporation\n\t2204  GA102 [GeForce RTX 3090]\n",
        );
        for Card(address, ids, group, driver) in cards {
            let device = format!("sys/bus/pci/devices/{address}");
            let parts: Vec<_> = ids.split(':').collect();
            let [vendor, id, subvendor, subdevice, class] = parts[..] else {
                panic!("{ids}");
            };
            let modalias = format!(
                "pci:v0000{}d0000{}sv0000{}sd0000{}bc{}sc{}i{}\n",
                vendor.to_uppercase(),
                id.to_uppercase(),
                subvendor.to_uppercase(),
                subdevice.to_uppercase(),
                &class[..2],
                &class[2..4],
                &class[4..]
            );
            machine.write(&format!("{device}/modalias"), &modalias);
            if class.starts_with("0604") {
                machine.write(&format!("{device}/secondary_bus_number"), "0\n");
                machine.write(&format!("{device}/subordinate_bus_number"), "0\n");
            }
            if let Some(group) = group {
                machine.link(
                    &format!("{device}/iommu_group"),
                    &format!("../../../../kernel/iommu_groups/{group}"),
                );
            }
            if let Some(driver) = driver {
                machine.link(
                    &format!("{device}/driver"),
                    &format!("../../../../bus/pci/drivers/{driver}"),
                );
            }
        }
        machine
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Runs `export` with these words.
    pub fn export(&self, words: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .args(["export", "--root"])
            .arg(self.0.path())
            .args(words.split_whitespace())
            .env_remove("COLUMNS")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            exit: status.code(),
            out: text(stdout),
            err: text(stderr),
        }
    }
}

/// A graphics card with its audio, in one group; another card is far away.
pub fn gpu() -> Machine {
    Machine::new(&[
        Card(
            "0000:00:01.0",
            "8086:1901:0000:0000:060400",
            Some(1),
            Some("pcieport"),
        ),
        Card(
            "0000:42:00.0",
            "10de:2204:10de:1467:030000",
            Some(15),
            Some("vfio-pci"),
        ),
        Card(
            "0000:42:00.1",
            "10de:1aef:10de:1467:040300",
            Some(15),
            Some("vfio-pci"),
        ),
        Card(
            "0000:43:00.0",
            "8086:15f3:8086:0000:020000",
            Some(16),
            Some("igc"),
        ),
    ])
}

/// A disk behind an Intel VMD controller, whose domain has five digits.
pub fn vmd() -> Machine {
    Machine::new(&[Card(
        "10000:e1:00.0",
        "144d:a80a:144d:a801:010802",
        Some(9),
        Some("vfio-pci"),
    )])
}

/// Two functions of an IBM Z, one with a UID of its own.
pub fn z() -> Machine {
    let machine = Machine::new(&[
        Card(
            "0021:00:00.0",
            "15b3:1016:15b3:0062:020000",
            Some(0),
            Some("vfio-pci"),
        ),
        Card(
            "0022:00:00.0",
            "1014:044b:1014:060d:010802",
            Some(1),
            Some("vfio-pci"),
        ),
    ]);
    for (address, uid, fid) in [
        ("0021:00:00.0", "0x21", "0x00000309"),
        ("0022:00:00.0", "0x0", "0x30a"),
    ] {
        machine.write(
            &format!("sys/bus/pci/devices/{address}/uid"),
            &format!("{uid}\n"),
        );
        machine.write(
            &format!("sys/bus/pci/devices/{address}/function_id"),
            &format!("{fid}\n"),
        );
    }
    machine
}

/// Three virtual functions of a network card, two of them lent, on a driver made for them.
pub fn vf() -> Machine {
    let machine = Machine::new(&[
        Card(
            "0000:03:00.0",
            "15b3:101d:15b3:0016:020000",
            Some(20),
            Some("mlx5_core"),
        ),
        Card(
            "0000:03:00.2",
            "15b3:101e:15b3:0016:020000",
            Some(21),
            Some("mlx5_vfio_pci"),
        ),
        Card(
            "0000:03:00.3",
            "15b3:101e:15b3:0016:020000",
            Some(22),
            Some("mlx5_vfio_pci"),
        ),
        Card(
            "0000:03:00.4",
            "15b3:101e:15b3:0016:020000",
            Some(23),
            Some("mlx5_core"),
        ),
    ]);
    let pf = "sys/bus/pci/devices/0000:03:00.0";
    machine.write(&format!("{pf}/net/ens1f0/address"), "");
    machine.write(&format!("{pf}/sriov_totalvfs"), "8\n");
    machine.write(&format!("{pf}/sriov_offset"), "2\n");
    machine.write(&format!("{pf}/sriov_stride"), "1\n");
    for index in 0..3 {
        let vf = format!("0000:03:00.{}", index + 2);
        machine.link(&format!("{pf}/virtfn{index}"), &format!("../{vf}"));
        machine.link(
            &format!("sys/bus/pci/devices/{vf}/physfn"),
            "../0000:03:00.0",
        );
    }
    machine
}

/// Two equal disks, of which one is lent.
pub fn twins() -> Machine {
    Machine::new(&[
        Card(
            "0000:04:00.0",
            "144d:a808:144d:a801:010802",
            Some(30),
            Some("vfio-pci"),
        ),
        Card(
            "0000:05:00.0",
            "144d:a808:144d:a801:010802",
            Some(31),
            Some("nvme"),
        ),
    ])
}

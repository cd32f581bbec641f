//! A system in a directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vfio_bind_agent::pci::address::Address;
use vfio_bind_cli::storage::ask::{self, Ask, File};
use vfio_bind_cli::usage::{self, Usage};

pub const GPU: &str = "0000:42:00.0";
pub const USB: &str = "0000:43:00.0";
pub const NIC: &str = "0000:44:00.0";

/// Nodes that every Linux has, with their numbers.
pub const FULL: (&str, &str) = ("/dev/full", "1:7");
pub const ZERO: (&str, &str) = ("/dev/zero", "1:5");
pub const RANDOM: (&str, &str) = ("/dev/random", "1:8");

pub struct Machine(tempfile::TempDir);

impl Machine {
    /// A graphics card, a host controller and a network card, each in a group of its own, with its native
    /// driver.
    pub fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine
            .function(GPU, "030000", "amdgpu", 1)
            .function(USB, "0c0330", "xhci_hcd", 2)
            .function(NIC, "020000", "igb", 3);
        machine
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A link as sysfs makes it: relative.
    pub fn link(&self, at: &str, target: &str) -> &Self {
        self.link_as_is(at, &("../".repeat(at.split('/').count() - 1) + target))
    }

    fn link_as_is(&self, at: &str, target: &str) -> &Self {
        let path = self.path(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
        self
    }

    pub fn function(&self, address: &str, class: &str, driver: &str, group: u32) -> &Self {
        let place = place(address);
        let [base, sub, interface] = [0, 2, 4].map(|at| &class[at..at + 2]);
        self.write(
            &format!("{place}/modalias"),
            &format!("pci:v00008086d00001572sv00000000sd00000000bc{base}sc{sub}i{interface}\n"),
        );
        self.write(&format!("{place}/vendor"), "0x8086\n");
        self.write(&format!("{place}/device"), "0x1572\n");
        self.driver(address, driver);
        self.link(
            &format!("{place}/iommu_group"),
            &format!("sys/kernel/iommu_groups/{group}"),
        );
        self.link(&format!("sys/bus/pci/devices/{address}"), &place)
    }

    pub fn driver(&self, address: &str, driver: &str) -> &Self {
        let link = format!("{}/driver", place(address));
        self.link(&link, &format!("sys/bus/pci/drivers/{driver}"))
    }

    /// A device below a function.
    pub fn device(&self, place: &str, subsystem: &str, number: &str) -> &Self {
        self.write(&format!("{place}/dev"), &format!("{number}\n"));
        self.link(
            &format!("{place}/subsystem"),
            &format!("sys/class/{subsystem}"),
        )
    }

    /// A card of the graphics card.
    pub fn card(&self, number: &str) -> &Self {
        self.device(&format!("{}/drm/card0", place(GPU)), "drm", number)
    }

    pub fn process(&self, id: u32, name: &str) -> &Self {
        fs::create_dir_all(self.path(&format!("proc/{id}/fd"))).unwrap();
        self.write(&format!("proc/{id}/comm"), &format!("{name}\n"))
    }

    pub fn open(&self, id: u32, descriptor: u32, target: &str) -> &Self {
        self.link_as_is(&format!("proc/{id}/fd/{descriptor}"), target)
    }

    pub fn map(&self, id: u32, target: &str) -> &Self {
        let range = "7f0000000000-7f0000001000";
        self.write(
            &format!("proc/{id}/maps"),
            &format!(
                "5500-5600 r-xp 00000000 08:01 9 /usr/bin/some\n\
                 {range} rw-s 00000000 00:05 12                         {target}\n"
            ),
        );
        self.link_as_is(&format!("proc/{id}/map_files/{range}"), target)
    }

    pub fn usage(&self, functions: &[&str], addressed: &[&str]) -> Usage {
        let functions: Vec<_> = functions
            .iter()
            .map(|one| Address::parse(one.as_bytes()).unwrap())
            .collect();
        let one = |name: &&str| ((*name).to_owned(), vec!["10.0.2.15/24".to_owned()]);
        let addressed = addressed.iter().map(one).collect();
        usage::of(self.root(), &Addressed(Ok(addressed)), &functions)
    }

    /// The users of one function, and nothing that could not be looked at.
    #[track_caller]
    pub fn expect(&self, function: &str, users: &[&str]) {
        let usage = self.usage(&[function], &[]);
        assert_eq!(usage.told, [""; 0]);
        let all = usage.users.into_values().flatten();
        assert_eq!(all.collect::<Vec<_>>(), users);
    }
}

/// The directory of a function.
pub fn place(address: &str) -> String {
    format!("sys/devices/pci0000:00/{address}")
}

/// Knows which interfaces have an address.
pub struct Addressed(pub Result<ask::Addressed, String>);

impl Ask for Addressed {
    fn zpool(&self, _: &str) -> Result<String, String> {
        panic!("nobody asks")
    }

    fn zpools(&self) -> Result<String, String> {
        panic!("nobody asks")
    }

    fn pvs(&self) -> Result<String, String> {
        panic!("nobody asks")
    }

    fn losetup(&self) -> Result<String, String> {
        panic!("nobody asks")
    }

    fn addressed(&self) -> Result<ask::Addressed, String> {
        self.0.clone()
    }

    fn file(&self, _: &Path) -> Result<Option<File>, String> {
        panic!("nobody asks")
    }
}

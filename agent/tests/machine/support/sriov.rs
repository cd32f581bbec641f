//! Virtual functions, as the kernel makes and removes them.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Card, FakeMachine};
use rustix::io::Errno;

/// What can be made of a physical function.
#[derive(Clone, Debug)]
pub struct Virtual {
    pub offset: u16,
    pub stride: u16,
    pub total: u16,
    pub ids: [u32; 2],
    pub class: u32,
    /// The driver that takes them, which is loaded.
    pub native: Option<&'static str>,
    /// How the driver answers when it is asked to make any, and how many it makes then.
    pub answer: Option<(Errno, u16)>,
    /// How many it makes at most, without a word.
    pub most: u16,
}

/// An Intel 82576, whose 8086:10ca igbvf takes.
pub fn network() -> Virtual {
    Virtual {
        offset: 0x180,
        stride: 2,
        total: 8,
        ids: [0x8086, 0x10ca],
        class: 0x02_0000,
        native: Some("igbvf"),
        answer: None,
        most: 8,
    }
}

/// Drivers that make none.
const WITHOUT_SRIOV: [&str; 2] = ["vfio-pci", "plain"];

/// Groups of virtual functions begin with this.
const FIRST_GROUP: u32 = 100;

impl FakeMachine {
    /// With virtual functions that can be made of the function at `pf`.
    pub fn with_virtual(self, pf: &str, kind: Virtual) -> Self {
        self.offer_virtual(pf, kind);
        self
    }

    /// The same for a function that has come.
    pub fn offer_virtual(&self, pf: &str, kind: Virtual) {
        for (file, text) in [
            ("sriov_totalvfs", kind.total.to_string()),
            ("sriov_offset", kind.offset.to_string()),
            ("sriov_stride", kind.stride.to_string()),
            ("sriov_numvfs", "0".to_owned()),
            ("sriov_drivers_autoprobe", "1".to_owned()),
        ] {
            fs::write(self.device(pf).join(file), format!("{text}\n")).unwrap();
        }
        self.makers.borrow_mut().insert(pf.to_owned(), kind);
    }

    /// The driver of a physical function is loaded anew: it removes what it made.
    pub fn reload(&self, pf: &str, driver: &str) {
        self.detach(pf);
        self.probe(pf);
        assert_eq!(self.driver(pf).as_deref(), Some(driver));
    }

    /// What somebody else makes.
    pub fn make_virtual(&self, pf: &str, count: u16) {
        self.set_virtual(pf, "sriov_numvfs", &count.to_string())
            .unwrap();
    }

    pub(super) fn set_virtual(&self, pf: &str, file: &str, text: &str) -> Result<(), Errno> {
        let Some(kind) = self.makers.borrow().get(pf).cloned() else {
            return Err(Errno::NOENT);
        };
        if file == "sriov_drivers_autoprobe" {
            fs::write(self.device(pf).join(file), format!("{text}\n")).unwrap();
            return Ok(());
        }
        let asked: u16 = text.parse().unwrap();
        let there: u16 = self.attribute(pf, "sriov_numvfs").parse().unwrap();
        match self.driver(pf) {
            // The order of `sriov_numvfs_store`.
            _ if asked > kind.total => return Err(Errno::RANGE),
            _ if asked == there => return Ok(()),
            None => return Err(Errno::NOENT),
            Some(driver) if WITHOUT_SRIOV.contains(&&*driver) => return Err(Errno::NOENT),
            _ if asked == 0 => {
                self.remove_virtual(pf);
                return Ok(());
            }
            _ if there > 0 => return Err(Errno::BUSY),
            _ => {}
        }
        let (answer, count) = match kind.answer {
            Some((errno, count)) => (Err(errno), count),
            None => (Ok(()), asked.min(kind.most)),
        };
        fs::write(self.device(pf).join("sriov_numvfs"), format!("{count}\n")).unwrap();
        for index in 0..count {
            self.add_virtual(pf, index, &kind);
        }
        answer
    }

    fn add_virtual(&self, pf: &str, index: u16, kind: &Virtual) {
        let (domain, rest) = pf.split_once(':').unwrap();
        let fields: Vec<_> = rest.split([':', '.']).collect();
        let [bus, device, function] =
            [0, 1, 2].map(|at| u16::from_str_radix(fields[at], 16).unwrap());
        let id = (bus << 8 | device << 3 | function) + kind.offset + kind.stride * index;
        let address = format!("{domain}:{:02x}:{:02x}.{}", id >> 8, id >> 3 & 0x1f, id & 7);
        let group = FIRST_GROUP + u32::from(id & 0xff);
        self.insert(&Card::new(
            &address,
            kind.ids[0],
            kind.ids[1],
            kind.class,
            group,
        ));
        symlink(format!("../{pf}"), self.device(&address).join("physfn")).unwrap();
        symlink(
            format!("../{address}"),
            self.device(pf).join(format!("virtfn{index}")),
        )
        .unwrap();
        if let Some(native) = kind.native {
            self.expect_native(&address, native);
        }
        // A driver that is there has it before anybody hears of it.
        self.probe(&address);
    }

    pub(super) fn remove_virtual(&self, pf: &str) {
        if !self.makers.borrow().contains_key(pf) || !self.device(pf).exists() {
            return;
        }
        fs::write(self.device(pf).join("sriov_numvfs"), "0\n").unwrap();
        for index in 0.. {
            let link = self.device(pf).join(format!("virtfn{index}"));
            let Ok(target) = fs::read_link(&link) else {
                break;
            };
            fs::remove_file(link).unwrap();
            let address = target.file_name().unwrap().to_str().unwrap().to_owned();
            self.remove(&address);
        }
    }

    /// Whether the kernel probes this function at all (`pci_device_can_probe`).
    pub(super) fn can_probe(&self, address: &str) -> bool {
        let pf = fs::read_link(self.device(address).join("physfn"));
        let held_back = |pf: &str| self.attribute(pf, "sriov_drivers_autoprobe") == "0";
        !pf.is_ok_and(|pf| held_back(pf.file_name().unwrap().to_str().unwrap()))
            || !self.driver_override(address).is_empty()
    }
}

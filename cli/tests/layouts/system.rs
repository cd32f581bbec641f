//! A system in a directory: what the kernel would show of its disks, and what of them is protected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use vfio_bind_agent::policy::Policy;
use vfio_bind_agent::policy::sources::Sources;
use vfio_bind_cli::storage::ask::{Addressed, Ask, File};
use vfio_bind_cli::storage::protected::{Protected, Scope, find};

/// A system that is a directory.
pub struct System(pub tempfile::TempDir);

impl System {
    pub fn new() -> Self {
        // Hundreds are made: in memory where that can be.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let system = Self(directory.unwrap());
        system.write("proc/self/mountinfo", "");
        system
    }

    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn write_bytes(&self, path: &str, bytes: &[u8]) -> &Self {
        self.write(path, "");
        fs::write(self.0.path().join(path), bytes).unwrap();
        self
    }

    /// A link as sysfs makes it: relative.
    pub fn link(&self, at: &str, target: &str) -> &Self {
        let path = self.0.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let up = "../".repeat(at.split('/').count() - 1);
        symlink(up + target, path).unwrap();
        self
    }

    /// A function at a path below `sys/devices`, and the bridges above it.
    pub fn function(&self, path: &str, id: &str) -> &Self {
        let (vendor, device) = id.split_once(':').unwrap();
        let place = format!("sys/devices/{path}");
        self.write(&format!("{place}/vendor"), &format!("0x{vendor}\n"));
        self.write(&format!("{place}/device"), &format!("0x{device}\n"));
        let address = path.rsplit('/').next().unwrap();
        self.link(&format!("sys/bus/pci/devices/{address}"), &place)
    }

    /// A block device in a directory below `sys/devices`.
    pub fn block(&self, directory: &str, number: &str) -> &Self {
        let name = directory.rsplit('/').next().unwrap();
        let place = format!("sys/devices/{directory}");
        self.write(&format!("{place}/dev"), &format!("{number}\n"));
        self.link(&format!("sys/class/block/{name}"), &place);
        self.link(&format!("sys/dev/block/{number}"), &place)
    }

    /// The same, as a partition of what is above it.
    pub fn partition(&self, directory: &str, number: &str) -> &Self {
        self.write(&format!("sys/devices/{directory}/partition"), "1\n");
        self.block(directory, number)
    }

    /// A virtual block device on others.
    pub fn layer(&self, name: &str, number: &str, slaves: &[&str]) -> &Self {
        for slave in slaves {
            let at = format!("sys/devices/virtual/block/{name}/slaves/{slave}");
            self.link(&at, &format!("sys/class/block/{slave}"));
        }
        self.block(&format!("virtual/block/{name}"), number)
    }

    /// `NUMBER POINT KIND SOURCE [OPTIONS]`.
    pub fn mount(&self, fields: &str) -> &Self {
        self.mount_seen_by("self", fields)
    }

    /// The same, in the list of the mounts that a process sees.
    pub fn mount_seen_by(&self, process: &str, fields: &str) -> &Self {
        let path = format!("proc/{process}/mountinfo");
        let path = self.0.path().join(path);
        let fields: Vec<_> = fields.split(' ').collect();
        let [number, point, kind, source, rest @ ..] = &fields[..] else {
            panic!("{fields:?}");
        };
        let options = rest.first().unwrap_or(&"rw");
        let known = fs::read_to_string(&path).unwrap();
        // As mount(2) does: on what the point leads to at that moment.
        let parent = known.lines().rev().max_by_key(|line| {
            let on = line.split(' ').nth(4).unwrap();
            let holds = Path::new(point).starts_with(on);
            if holds {
                Path::new(on).components().count()
            } else {
                0
            }
        });
        let parent = parent.map_or("1", |line| line.split(' ').next().unwrap());
        let id = 20 + known.lines().count();
        let line =
            format!("{id} {parent} {number} / {point} rw shared:1 - {kind} {source} {options}\n");
        fs::write(&path, known + &line).unwrap();
        self
    }

    /// A network interface of a function at a path below `sys/devices`.
    pub fn interface(&self, name: &str, path: &str) -> &Self {
        let place = format!("sys/devices/{path}/net/{name}");
        self.link(&format!("{place}/device"), &format!("sys/devices/{path}"));
        self.link(&format!("sys/class/net/{name}"), &place)
    }

    pub fn swaps(&self, lines: &str) -> &Self {
        self.write(
            "proc/swaps",
            &format!("Filename Type Size Used Priority\n{lines}"),
        )
    }

    pub fn protected(&self) -> Protected {
        self.protected_with(&Answers::default())
    }

    pub fn protected_with(&self, answers: &Answers) -> Protected {
        find(self.0.path(), answers, Scope::Boot).unwrap()
    }

    pub fn in_use(&self, answers: &Answers) -> Protected {
        find(self.0.path(), answers, Scope::Now).unwrap()
    }

    /// An NVMe disk with three partitions behind a root port, at 0000:03:00.0.
    pub fn nvme() -> Self {
        let system = Self::new();
        let disk = format!("{NVME}/nvme/nvme0/nvme0n1");
        system
            .function(PORT, "8086:a330")
            .function(NVME, "144d:a808")
            .block(&disk, "259:0");
        for number in 1..4 {
            system.partition(
                &format!("{disk}/nvme0n1p{number}"),
                &format!("259:{number}"),
            );
        }
        system
    }

    /// Disks `sda` and `sdb` with two partitions each, on two SATA controllers.
    pub fn two_disks() -> Self {
        let system = Self::new();
        for (disk, controller, port) in [
            ("sda", SATA, "ata1/host0"),
            ("sdb", OTHER_SATA, "ata7/host6"),
        ] {
            let minor = if disk == "sda" { 0 } else { 16 };
            let place = format!("{controller}/{port}/target0:0:0/0:0:0:0/block/{disk}");
            system
                .function(controller, "8086:a352")
                .block(&place, &format!("8:{minor}"));
            for number in 1..3 {
                let number = (
                    format!("{place}/{disk}{number}"),
                    format!("8:{}", minor + number),
                );
                system.partition(&number.0, &number.1);
            }
        }
        system
    }
}

/// What programs and stat answer; what is asked and has no answer here says so.
#[derive(Default)]
pub struct Answers {
    pub zpool: Option<Result<&'static str, &'static str>>,
    pub zpools: Option<Result<&'static str, &'static str>>,
    pub pvs: Option<Result<&'static str, &'static str>>,
    pub losetup: Option<Result<&'static str, &'static str>>,
    /// Paths, with the device and the inode behind each; others lead nowhere.
    pub files: Option<&'static [(&'static str, &'static str, u64)]>,
}

impl Ask for Answers {
    fn zpool(&self, pool: &str) -> Result<String, String> {
        assert_eq!(pool, "rpool");
        answer(self.zpool)
    }

    fn zpools(&self) -> Result<String, String> {
        answer(self.zpools)
    }

    fn pvs(&self) -> Result<String, String> {
        answer(self.pvs)
    }

    fn losetup(&self) -> Result<String, String> {
        answer(self.losetup)
    }

    fn addressed(&self) -> Result<Addressed, String> {
        Ok(Addressed::new())
    }

    fn file(&self, path: &Path) -> Result<Option<File>, String> {
        let files = self.files.ok_or("nobody may ask")?;
        let found = files.iter().find(|(known, ..)| Path::new(known) == path);
        Ok(found.map(|(_, device, inode)| File {
            device: (*device).to_owned(),
            inode: *inode,
        }))
    }
}

fn answer(answer: Option<Result<&str, &str>>) -> Result<String, String> {
    let answer = answer.unwrap_or(Err("nobody may ask"));
    answer.map(str::to_owned).map_err(str::to_owned)
}

pub const PORT: &str = "pci0000:00/0000:00:1d.0";
pub const NVME: &str = "pci0000:00/0000:00:1d.0/0000:03:00.0";
pub const NVME_LINE: &str = "vfio.protect=0000:00:1d.0/00.0@144d:a808  # ";
pub const SATA: &str = "pci0000:00/0000:00:17.0";
pub const OTHER_SATA: &str = "pci0000:00/0000:00:1f.2";
pub const SATA_LINES: [&str; 2] = [
    "vfio.protect=0000:00:17.0@8086:a352  # ",
    "vfio.protect=0000:00:1f.2@8086:a352  # ",
];

/// Every line in its order, and nothing that could not be found.
#[track_caller]
pub fn expect(protected: &Protected, lines: &[(&str, &str)]) {
    assert_eq!(protected.unresolved, [""; 0]);
    expect_lines(protected, lines);
}

#[track_caller]
pub fn expect_lines(protected: &Protected, lines: &[(&str, &str)]) {
    let expected: Vec<_> = lines
        .iter()
        .map(|(head, comment)| format!("{head}{comment}"))
        .collect();
    assert_eq!(protected.lines, expected);
    // The agent takes each line as one selector, and finds nothing wrong with it.
    let text = protected.conf();
    let policy = Policy::read(&Sources {
        protected: Some(text.as_bytes()),
        ..Sources::default()
    });
    assert_eq!(policy.selectors.len(), lines.len());
    // It tells what was left open, and finds no other fault.
    let told: Vec<_> = policy.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), protected.unresolved.len(), "{told:?}");
    for (told, open) in told.iter().zip(&protected.unresolved) {
        assert!(
            told.contains(open) && told.contains("not all known"),
            "{told}"
        );
    }
}

/// A single problem, with all of these words, and no line.
#[track_caller]
pub fn expect_problem(protected: &Protected, words: &[&str]) {
    let [problem] = &protected.unresolved[..] else {
        panic!("{protected:#?}");
    };
    assert!(words.iter().all(|word| problem.contains(word)), "{problem}");
    assert!(!problem.contains(['\n', '"']), "{problem}");
}

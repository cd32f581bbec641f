//! What no file tells: other programs are asked, and the answers are read.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::block::number;

/// Who answers; a test has answers of its own.
pub trait Ask {
    /// The members of a ZFS pool, as `zpool list -vHPL` prints them.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn zpool(&self, pool: &str) -> Result<String, String>;

    /// The same of all pools.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn zpools(&self) -> Result<String, String>;

    /// The physical volumes of all volume groups, as [`PVS`] prints them.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn pvs(&self) -> Result<String, String>;

    /// What the loop devices stand on, as [`LOSETUP`] prints it.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn losetup(&self) -> Result<String, String>;

    /// The interfaces that are up and have an address of their own, not only that of their link, each with
    /// its addresses as `10.0.2.15/24`.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn addressed(&self) -> Result<Addressed, String>;

    /// The file that a path leads to now; `None` where none can be seen.
    ///
    /// # Errors
    /// Where nobody can tell, as in a captured tree, whose files have other numbers.
    fn file(&self, path: &Path) -> Result<Option<File>, String>;
}

/// The addresses of interfaces.
pub type Addressed = BTreeMap<String, Vec<String>>;

/// What tells a file from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// `major:minor` of its file system.
    pub device: String,
    /// Its number there.
    pub inode: u64,
}

/// `VOLUME GROUP'S UUID|NODE`, a line for each volume. It takes no lock, and so waits for none.
const PVS: [&str; 7] = [
    "pvs",
    "--readonly",
    "--noheadings",
    "--separator",
    "|",
    "-o",
    "vg_uuid,pv_name",
];

/// `NAME INODE MAJOR:MINOR`, a line for each loop device. Its raw form would escape the padding.
const LOSETUP: [&str; 4] = [
    "losetup",
    "--noheadings",
    "--output",
    "NAME,BACK-INO,BACK-MAJ:MIN",
];

/// `NUMBER: INTERFACE FAMILY ADDRESS...`, a line for each address that is not its link's alone.
const ADDRESSES: [&str; 7] = ["ip", "-oneline", "address", "show", "up", "scope", "global"];

/// Who answers for the system at `root`: only the running one has programs.
#[must_use]
pub fn of(root: &Path) -> &'static dyn Ask {
    if root == Path::new("/") {
        &Running
    } else {
        &Captured
    }
}

/// The running system.
struct Running;

impl Ask for Running {
    fn zpool(&self, pool: &str) -> Result<String, String> {
        // Not `zpool status`, which shows the same for people.
        run(&["zpool", "list", "-v", "-H", "-P", "-L", pool])
    }

    fn zpools(&self) -> Result<String, String> {
        run(&["zpool", "list", "-v", "-H", "-P", "-L"])
    }

    fn pvs(&self) -> Result<String, String> {
        run(&PVS)
    }

    fn losetup(&self) -> Result<String, String> {
        run(&LOSETUP)
    }

    fn addressed(&self) -> Result<Addressed, String> {
        let listing = run(&ADDRESSES).map_err(|reason| {
            format!("{reason}; of a network interface its routes are known, not its addresses")
        })?;
        Ok(addressed(&listing))
    }

    fn file(&self, path: &Path) -> Result<Option<File>, String> {
        let file = |metadata: fs::Metadata| File {
            device: number(metadata.dev()),
            inode: metadata.ino(),
        };
        Ok(fs::metadata(path).ok().map(file))
    }
}

/// A system that is only a directory.
struct Captured;

impl Captured {
    fn told<T>(program: &str) -> Result<T, String> {
        Err(format!(
            "{program} tells of the running system only, not of one under --root"
        ))
    }
}

impl Ask for Captured {
    fn zpool(&self, _: &str) -> Result<String, String> {
        Self::told("zpool")
    }

    fn zpools(&self) -> Result<String, String> {
        Self::told("zpool")
    }

    fn pvs(&self) -> Result<String, String> {
        Self::told("pvs")
    }

    fn losetup(&self) -> Result<String, String> {
        Self::told("losetup")
    }

    /// The routes of its files say as much.
    fn addressed(&self) -> Result<Addressed, String> {
        Ok(Addressed::new())
    }

    fn file(&self, _: &Path) -> Result<Option<File>, String> {
        Self::told("stat")
    }
}

/// How long an answer may take: of a pool that is suspended none ever comes.
const LIMIT: Duration = Duration::from_secs(20);
/// Their directories are not in every PATH.
const DIRECTORIES: [&str; 3] = ["", "/usr/sbin/", "/sbin/"];

/// What a program prints, its words given.
fn run(words: &[&str]) -> Result<String, String> {
    let line = words.join(" ");
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(output(&words)));
    let late = |_| Err(format!("{line}: no answer in {} s", LIMIT.as_secs()));
    receiver.recv_timeout(LIMIT).unwrap_or_else(late)
}

fn output(words: &[String]) -> Result<String, String> {
    let [name, arguments @ ..] = words else {
        return Err("no program is named".to_owned());
    };
    for directory in DIRECTORIES {
        let program = format!("{directory}{name}");
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::null());
        match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("run({program}): {error}")),
            Ok(output) if output.status.success() => {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().next().unwrap_or("it said nothing");
                return Err(format!("{}: {}: {said}", words.join(" "), output.status));
            }
        }
    }
    Err(format!("the program {name} is not installed"))
}

/// The paths of devices and files in what [`Ask::zpool`] gives.
pub fn pool_members(listing: &str) -> impl Iterator<Item = &str> {
    let words = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with('/'))
}

/// The file of the loop device `name`, from what [`Ask::losetup`] gives.
#[must_use]
pub fn loop_file(listing: &str, name: &str) -> Option<File> {
    let file = |line: &str| {
        let mut fields = line.split_whitespace();
        let (node, inode, device) = (fields.next()?, fields.next()?, fields.next()?);
        (node.strip_prefix("/dev/")? == name).then_some(File {
            device: device.to_owned(),
            inode: inode.parse().ok()?,
        })
    };
    listing.lines().find_map(file)
}

/// The interfaces in what [`ADDRESSES`] prints. One that has its other end elsewhere is `NAME@OTHER`.
fn addressed(listing: &str) -> Addressed {
    let mut found = Addressed::new();
    for line in listing.lines() {
        let mut fields = line.split_whitespace().skip(1);
        if let (Some(name), Some(_), Some(address)) = (fields.next(), fields.next(), fields.next())
        {
            let name = name.split('@').next().unwrap_or(name);
            found
                .entry(name.to_owned())
                .or_default()
                .push(address.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_with_an_address() {
        let listing = "2: enp3s0    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic enp3s0\\       \
                       valid_lft 86000sec preferred_lft 86000sec\n2: enp3s0    inet6 fec0::5054/64 scope \
                       global\\       valid_lft forever\n7: veth0@if2    inet 10.1.0.1/32 scope global veth0\n";
        let found = addressed(listing);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["enp3s0", "veth0"]);
        assert_eq!(found["enp3s0"], ["10.0.2.15/24", "fec0::5054/64"]);
        assert_eq!(addressed(""), Addressed::new());
    }

    #[test]
    fn members_of_a_pool_are_told_from_what_groups_them() {
        let listing = "rpool\t222G\t-\tONLINE\n\tmirror-0\t222G\tONLINE\n\t/dev/sda3\t-\tONLINE\n\
                       \t/dev/nvme0n1p3\t-\tONLINE\nlogs\t-\n\t12345678901234\t-\tUNAVAIL\n";
        let found: Vec<_> = pool_members(listing).collect();
        assert_eq!(found, ["/dev/sda3", "/dev/nvme0n1p3"]);
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_is_told() {
        for (words, expected) in [
            (&["/no/such/program"][..], Err("not installed")),
            (&["false"], Err("false: exit status: 1: it said nothing")),
            (&["echo", "a"], Ok("a\n")),
        ] {
            match (run(words), expected) {
                (Ok(output), Ok(expected)) => assert_eq!(output, expected, "{words:?}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{words:?}: {error}"),
                (answer, _) => panic!("{words:?}: {answer:?}"),
            }
        }
    }
}

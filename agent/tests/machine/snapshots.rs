//! What `plan` tells people about real machines, word for word.
//!
//! Every file in snapshots/ is what a person sees, and was read by one. After a change that is
//! meant, `VFIO_BIND_RENEW=1 cargo test -p vfio-bind-agent --test machine snapshots` writes them
//! anew: read the difference before it is committed.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::support::FakeMachine;
use log::{Level, LevelFilter, Log, Metadata};
use vfio_bind_agent::record::journal::Journal;
use vfio_bind_agent::record::{lines, table};
use vfio_bind_agent::run;
use vfio_bind_agent::text::message;
use vfio_bind_agent::text::output::Output;

/// Machines, and what is asked of them.
pub const REQUESTS: [(&str, &[&str]); 12] = [
    (
        // Functions of one device in two groups.
        "amd-apu-laptop-picasso",
        &["vfio.bind=03:00.0", "vfio.bind=03:00.3"],
    ),
    (
        // The NIC in the group of the chipset, with SATA, USB and Wi-Fi; the GPU's four functions.
        "amd-ryzen-b550-desktop",
        &[
            "vfio.bind=04:00.0",
            "vfio.bind=04:00.0 vfio.group=listed",
            "vfio.bind=04:00.0 vfio.group=strict",
            "vfio.bind=10ec:8125,!1022:43eb",
            "vfio.bind=*:*:*:*:030000:ff0000",
        ],
    ),
    (
        // The same bus in six domains; a function whose bridge alone has a group.
        "arm64-ampere-altra-multidomain",
        &["vfio.bind=*:*:*:*:030000:ffff00", "vfio.bind=01:00.0"],
    ),
    (
        "dual-socket-xeon-server-r720",
        &["vfio.bind=01:00.0", "vfio.bind=0b:00.0"],
    ),
    (
        // A disk behind VMD, in a domain of five digits.
        "intel-vmd-laptop-tigerlake",
        &[
            "vfio.bind=10000:e1:00.0",
            "vfio.bind=10000:e1:00.0 vfio.group=listed",
            "vfio.bind=00:0e.0",
            "vfio.bind=00:1f.3",
            "vfio.bind=00:1f.4",
        ],
    ),
    (
        // A group with the root port and the card's own switch in it.
        "intel-z390-desktop-peg-group",
        &["vfio.bind=03:00.0", "vfio.bind=00:01.0"],
    ),
    (
        // No IOMMU: nothing may be touched.
        "iommu-off-laptop-hybrid-vmd",
        &["vfio.bind=01:00.0", "vfio_pci.ids=10de:25b8"],
    ),
    (
        // Four disks of one model: an ID means all of them.
        "nvme-same-model-threadripper-trx40",
        &["vfio.bind=1cc1:8201", "vfio_pci.ids=1cc1:8201"],
    ),
    (
        "threadripper-two-gpu-vendors-trx40",
        &["vfio.bind=5c:00.0", "vfio.bind=23:00.0,23:00.1"],
    ),
    (
        "thunderbolt-hybrid-laptop-xps15",
        &["vfio.bind=01:00.0", "vfio.bind=10000:e1:00.0"],
    ),
    (
        // One of two identical GPUs; the twin has no group.
        "two-identical-gpus-threadripper-x399",
        &[
            "vfio.bind=08:00.0",
            "vfio.bind=42:00.0",
            "vfio.bind=10de:2204",
            "vfio.bind=10de:2204,!42:00.*",
        ],
    ),
    (
        // A display behind a PCIe-to-PCI bridge, one port of a NIC, and a word that means nothing.
        "xeon-server-sriov-nic-legacy-pci-group",
        &[
            "vfio.bind=0a:00.0",
            "vfio.bind=02:00.1",
            "vfio.bind=02:0.1,99:00.0",
        ],
    ),
];

thread_local! {
    static MESSAGES: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
    static JOURNAL: RefCell<Option<Box<Journal>>> = const { RefCell::new(None) };
}

struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = message::line(record);
        let (_, text) = line.split_once('>').unwrap();
        let text = text.strip_prefix(message::PREFIX).unwrap_or(text);
        MESSAGES.with_borrow_mut(|messages| {
            if let Some(messages) = messages {
                messages.push((record.level(), text.to_owned()));
            }
        });
        JOURNAL.with_borrow_mut(|journal| {
            if let Some(journal) = journal {
                journal.add(record.level(), record.target(), text.trim_end());
            }
        });
    }

    fn flush(&self) {}
}

fn capture() {
    // Every test of this process wants the same one.
    if log::set_logger(&Capture).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Begins a journal of what is said in this thread.
pub fn begin_journal() {
    capture();
    JOURNAL.set(Some(Box::new(Journal::new())));
}

/// Reads the journal that was begun; an empty one where none was.
pub fn with_journal(read: &mut dyn FnMut(&Journal)) {
    JOURNAL.with_borrow(|journal| match journal {
        Some(journal) => read(journal),
        None => read(&Journal::new()),
    });
}

/// The messages of what is done in this thread, each with its line end.
pub fn leveled(act: impl FnOnce()) -> Vec<(Level, String)> {
    capture();
    MESSAGES.set(Some(Vec::new()));
    act();
    MESSAGES.take().unwrap()
}

/// The same as one text.
pub fn messages(act: impl FnOnce()) -> String {
    leveled(act).into_iter().map(|(_, text)| text).collect()
}

/// What `plan --cmdline LINE` prints.
fn printed(machine: &FakeMachine, line: &str) -> String {
    let mut file: File = tempfile::tempfile().unwrap();
    let mut exit = 0;
    let messages = messages(|| {
        exit = run::rehearse(
            machine,
            line.as_bytes(),
            run::Extent::Whole,
            &mut |record| {
                let mut output = Output::new(file.as_fd());
                if !record.inventory.is_empty() {
                    table::show(record, &mut output).unwrap();
                }
                output.finish().unwrap();
                lines::tell_rest(record);
                record.exit()
            },
        );
    });
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    format!("{text}{messages}exit status {exit}\n")
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/machine/snapshots"
    ))
}

#[test]
fn plans_of_real_machines_read_as_reviewed() {
    let renew = std::env::var_os("VFIO_BIND_RENEW").is_some();
    let mut different = Vec::new();
    for (name, lines) in REQUESTS {
        let machine = FakeMachine::from_topology(name);
        let mut text = String::new();
        for line in lines {
            let separator = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{separator}$ vfio-bind plan --cmdline '{line}'").unwrap();
            text.push_str(&printed(&machine, line));
        }
        let file = folder().join(format!("{name}.txt"));
        if renew {
            fs::write(&file, &text).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            different.push(format!(
                "{} is not what is printed now:\n{text}",
                file.display()
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{}\nVFIO_BIND_RENEW=1 writes them anew",
        different.join("\n")
    );
    let files = fs::read_dir(folder()).unwrap();
    assert_eq!(files.count(), REQUESTS.len(), "a file nobody compares");
}

//! What `vfio-bind export` prints, read by those it is for: libvirt's validator, QEMU without the device, promtool,
//! a YAML parser. The texts are the snapshots that cli/tests/export holds against the command.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use lab::part::Part;
use lab::program;
use lab::rig::Rig;
use lab::schedule::Task;
use lab::system::{self, Recipe};

use crate::workspace;

/// Where the texts are.
const SNAPSHOTS: &str = "cli/tests/export/snapshots";
/// What the readers are given, in the system that has them.
const INPUT: &str = "tmp/exported";

/// A reader, and the targets whose texts it is given.
#[derive(Clone, Copy)]
struct Reader {
    name: &'static str,
    targets: &'static [&'static str],
    read: fn(&Path, &Text) -> Result<()>,
}

/// What no reader of Debian's is for: Cloud Hypervisor, crosvm, StratoVirt's arguments, Proxmox VE.
const READERS: [Reader; 6] = [
    Reader {
        name: "exports: libvirt's validator",
        targets: &["libvirt"],
        read: libvirt,
    },
    Reader {
        name: "exports: QEMU without the device",
        targets: &["qemu"],
        read: qemu,
    },
    Reader {
        name: "exports: promtool",
        targets: &["prometheus"],
        read: promtool,
    },
    Reader {
        name: "exports: YAML",
        targets: &["kubevirt", "incus"],
        read: yaml,
    },
    Reader {
        name: "exports: JSON",
        targets: &["firecracker", "sriov-device-plugin", "stratovirt"],
        read: json,
    },
    Reader {
        name: "exports: labels of Kubernetes",
        targets: &["nfd"],
        read: labels,
    },
];

/// A Debian with the readers in it.
fn recipe() -> Recipe {
    const PACKAGES: &[&str] = &[
        "libvirt-clients",
        "libvirt-common",
        "libxml2-utils",
        "qemu-system-x86",
        "qemu-system-misc",
        "prometheus",
        "python3-yaml",
    ];
    Recipe {
        name: "exports",
        version: None,
        pool: &[],
        releases: &[("trixie", PACKAGES)],
    }
}

/// A task for each reader.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>) -> Vec<Task<'a>> {
    let wants = [Part::ImageTools, Part::System(recipe())];
    let task = |reader: Reader| Task::check(reader.name, wants.to_vec(), move || run(rig, reader));
    READERS.map(task).into_iter().collect()
}

fn run(rig: &Rig<'_>, reader: Reader) -> Result<String> {
    let root = rig.system(recipe())?;
    let texts = texts()?;
    let mut count = 0;
    for text in texts
        .iter()
        .filter(|text| reader.targets.contains(&text.target()))
    {
        (reader.read)(&root, text).with_context(|| format!("{}: {}", text.machine, text.words))?;
        count += 1;
    }
    ensure!(count > 0, "no text is for it");
    Ok(format!("{count} texts"))
}

/// A text that was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    /// The machine of the snapshot.
    machine: String,
    /// What was asked for: `DEVICE... --to TARGET ...`.
    words: String,
    text: String,
}

impl Text {
    fn target(&self) -> &str {
        let mut words = self.words.split(' ').skip_while(|word| *word != "--to");
        words.nth(1).unwrap_or_default()
    }

    fn has(&self, word: &str) -> bool {
        self.words.split(' ').any(|one| one == word)
    }
}

/// All that the snapshots have.
fn texts() -> Result<Vec<Text>> {
    let folder = workspace::folder().join(SNAPSHOTS);
    let mut all = Vec::new();
    let entries = fs::read_dir(&folder).with_context(|| format!("read({})", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let content =
            fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))?;
        let machine = path.file_stem().unwrap_or_default().to_string_lossy();
        all.extend(parse(&machine, &content)?);
    }
    Ok(all)
}

/// The texts of a snapshot: behind `== WORDS: STATUS`, and without what was said on standard error (`! `).
fn parse(machine: &str, content: &str) -> Result<Vec<Text>> {
    let mut all: Vec<Text> = Vec::new();
    let mut printed = false;
    for line in content.lines() {
        if let Some(heading) = line.strip_prefix("== ") {
            let (words, status) = heading
                .rsplit_once(": ")
                .context("a heading with a status")?;
            printed = status == "0";
            if printed {
                all.push(Text {
                    machine: machine.to_owned(),
                    words: words.to_owned(),
                    text: String::new(),
                });
            }
        } else if printed && !line.starts_with("! ") {
            let last = all.last_mut().context("a text behind a heading")?;
            last.text += line;
            last.text.push('\n');
        }
    }
    Ok(all)
}

/// Writes what a reader is to read, and gives its path in the system.
fn put(root: &Path, name: &str, text: &str) -> Result<String> {
    let folder = root.join(INPUT);
    fs::create_dir_all(&folder).with_context(|| format!("mkdir({})", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("write({})", path.display()))?;
    Ok(format!("/{INPUT}/{name}"))
}

/// The schema of a domain, as virt-xml-validate finds it.
fn libvirt(root: &Path, text: &Text) -> Result<()> {
    let (arch, machine) = match text.machine.as_str() {
        "z" => ("s390x", "s390-ccw-virtio"),
        _ => ("x86_64", "q35"),
    };
    let domain = |devices: &str| {
        format!(
            "<domain type='kvm'><name>guest</name><memory>65536</memory><os><type arch='{arch}' \
             machine='{machine}'>hvm</type></os><devices>{devices}</devices></domain>\n"
        )
    };
    let validate = |xml: &str| -> Result<String> {
        let file = put(root, "domain.xml", xml)?;
        program::output(&mut system::command(
            root,
            &["virt-xml-validate", &file, "domain"],
        )?)
    };
    validate(&domain(&text.text))?;
    // It does say no.
    let wrong = text.text.replace("<source>", "<source colour='red'>");
    ensure!(
        validate(&domain(&wrong)).is_err(),
        "the validator takes anything"
    );
    Ok(())
}

/// What QEMU says of an argument that it understands, where the device is not there.
const ABSENT: [&str; 2] = ["no such host device", "Could not open"];

/// Starts QEMU with the arguments, or asks its monitor. It must get as far as to look for the device.
fn qemu(root: &Path, text: &Text) -> Result<()> {
    let (program, machine) = match text.machine.as_str() {
        "z" => ("qemu-system-s390x", "s390-ccw-virtio"),
        _ => ("qemu-system-x86_64", "q35"),
    };
    let mut words = vec![
        program,
        "-machine",
        machine,
        "-accel",
        "tcg",
        "-nodefaults",
        "-display",
        "none",
        "-S",
    ];
    if text.has("--monitor") {
        return ask(root, &words, text);
    }
    words.extend(text.text.split_whitespace());
    let said = said(root, &words)?;
    ensure!(absent(&said), "QEMU says: {said}");
    // It does tell a property that it does not know.
    let wrong = text.text.replace(",id=", ",colour=red,id=");
    words.truncate(9);
    words.extend(wrong.split_whitespace());
    let said = self::said(root, &words)?;
    ensure!(!absent(&said), "QEMU takes anything: {said}");
    Ok(())
}

fn absent(said: &str) -> bool {
    let looked = ABSENT.iter().any(|one| said.contains(one));
    looked && !said.contains("not found") && !said.contains("Property")
}

/// What a program says that fails, as it must.
fn said(root: &Path, words: &[&str]) -> Result<String> {
    let mut command = system::command(root, &[&["timeout", "60"], words].concat())?;
    let output = command.output().context("starting QEMU")?;
    ensure!(!output.status.success(), "QEMU found the device");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Each request has an answer of its own: that the device is not there.
fn ask(root: &Path, program: &[&str], text: &Text) -> Result<()> {
    let mut given = text.words.split(' ');
    let mut ports = Vec::new();
    while let Some(word) = given.next() {
        if word == "--port" {
            ports.push(given.next().context("a port")?);
        }
    }
    let devices: Vec<_> = (1..)
        .zip(ports)
        .map(|(chassis, port)| format!("pcie-root-port,id={port},chassis={chassis}"))
        .collect();
    let mut words = program.to_vec();
    for device in &devices {
        words.extend(["-device", device]);
    }
    words.extend(["-qmp", "stdio"]);
    let requests = text.text.lines().count();
    let input = format!(
        "{{\"execute\": \"qmp_capabilities\"}}\n{}{{\"execute\": \"quit\"}}\n",
        text.text
    );
    let file = put(root, "requests", &input)?;
    let script = format!("exec timeout 60 \"$@\" < {file}");
    let all = [&["sh", "-c", &script, "sh"], &words[..]].concat();
    let output = program::output(&mut system::command(root, &all)?)?;
    let errors: Vec<_> = output
        .lines()
        .filter(|line| line.contains("\"error\""))
        .collect();
    let deletes = text.has("del");
    let mut wrong = errors.iter().filter(|line| match deletes {
        true => !line.contains("DeviceNotFound"),
        // zpci comes by itself, and its function is not there.
        false => !absent(line),
    });
    if let Some(line) = wrong.next() {
        bail!("QEMU answers {line}");
    }
    let expected =
        requests - text.text.matches("\"zpci\"").count() - text.text.matches("object-add").count();
    ensure!(
        errors.len() == expected,
        "{} answers to {expected} requests:\n{output}",
        errors.len()
    );
    Ok(())
}

fn promtool(root: &Path, text: &Text) -> Result<()> {
    let check = |metrics: &str| -> Result<String> {
        let file = put(root, "metrics", metrics)?;
        let script = format!("exec promtool check metrics < {file}");
        program::output(&mut system::command(root, &["sh", "-c", &script])?)
    };
    check(&text.text)?;
    ensure!(check("no {metric\n").is_err(), "promtool takes anything");
    Ok(())
}

fn yaml(root: &Path, text: &Text) -> Result<()> {
    // Commands are for a shell.
    if text.has("--vm") {
        return Ok(());
    }
    const PARSE: &str = "import sys, yaml\nread = yaml.safe_load(open(sys.argv[1]))\n\
        assert isinstance(read, dict), read\nprint(sorted(read))\n";
    let file = put(root, "yaml", &text.text)?;
    let parse = ["python3", "-c", PARSE, &file];
    let keys = program::output(&mut system::command(root, &parse)?)?;
    let expected = match text.target() {
        "incus" => "['devices']",
        _ => "['apiVersion', 'kind', 'metadata', 'spec']",
    };
    ensure!(keys.trim() == expected, "it has {keys}");
    Ok(())
}

/// One value; of requests one on each line.
fn json(_: &Path, text: &Text) -> Result<()> {
    type Value = BTreeMap<String, serde_json::Value>;
    if text.target() == "stratovirt" {
        let requests = text.has("--monitor");
        for line in text.text.lines().filter(|_| requests) {
            serde_json::from_str::<Value>(line).with_context(|| line.to_owned())?;
        }
        return Ok(());
    }
    serde_json::from_str::<Value>(&text.text)
        .map(drop)
        .context("JSON")
}

/// Names and values of labels: letters, digits, `-`, `_` and `.` within, a letter or a digit at both ends, 63 at
/// most (Kubernetes, "Labels and Selectors").
fn labels(_: &Path, text: &Text) -> Result<()> {
    let plain = |text: &str| {
        let inner = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let end =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
        text.len() <= 63
            && text.chars().all(inner)
            && end(text.chars().next())
            && end(text.chars().last())
    };
    for line in text.text.lines() {
        let (name, value) = line.split_once('=').with_context(|| line.to_owned())?;
        ensure!(plain(name) && plain(value), "`{line}` is no label");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_texts_and_what_was_said() {
        let content = "== 42:00.0 --to qemu: 0\n-device x\n! vfio-bind: a note\n\
                       == 42:00.0 --to qemu --monitor add: 1\n! vfio-bind: no\n== a b --to nfd: 0\na=1\nb=2\n";
        let all = parse("gpu", content).unwrap();
        let found: Vec<_> = all
            .iter()
            .map(|one| (one.target(), one.text.as_str()))
            .collect();
        assert_eq!(found, [("qemu", "-device x\n"), ("nfd", "a=1\nb=2\n")]);
        assert!(parse("gpu", "== no status\n").is_err());
    }

    #[test]
    fn every_target_of_a_reader_has_texts() {
        let texts = texts().unwrap();
        for reader in READERS {
            for target in reader.targets {
                assert!(texts.iter().any(|one| one.target() == *target), "{target}");
            }
        }
    }

    #[test]
    fn what_qemu_says_of_an_absent_device_is_told_from_a_mistake() {
        for (said, expected) in [
            (
                "vfio /sys/bus/pci/devices/0000:42:00.0: no such host device: No such file",
                true,
            ),
            ("Property 'vfio-pci.colour' not found", false),
            ("Bus 'port-80' not found", false),
            ("", false),
        ] {
            assert_eq!(absent(said), expected, "{said}");
        }
    }

    #[test]
    fn labels_are_those_of_kubernetes() {
        let text = |text: &str| Text {
            machine: String::new(),
            words: String::new(),
            text: text.to_owned(),
        };
        labels(Path::new(""), &text("vfio-bind.10de_2204=1\n")).unwrap();
        for wrong in ["vfio-bind.10de:2204=1\n", "x\n", "-x=1\n", "x=\n"] {
            assert!(labels(Path::new(""), &text(wrong)).is_err(), "{wrong}");
        }
    }
}

//! Functions as a virtual machine monitor, a cluster or a monitoring system wants to read of them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, EXIT_POLICY};

use crate::device::chosen::{self, Choice, Found};
use crate::export::device::{Device, Lot};
use crate::export::target::Target;
use crate::export::text::{Exported, Monitor, Settings, Version};
use crate::export::{access, notes};
use crate::names::Names;
use crate::terminal::{self, json};
use crate::{records, whole};

use super::plan;

/// Print what a virtual machine wants in order to get these devices.
///
/// Standard output has the text and nothing else, to paste or to pipe; what to know besides goes to standard
/// error. DEVICE is an address or any other selector of the policy, such as 42:00.* or 10de:2204. The exit status
/// is 0 where there is a text, 1 where there is none for these devices, and 2 where they are not known or the
/// options do not fit.
#[derive(Debug, Args)]
pub struct Options {
    /// The devices. nfd and prometheus tell of all where none is named.
    #[arg(value_name = "DEVICE")]
    devices: Vec<String>,
    /// Who is to read it.
    #[arg(long, value_name = "TARGET")]
    to: Target,
    /// A captured tree with the `sys` and `run` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Write the text to a file, in one step, in place of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// One object for programs, with the text in it.
    #[arg(long)]
    json: bool,
    /// libvirt: whether it binds the devices and gives them back by itself; `no` where left out.
    #[arg(long, value_name = "YES|NO")]
    managed: Option<Managed>,
    /// libvirt: its version, which decides what it is told of drivers made for one model.
    #[arg(long, value_name = "VERSION")]
    libvirt: Option<Version>,
    /// qemu: open the devices by /dev/iommu (QEMU 9.0, Linux 6.8) in place of VFIO's groups.
    #[arg(long)]
    iommufd: bool,
    /// qemu, stratovirt: requests for the monitor (QMP) of a running guest, to take the devices or let go of them.
    #[arg(long, value_name = "ADD|DEL")]
    monitor: Option<Monitor>,
    /// qemu, stratovirt: a free root port of the running guest; once for each device.
    #[arg(long, value_name = "ID")]
    port: Vec<String>,
    /// proxmox, incus: commands for this guest, in place of lines for its configuration.
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// proxmox, kubevirt, sriov-device-plugin: what the cluster calls the devices.
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Managed {
    Yes,
    No,
}

/// For programs.
#[derive(Serialize)]
struct Told<'e> {
    target: String,
    functions: Vec<Function>,
    text: &'e str,
    output: Option<String>,
    notes: &'e [String],
}

#[derive(Serialize)]
struct Function {
    address: String,
    id: String,
    name: String,
    group: Option<u32>,
    driver: Option<String>,
    bound: bool,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where the machine or a record cannot be read, or nothing be written.
    pub fn run(self) -> Result<u8> {
        if let Some(problem) = self.misuse() {
            return Ok(refuse(&[problem], EXIT_POLICY));
        }
        let tree = plan::open(&self.root)?;
        let machine = match chosen::choose(&self.root, &tree, &self.devices)? {
            Choice::Made(machine) => machine,
            Choice::Wrong(problems) => return Ok(refuse(&problems, EXIT_POLICY)),
        };
        let bridges = machine.iter().filter(|one| one.chosen && one.bridge);
        let bridges: Vec<_> = bridges
            .map(|one| {
                format!(
                    "{} is a bridge: no guest can have it; name what is behind it",
                    one.address
                )
            })
            .collect();
        if !bridges.is_empty() {
            return Ok(refuse(&bridges, EXIT_NOT_BOUND));
        }
        let devices = devices(&self.root, &tree, &machine);
        let lot = Lot {
            devices: &devices,
            machine: &machine,
        };
        let runs = match self.to.tells_of_the_machine() {
            true => records::all(&self.root)?,
            false => Vec::new(),
        };
        let settings = self.settings();
        let mut exported = match self.to.export(lot, &settings, &runs) {
            Ok(exported) => exported,
            Err(problem) => return Ok(refuse(&[problem], EXIT_NOT_BOUND)),
        };
        if !self.to.tells_of_the_machine() {
            let mut all = notes::notes(lot);
            all.append(&mut exported.notes);
            if self.to.is_started_by_hand() && settings.monitor.is_none() {
                all.extend(access::notes(&devices, settings.iommufd));
            }
            exported.notes = all;
        }
        self.hand_out(&devices, &exported)?;
        Ok(EXIT_DONE)
    }

    /// Why the options do not fit together.
    fn misuse(&self) -> Option<String> {
        let given = [
            ("managed", self.managed.is_some()),
            ("libvirt", self.libvirt.is_some()),
            ("iommufd", self.iommufd),
            ("monitor", self.monitor.is_some()),
            ("port", !self.port.is_empty()),
            ("vm", self.vm.is_some()),
            ("resource", self.resource.is_some()),
        ];
        let name = self.to.name();
        for (option, given) in given {
            if given && !self.to.takes(option) {
                return Some(format!("--{option} is nothing for --to {name}; see --help"));
            }
        }
        let texts = self.vm.iter().chain(&self.resource).chain(&self.port);
        for text in texts {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
            if text.is_empty() || !text.chars().all(plain) || text.starts_with('-') {
                return Some(format!(
                    "`{}` is no name: letters, digits, `-`, `_`, `.` and `/` make one",
                    text.escape_default()
                ));
            }
        }
        if !self.port.is_empty() && self.monitor != Some(Monitor::Add) {
            return Some("--port goes with --monitor add".to_owned());
        }
        (self.devices.is_empty() && !self.to.tells_of_the_machine())
            .then(|| format!("--to {name} wants a device, such as 0000:42:00.0"))
    }

    fn settings(&self) -> Settings {
        Settings {
            managed: self.managed == Some(Managed::Yes),
            libvirt: self.libvirt,
            iommufd: self.iommufd,
            monitor: self.monitor,
            ports: self.port.clone(),
            vm: self.vm.clone(),
            resource: self.resource.clone(),
        }
    }

    fn hand_out(&self, devices: &[Device], exported: &Exported) -> Result<()> {
        if let Some(path) = &self.output {
            whole::write(path, exported.text.as_bytes())?;
        }
        if self.json {
            let functions = devices.iter().map(|device| Function {
                address: device.address.to_string(),
                id: device.id.to_string(),
                name: device.name.clone(),
                group: device.group,
                driver: device.driver.clone(),
                bound: device.is_lent(),
            });
            return json::write(
                "export",
                &Told {
                    target: self.to.name(),
                    functions: functions.collect(),
                    text: &exported.text,
                    output: self.output.as_ref().map(|path| path.display().to_string()),
                    notes: &exported.notes,
                },
            );
        }
        for note in &exported.notes {
            terminal::tell(format_args!("vfio-bind: {note}"));
        }
        match self.output {
            Some(_) => Ok(()),
            None => terminal::write(&exported.text),
        }
    }
}

fn devices(root: &Path, tree: &Tree, machine: &[Found]) -> Vec<Device> {
    let names = Names::of(root);
    let chosen = machine.iter().filter(|one| one.chosen);
    chosen
        .map(|one| Device::read(root, tree, &names, one))
        .collect()
}

/// Says what is wrong.
fn refuse(problems: &[String], exit: u8) -> u8 {
    for problem in problems {
        terminal::tell(format_args!("vfio-bind: {problem}"));
    }
    exit
}

//! One machine in QEMU: started, watched, and never left behind.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use qemu_tests::judge::Evidence;
use qemu_tests::machine::Machine;

use crate::kernel::Kernel;
use crate::monitor::Monitor;
use crate::program;
use crate::tools::qemu;

/// How often a running machine is looked at.
const TICK: Duration = Duration::from_millis(100);

/// What a machine boots, and for how long.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The initramfs image; without one the firmware finds a boot loader on a disk, which has kernel and
    /// command line.
    pub image: Option<&'a Path>,
    /// Firmware that starts the kernel as packaged, instead of QEMU's own.
    pub firmware: Option<&'a Path>,
    /// What that firmware remembers: then it is code alone, and this is written to.
    pub variables: Option<&'a Path>,
    /// A file system for `/dev/vda`, only read from.
    pub disk: Option<&'a Path>,
    /// Contents of block device nodes that the machine's disks name, which it may write to.
    pub nodes: &'a [(&'a str, &'a Path)],
    /// What the owner of the machine added to the kernel's command line.
    pub cmdline: &'a str,
    /// QEMU's accelerator.
    pub accelerator: &'a str,
    /// The wall-clock limit.
    pub limit: Duration,
    /// The file for command and console.
    pub log: &'a Path,
}

/// A running machine.
#[derive(Debug)]
pub struct Vm {
    child: Child,
    monitor: Option<Monitor>,
    log: PathBuf,
    started: Instant,
    limit: Duration,
}

impl Boot<'_> {
    /// The command that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(qemu(self.machine.architecture).program);
        command.args(["-accel", self.accelerator]);
        command.args(&self.machine.arguments);
        // A comma would end QEMU's option.
        let name = |file: &Path| file.to_string_lossy().replace(',', ",,");
        for (node, file) in self.nodes {
            let file = name(file);
            command
                .arg("-blockdev")
                .arg(format!("driver=file,node-name={node},filename={file}"));
        }
        if let Some(file) = self.disk.map(name) {
            command.arg("-blockdev").arg(format!(
                "driver=file,node-name=root,read-only=on,filename={file}"
            ));
            // The functions of a slot share a group.
            command.args([
                "-device",
                "virtio-blk-pci,bus=pcie.0,addr=05.0,multifunction=on,drive=root",
                "-device",
                "virtio-rng-pci,bus=pcie.0,addr=05.1",
            ]);
        }
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ]);
        command.args(["-serial", "stdio"]);
        let mut kernel = &self.kernel.image;
        if let Some(firmware) = self.firmware {
            kernel = &self.kernel.packed;
            match self.variables {
                None => {
                    command.arg("-bios").arg(firmware);
                }
                Some(variables) => {
                    let flash = "if=pflash,format=raw";
                    let code = format!("{flash},unit=0,readonly=on,file={}", name(firmware));
                    let variables = format!("{flash},unit=1,file={}", name(variables));
                    command.args(["-drive", &code, "-drive", &variables]);
                }
            }
        }
        let Some(image) = self.image else {
            return command;
        };
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
        let mut parameters = self.machine.kernel_parameters.join(" ");
        if !self.cmdline.is_empty() {
            // Last, for a bare `--` ends the kernel's part.
            parameters = format!("{parameters} {}", self.cmdline);
        }
        command.arg("-append").arg(parameters);
        command
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where QEMU cannot be started or the log not be written.
    pub fn start(&self) -> Result<Vm> {
        let mut command = self.command();
        let monitor = Monitor::of(self.machine)?;
        command.args(monitor.iter().flat_map(Monitor::arguments));
        let line = program::line(&command);
        let mut log =
            File::create(self.log).with_context(|| format!("create({})", self.log.display()))?;
        writeln!(log, "{line}").with_context(|| format!("write({})", self.log.display()))?;
        command
            .stdin(Stdio::null())
            .stderr(log.try_clone().context("dup(log)")?)
            .stdout(log);
        // SAFETY: prctl is one system call; it neither allocates nor locks, so it may run between
        // fork and exec.
        unsafe {
            command.pre_exec(|| {
                // Even where this process is killed and nothing is dropped.
                prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("`{line}` could not be started"))?;
        Ok(Vm {
            child,
            monitor,
            log: self.log.to_owned(),
            started: Instant::now(),
            limit: self.limit,
        })
    }
}

impl Vm {
    /// Waits for the end, at the latest when the limit is over; shows `watch` the console so far, and does
    /// what the guest asks for there.
    ///
    /// # Errors
    /// Where the log cannot be read or QEMU not be waited for.
    pub fn finish(mut self, mut watch: impl FnMut(&str)) -> Result<Evidence> {
        let (mut over_time, mut refused) = (None, None);
        let mut size = 0;
        let status = loop {
            if let Some(status) = self.child.try_wait().context("wait(qemu)")? {
                break Some(status);
            }
            if self.started.elapsed() > self.limit {
                over_time = Some(self.limit.as_secs());
                break None;
            }
            thread::sleep(TICK);
            let grown = fs::metadata(&self.log).map_or(size, |metadata| metadata.len());
            if grown > size {
                size = grown;
                let console = self.console()?;
                watch(&console);
                let followed = self
                    .monitor
                    .as_mut()
                    .map(|monitor| monitor.follow(&console));
                if let Some(Err(error)) = followed {
                    refused = Some(format!("{error:#}"));
                    break None;
                }
            }
        };
        self.stop();
        let console = self.console()?;
        watch(&console);
        Ok(Evidence {
            console,
            exit: status.and_then(|status| status.code()),
            over_time,
            refused,
        })
    }

    fn console(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("read({})", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends it, if it has not ended. That it may just have done so is no error.
    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu_tests::architecture::Architecture;
    use qemu_tests::machine::{Iommu, pc};

    fn kernel() -> Kernel {
        Kernel {
            release: "6.1".to_owned(),
            image: "vmlinuz".into(),
            packed: "vmlinuz".into(),
            modules: "modules".into(),
            architecture: Architecture::X86_64,
            debian: None,
        }
    }

    #[test]
    fn the_owners_words_come_last() {
        let (machine, kernel) = (pc(Iommu::Intel), kernel());
        let boot = Boot {
            machine: &machine,
            kernel: &kernel,
            image: Some(Path::new("image")),
            firmware: None,
            variables: None,
            disk: Some(Path::new("a,b")),
            nodes: &[("twin", Path::new("c"))],
            cmdline: "vfio.bind=42:00.0 -- x",
            accelerator: "tcg",
            limit: Duration::from_secs(1),
            log: Path::new("log"),
        };
        let line = program::line(&boot.command());
        assert!(
            line.starts_with("qemu-system-x86_64 -accel tcg -cpu max,"),
            "{line}"
        );
        assert!(line.contains("-no-reboot"), "{line}");
        for node in [
            "node-name=root,read-only=on,filename=a,,b",
            "node-name=twin,filename=c",
        ] {
            assert!(line.contains(node), "{line}");
        }
        assert!(
            line.ends_with(
                "-kernel vmlinuz -initrd image \
                 -append 'console=ttyS0 no_timer_check panic=-1 mitigations=off cryptomgr.notests intel_iommu=on vfio.bind=42:00.0 -- x'"
            ),
            "{line}"
        );
    }

    #[test]
    fn a_machine_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "so far\n").unwrap();
        let vm = Vm {
            child: Command::new("sleep").arg("60").spawn().unwrap(),
            monitor: None,
            log,
            started: Instant::now(),
            limit: Duration::from_millis(300),
        };
        let started = Instant::now();
        let evidence = vm.finish(|_| {}).unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(evidence.over_time, Some(0));
        assert_eq!(evidence.exit, None);
        assert_eq!(evidence.console, "so far\n");
    }
}

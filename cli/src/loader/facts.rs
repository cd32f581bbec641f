//! What a machine shows of its boot loader.

use anyhow::Result;

use super::change::Invocation;
use super::line;
use super::view::View;

/// Behind the name of a variable of the boot loader interface (systemd.io/BOOT_LOADER_INTERFACE).
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The entry of ours that systemd-boot starts once.
pub const TRY: &str = "vfio-bind-try.conf";
/// In front of the name of the entry that it is a copy of.
pub const COPY: &str = "# a copy of ";
const EFIVARS: &str = "sys/firmware/efi/efivars";

/// The program that started the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// GRUB.
    Grub,
    /// systemd-boot.
    SystemdBoot,
    /// Limine.
    Limine,
    /// rEFInd.
    Refind,
    /// One that names itself, and is none of these.
    Other(String),
    /// It does not name itself.
    Unknown,
}

/// What is known of a machine.
pub struct Facts<'v> {
    /// Its files.
    pub view: &'v View<'v>,
    /// Whether a program can do something: it is run so, where one can be, and succeeds.
    pub knows: &'v dyn Fn(&Invocation) -> bool,
    /// What started the kernel.
    pub program: Program,
    /// The kernel command line of this boot.
    pub line: String,
    /// The words that setup has set, where programs keep them: they are no owner's.
    pub ours: Vec<String>,
    /// `ID` and `ID_LIKE` of os-release.
    pub systems: Vec<String>,
}

impl<'v> Facts<'v> {
    /// Looks.
    ///
    /// # Errors
    /// Where a file is there and cannot be read.
    pub fn gather(view: &'v View<'v>, knows: &'v dyn Fn(&Invocation) -> bool) -> Result<Self> {
        let line = view.text("proc/cmdline")?.unwrap_or_default();
        let program = match variable(view, "LoaderInfo")? {
            Some(name) if name.starts_with("systemd-boot") => Program::SystemdBoot,
            Some(name) if name.starts_with("GRUB") => Program::Grub,
            Some(name) if name.starts_with("Limine") => Program::Limine,
            Some(name) if name.starts_with("rEFInd") => Program::Refind,
            // The stub of a unified kernel image fills it in where no loader did (systemd 254, stub.c).
            Some(name) if name.starts_with("systemd-stub") => Program::Unknown,
            Some(name) => Program::Other(name),
            None => Program::Unknown,
        };
        let release = match view.text("etc/os-release")? {
            Some(text) => text,
            None => view.text("usr/lib/os-release")?.unwrap_or_default(),
        };
        let value = |key: &str| {
            let of = |line: &str| {
                let value = line.strip_prefix(key)?.strip_prefix('=')?;
                Some(value.trim().trim_matches(['"', '\'']).to_owned())
            };
            release.lines().find_map(of).unwrap_or_default()
        };
        let systems = format!("{} {}", value("ID"), value("ID_LIKE"));
        Ok(Self {
            view,
            knows,
            program,
            line: line.trim().to_owned(),
            ours: Vec::new(),
            systems: systems.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Whether GRUB may have started the kernel: it says so, or nothing else does and the line begins as GRUB's
    /// do (grub-core/loader/i386/linux.c puts `BOOT_IMAGE=` in front).
    #[must_use]
    pub fn maybe_grub(&self) -> bool {
        match self.program {
            Program::Grub => true,
            Program::Unknown => {
                let first = line::words(&self.line).into_iter().next();
                !self.efi_stub() && first.is_none_or(|word| word.starts_with("BOOT_IMAGE="))
            }
            _ => false,
        }
    }

    /// Whether the kernel was started as an EFI program by a loader that reads its files from there: such a
    /// line names the image with backslashes.
    #[must_use]
    pub fn efi_stub(&self) -> bool {
        line::words(&self.line).iter().any(|word| {
            word.strip_prefix("initrd=")
                .is_some_and(|path| path.contains('\\'))
        })
    }

    /// Whether systemd-boot started the kernel, or may have.
    #[must_use]
    pub fn maybe_systemd_boot(&self) -> bool {
        match self.program {
            Program::SystemdBoot => true,
            Program::Unknown => self.efi_stub(),
            _ => false,
        }
    }

    /// Whether a boot menu that is known by name started the kernel.
    #[must_use]
    pub fn maybe_known_menu(&self) -> bool {
        !matches!(self.program, Program::Unknown | Program::Other(_))
    }

    /// Whether the machine is an IBM Z.
    #[must_use]
    pub fn s390(&self) -> bool {
        self.view.exists("sys/hypervisor/s390") || self.view.exists("sys/firmware/ipl")
    }

    /// Words that are no owner's: without those that setup set.
    #[must_use]
    pub fn owners(&self, line: &str) -> Vec<String> {
        let left = line::without(line, &self.ours);
        line::words(&left).into_iter().map(str::to_owned).collect()
    }

    /// Whether the system is this one, or like it.
    #[must_use]
    pub fn system(&self, id: &str) -> bool {
        self.systems.iter().any(|system| system == id)
    }

    /// Whether /bin/sh is dash, which runs grub-mkconfig then: the link says so, or it is Debian's.
    #[must_use]
    pub fn sh_is_dash(&self) -> bool {
        let place = self.view.place("bin/sh").unwrap_or_default();
        let behind = place.rsplit('/').next().unwrap_or_default();
        match behind {
            "sh" => self.system("debian") || self.system("ubuntu"),
            other => other == "dash",
        }
    }

    /// The entry of the boot menu that was chosen, where the loader says so; where it is one that is tried once, the
    /// one that it is a copy of.
    ///
    /// # Errors
    /// Where the variable or the entry is there and cannot be read.
    pub fn selected(&self) -> Result<Option<String>> {
        let selected = variable(self.view, "LoaderEntrySelected")?;
        if selected.as_deref() != Some(TRY) {
            return Ok(selected);
        }
        // As it is, whatever becomes of it.
        let now = View::new(self.view.root());
        for directory in self.boot_directories() {
            let text = now
                .text(&format!("{directory}/loader/entries/{TRY}"))?
                .unwrap_or_default();
            if let Some(original) = text.lines().find_map(|line| line.strip_prefix(COPY)) {
                return Ok(Some(original.to_owned()));
            }
        }
        Ok(None)
    }

    /// What the stub of a unified kernel image says of itself.
    ///
    /// # Errors
    /// Where the variable is there and cannot be read.
    pub fn stub(&self) -> Result<Option<String>> {
        variable(self.view, "StubInfo")
    }

    /// Whether the firmware starts only what is signed.
    ///
    /// # Errors
    /// Where the variable is there and cannot be read.
    pub fn secure_boot(&self) -> Result<bool> {
        let path = format!("{EFIVARS}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        // Four bytes of attributes are in front.
        Ok(self
            .view
            .read(&path)?
            .is_some_and(|bytes| bytes.get(4) == Some(&1)))
    }

    /// Where the EFI system partition or the extended boot partition may be, those that have a directory for
    /// it.
    #[must_use]
    pub fn boot_directories(&self) -> Vec<&'static str> {
        let mut places = vec!["efi", "boot/efi", "boot"];
        // One may be a link to another.
        let mut seen = Vec::new();
        places.retain(|place| {
            let behind = self.view.place(place).unwrap_or_default();
            let new = self.view.exists(place) && !seen.contains(&behind);
            seen.push(behind);
            new
        });
        places
    }
}

/// A text that the boot loader left in a variable: UTF-16 behind four bytes of attributes.
fn variable(view: &View<'_>, name: &str) -> Result<Option<String>> {
    let Some(bytes) = view.read(&format!("{EFIVARS}/{name}-{VENDOR}"))? else {
        return Ok(None);
    };
    let units = bytes.get(4..).unwrap_or_default().chunks_exact(2);
    let units: Vec<u16> = units
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let text = String::from_utf16_lossy(&units);
    Ok(Some(text.trim_end_matches('\0').to_owned()))
}

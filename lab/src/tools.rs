//! Programs that must be on the machine, and how they get there.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::architecture::Architecture;

use crate::fault::faults;
use crate::lack::Unavailable;
use crate::logs;
use crate::program;
use crate::progress::say;

/// A program and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The program; or the whole path of another file, which is looked for there.
    pub program: &'static str,
    /// Debian's package of it.
    package: &'static str,
}

/// Runs the guests of an architecture.
#[must_use]
pub const fn qemu(architecture: Architecture) -> Tool {
    let (program, package) = match architecture {
        Architecture::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
        Architecture::Aarch64 => ("qemu-system-aarch64", "qemu-system-arm"),
        Architecture::S390x => ("qemu-system-s390x", "qemu-system-misc"),
    };
    Tool { program, package }
}
/// Writes the indexes that modprobe reads.
pub const DEPMOD: Tool = Tool {
    program: "depmod",
    package: "kmod",
};
/// Unpacks kernels.
pub const DPKG_DEB: Tool = Tool {
    program: "dpkg-deb",
    package: "dpkg",
};
/// Unpacks the images in them.
pub const XZ: Tool = Tool {
    program: "xz",
    package: "xz-utils",
};
/// Makes images of its kind, as distributions have them.
pub const LZ4: Tool = Tool {
    program: "lz4",
    package: "lz4",
};
/// Does so, too.
pub const ZSTD: Tool = Tool {
    program: "zstd",
    package: "zstd",
};
/// Compiles the test module.
pub const GCC: Tool = Tool {
    program: "gcc",
    package: "gcc",
};
/// Runs the kernel's build system for it.
pub const MAKE: Tool = Tool {
    program: "make",
    package: "make",
};
/// Reads the options of a kernel's source.
pub const FLEX: Tool = Tool {
    program: "flex",
    package: "flex",
};
/// Does so, too.
pub const BISON: Tool = Tool {
    program: "bison",
    package: "bison",
};
/// Calculates constants of a kernel's clock.
pub const BC: Tool = Tool {
    program: "bc",
    package: "bc",
};
/// Fetches kernels.
pub const APT_GET: Tool = Tool {
    program: "apt-get",
    package: "apt",
};
/// Unpacks packages where links to folders must stay.
pub const TAR: Tool = Tool {
    program: "tar",
    package: "tar",
};
/// Makes packages of its kind, and installs them.
pub const RPMBUILD: Tool = Tool {
    program: "rpmbuild",
    package: "rpm",
};
/// Packs what pacman installs: its list of files is one of tar's formats here.
pub const BSDTAR: Tool = Tool {
    program: "bsdtar",
    package: "libarchive-tools",
};
/// Installs Debian systems into folders.
pub const MMDEBSTRAP: Tool = Tool {
    program: "mmdebstrap",
    package: "mmdebstrap",
};
/// Judges packages of Debian.
pub const LINTIAN: Tool = Tool {
    program: "lintian",
    package: "lintian",
};
/// Judges packages of rpm's.
pub const RPMLINT: Tool = Tool {
    program: "rpmlint",
    package: "rpmlint",
};
/// Gives a build of an image a root of its own.
pub const UNSHARE: Tool = Tool {
    program: "unshare",
    package: "util-linux",
};
/// Writes partition tables.
pub const SFDISK: Tool = Tool {
    program: "sfdisk",
    package: "fdisk",
};
/// Makes the file system that EFI firmware reads. The one that mformat makes looks to GRUB like a
/// partition table.
pub const MKFS_FAT: Tool = Tool {
    program: "mkfs.fat",
    package: "dosfstools",
};
/// Makes folders in it, without root rights.
pub const MMD: Tool = Tool {
    program: "mmd",
    package: "mtools",
};
/// Copies files into it.
pub const MCOPY: Tool = Tool {
    program: "mcopy",
    package: "mtools",
};
/// Makes root file systems without root rights.
pub const MKE2FS: Tool = Tool {
    program: "mke2fs",
    package: "e2fsprogs",
};
/// Checks shell scripts.
pub const SHELLCHECK: Tool = Tool {
    program: "shellcheck",
    package: "shellcheck",
};

/// Runs the check of pages.
pub const NODE: Tool = Tool {
    program: "node",
    package: "nodejs",
};
/// Gets what that needs.
pub const NPM: Tool = Tool {
    program: "npm",
    package: "npm",
};
/// Shows pages.
pub const CHROMIUM: Tool = Tool {
    program: "chromium",
    package: "chromium",
};

/// The programs that only checks want.
pub const CHECKERS: [Tool; 1] = [SHELLCHECK];
/// The programs that builds of images want.
pub const IMAGE_TOOLS: [Tool; 6] = [MKE2FS, TAR, UNSHARE, LZ4, ZSTD, XZ];
/// The programs that lay out a disk for firmware.
pub const DISK_TOOLS: [Tool; 4] = [SFDISK, MKFS_FAT, MMD, MCOPY];

/// Links for another architecture than this machine's.
#[must_use]
pub const fn cross_gcc(architecture: Architecture) -> Tool {
    let (program, package) = match architecture {
        Architecture::X86_64 => ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
        Architecture::Aarch64 => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        Architecture::S390x => ("s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu"),
    };
    Tool { program, package }
}

/// Another architecture's C library, where Debian has it.
#[must_use]
pub const fn cross_libc(architecture: Architecture) -> Tool {
    let (program, package) = match architecture {
        Architecture::X86_64 => ("/usr/x86_64-linux-gnu/lib/libc.a", "libc6-dev-amd64-cross"),
        Architecture::Aarch64 => ("/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
        Architecture::S390x => ("/usr/s390x-linux-gnu/lib/libc.a", "libc6-dev-s390x-cross"),
    };
    Tool { program, package }
}

/// Runs one program of another architecture.
#[must_use]
pub const fn qemu_user(architecture: Architecture) -> Tool {
    let program = match architecture {
        Architecture::X86_64 => "qemu-x86_64",
        Architecture::Aarch64 => "qemu-aarch64",
        Architecture::S390x => "qemu-s390x",
    };
    Tool {
        program,
        package: "qemu-user",
    }
}

impl Tool {
    /// Where it is: depmod is often outside the PATH of those who are not root.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        folders
            .map(|folder| folder.join(self.program))
            .find(|path| path.is_file())
    }

    /// A command of it.
    ///
    /// # Errors
    /// Where it is not on the machine.
    pub fn command(&self) -> Result<Command> {
        let path = self.find().with_context(|| {
            format!(
                "`{}` is not on this machine: install it ({})",
                self.program, self.package
            )
        })?;
        Ok(Command::new(path))
    }
}

/// Makes sure that `tools` are on the machine: installs what is missing where that is possible.
///
/// # Errors
/// Where it is not possible; the message holds the command to run, or what to look for.
pub fn ensure_all(tools: &[Tool]) -> Result<()> {
    let missing: Vec<_> = tools
        .iter()
        .filter(|tool| tool.find().is_none())
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = nix::unistd::geteuid().is_root();
    match remedy(&missing, APT_GET.find().is_some(), root) {
        Remedy::Install(packages) => install(&packages)?,
        Remedy::Tell(text) => bail!(text),
    }
    let still = missing.iter().find(|tool| tool.find().is_none());
    ensure!(
        still.is_none(),
        "apt-get installed its package, but `{}` is nowhere",
        still.map_or("", |t| t.program)
    );
    Ok(())
}

/// What to do about missing tools.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    /// Install these packages.
    Install(Vec<&'static str>),
    /// Tell the user.
    Tell(String),
}

/// Decides.
fn remedy(missing: &[Tool], apt: bool, root: bool) -> Remedy {
    let programs: Vec<_> = missing.iter().map(|tool| tool.program).collect();
    let mut packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    packages.dedup();
    let (programs, names) = (programs.join(", "), packages.join(" "));
    match (apt, root) {
        (true, true) => Remedy::Install(packages),
        (true, false) => Remedy::Tell(format!(
            "not on this machine: {programs}. Run\n\n    sudo apt-get install --no-install-recommends {names}\n"
        )),
        (false, _) => Remedy::Tell(format!(
            "not on this machine: {programs}. Install your distribution's packages of them (Debian \
             calls them {names}). Test kernels come from Debian's archive through apt: without it, \
             name one by --kernel PATH --modules DIR"
        )),
    }
}

/// Only one of apt's installations at a time.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs packages of the system's own distribution.
fn install(packages: &[&str]) -> Result<()> {
    let _turn = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    say(format_args!(
        "installing {} with apt-get",
        packages.join(", ")
    ));
    let install = || {
        let mut apt = APT_GET.command()?;
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C");
        // Recommended packages of QEMU are graphical front ends.
        apt.args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages);
        program::output(&mut apt)
    };
    // Package lists may be absent (fresh containers) or name versions that are gone by now.
    if let Err(first) = install() {
        say("the package lists are too old or absent: apt-get update");
        let update = program::output(APT_GET.command()?.args(["update", "--quiet"]));
        if let Err(error) = install() {
            let update = update.err().map(|error| format!("{error:#}\n"));
            let said = format!("{first:#}\n{}{error:#}\n", update.unwrap_or_default());
            let log = logs::keep("apt", &said)?;
            // What the second attempt says is what counts.
            return Err(match faults(&format!("{error:#}")) {
                Some(faults) => Unavailable {
                    reason: faults[0].reason.clone(),
                    log: Some(log),
                }
                .into(),
                None => error.context(format!("installing packages (kept in {})", log.display())),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_on_debian_installs_and_others_are_told_the_command() {
        let missing = [qemu(Architecture::X86_64), SHELLCHECK];
        assert_eq!(
            remedy(&missing, true, true),
            Remedy::Install(vec!["qemu-system-x86", "shellcheck"])
        );
        let Remedy::Tell(text) = remedy(&missing, true, false) else {
            panic!("must tell")
        };
        assert!(
            text.contains(
                "sudo apt-get install --no-install-recommends qemu-system-x86 shellcheck"
            )
        );
        let Remedy::Tell(text) = remedy(&missing, false, true) else {
            panic!("must tell")
        };
        assert!(text.contains("qemu-system-x86_64, shellcheck") && text.contains("--kernel PATH"));
    }

    #[test]
    fn what_is_there_is_found() {
        assert!(
            Tool {
                program: "sh",
                package: "dash"
            }
            .find()
            .is_some()
        );
        assert!(
            Tool {
                program: "no-such-program",
                package: ""
            }
            .find()
            .is_none()
        );
    }
}

//! The tools that build images, and how each is told what an image has to hold.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::boot_case::{Case, FORCED, NIC_DRIVER, ROOT};

use crate::files;
use crate::system::Recipe;

/// A way into a boot, as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// dracut without systemd.
    Dracut,
    /// dracut with systemd.
    DracutSystemd,
    /// Debian's initramfs-tools.
    InitramfsTools,
    /// mkinitcpio with busybox.
    Mkinitcpio,
    /// mkinitcpio with systemd.
    MkinitcpioSystemd,
    /// mkosi-initrd, told of us by its own configuration.
    Mkosi,
    /// An archive behind an image that knows nothing of us.
    Cpio,
}

impl Framework {
    /// All of them, and their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("dracut", Self::Dracut),
        ("dracut-systemd", Self::DracutSystemd),
        ("initramfs-tools", Self::InitramfsTools),
        ("mkinitcpio", Self::Mkinitcpio),
        ("mkinitcpio-systemd", Self::MkinitcpioSystemd),
        ("mkosi-initrd", Self::Mkosi),
        ("cpio", Self::Cpio),
    ];
}

/// A version of dracut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dracut {
    /// Debian 12's.
    V059,
    /// That of Debian 12's backports.
    V106,
    /// That of sid.
    V112,
}

impl Dracut {
    /// All of them, and their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("059", Self::V059),
        ("106", Self::V106),
        ("112", Self::V112),
    ];
}

/// A version of initramfs-tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitramfsTools {
    /// Debian 12's.
    V0142,
    /// That of sid.
    V0151,
}

impl InitramfsTools {
    /// All of them, and their names.
    pub const ALL: [(&'static str, Self); 2] = [("0.142", Self::V0142), ("0.151", Self::V0151)];
}

/// A tool in one version and one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// dracut, with or without systemd.
    Dracut(Dracut, bool),
    /// initramfs-tools.
    InitramfsTools(InitramfsTools),
    /// mkinitcpio's program and whether its images have systemd.
    Mkinitcpio(PathBuf, bool),
    /// mkosi-initrd, which installs packages; ours are files in its configuration.
    Mkosi,
    /// initramfs-tools without our module; the archive comes behind its image.
    Cpio,
}

/// The kernel's release, as the builds need it.
pub type Release<'a> = &'a str;

/// A rule of udev's, and its place: the root's disk is ready, and called /dev/late, only after a while. Units
/// wait for what udev knows, not for a node.
const LATE_RULE: (&str, &str) = (
    "etc/udev/rules.d/99-late.rules",
    "KERNEL==\"vda\", PROGRAM=\"/usr/bin/sleep 10\", SYMLINK+=\"late\"\n",
);
/// What it needs.
const SLEEP: &str = "/usr/bin/sleep";

/// Where a build leaves its image.
pub const IMAGE: &str = "tmp/image";

impl Tool {
    /// Whose system mkinitcpio's hooks are exercised in.
    pub const HOOKS: Self = Self::InitramfsTools(InitramfsTools::V0142);

    /// A name for tables and files.
    #[must_use]
    pub fn name(&self) -> String {
        let systemd = |yes: bool| if yes { "-systemd" } else { "" };
        match self {
            Self::Dracut(Dracut::V059, yes) => format!("dracut{}-059", systemd(*yes)),
            Self::Dracut(Dracut::V106, yes) => format!("dracut{}-106", systemd(*yes)),
            Self::Dracut(Dracut::V112, yes) => format!("dracut{}-112", systemd(*yes)),
            Self::InitramfsTools(InitramfsTools::V0142) => "initramfs-tools".to_owned(),
            Self::InitramfsTools(InitramfsTools::V0151) => "initramfs-tools-0.151".to_owned(),
            Self::Mkinitcpio(_, yes) => format!("mkinitcpio{}", systemd(*yes)),
            Self::Mkosi => "mkosi-initrd".to_owned(),
            Self::Cpio => "cpio".to_owned(),
        }
    }

    /// Whether a case can be made of its images. What the kernel itself starts by `rdinit=` has to be
    /// there and to run.
    #[must_use]
    pub fn has(&self, case: Case) -> bool {
        // The real root is the same, whoever made the image; and what goes back, whoever asks for it.
        let elsewhere = matches!(case, Case::Again | Case::NetworkRoot) && *self != Self::HOOKS;
        // An archive has no hook that waits for a root.
        let no_net = case.waits() && *self == Self::Cpio;
        !(elsewhere || no_net || *self == Self::Cpio && case.breaks_agent())
    }

    /// Whether a case is made of its images where nobody asks for the tool.
    ///
    /// One card taken early, while its twin stays native, is a part of every case in which the root is waited
    /// for; by itself it is seen where a tool has none of those, and once with systemd, which reads nothing of
    /// a command line with a lone quote. To an init, a file that may not be executed is what one that is not
    /// there is, and the shells of dracut and of initramfs-tools go on after either by the same two words. How
    /// an image comes by a policy is the same with systemd and without. What is between the oldest and the
    /// newest version is booted once, and images of mkosi-initrd take a minute each.
    #[must_use]
    pub fn has_unasked(&self, case: Case) -> bool {
        let with_systemd = matches!(self, Self::Dracut(_, true));
        let is_wanted = match self {
            Self::Dracut(Dracut::V059, _) => match case {
                Case::Asked | Case::Configured | Case::NoAgent => with_systemd,
                _ => case != Case::NotExecutable,
            },
            Self::Dracut(Dracut::V106, _) => with_systemd && case == Case::Asked,
            Self::Dracut(Dracut::V112, true) => case == Case::RootTaken,
            Self::Dracut(Dracut::V112, false) => case == Case::Configured,
            Self::InitramfsTools(InitramfsTools::V0142) => case != Case::Asked,
            Self::InitramfsTools(InitramfsTools::V0151) | Self::Mkosi => {
                matches!(case, Case::Configured | Case::RootTaken)
            }
            // Without us it is an image of initramfs-tools.
            Self::Cpio => case != Case::WithoutUs,
            Self::Mkinitcpio(..) => true,
        };
        is_wanted && self.has(case)
    }

    /// How many times as long as another its images may take to boot. Some with systemd 262 were seen to
    /// take 57 to 98 s on a busy machine: what else it has to do must not fail a row.
    #[must_use]
    pub fn slowness(&self) -> u32 {
        match self {
            Self::Dracut(Dracut::V112, true) | Self::Mkosi => 3,
            _ => 1,
        }
    }

    /// Whether it has a hook of ours, which asks the command what to protect and tells where it cannot.
    #[must_use]
    pub fn asks_the_command(&self) -> bool {
        !matches!(self, Self::Mkosi | Self::Cpio)
    }

    /// The cases of the smaller test run: that it is early, and carries policy and protections, for each
    /// tool; that the drivers win without it, once.
    #[must_use]
    pub fn small_cases(&self) -> &'static [Case] {
        match self {
            Self::InitramfsTools(_) => &[
                Case::Asked,
                Case::Configured,
                Case::WithoutUs,
                Case::RootTaken,
            ],
            Self::Dracut(_, false) | Self::Mkinitcpio(..) => &[Case::Asked, Case::Configured],
            // It takes a minute for an image.
            Self::Mkosi => &[],
            // They carry the same files as the others of their kind.
            Self::Dracut(_, true) | Self::Cpio => &[Case::Asked],
        }
    }

    /// The system that it runs in.
    #[must_use]
    pub fn recipe(&self) -> Recipe {
        match self {
            Self::Dracut(Dracut::V059, _) => Recipe {
                name: "dracut-059",
                version: None,
                pool: &[],
                releases: &[("bookworm", &["dracut-core"])],
            },
            Self::Dracut(Dracut::V106, _) => Recipe {
                name: "dracut-106",
                version: None,
                pool: &[],
                releases: &[
                    ("bookworm-backports", &["dracut-core/bookworm-backports"]),
                    ("trixie", &["dracut-core"]),
                ],
            },
            // switch_root has moved out of what every system has.
            Self::Dracut(Dracut::V112, _) => Recipe {
                name: "dracut-112",
                version: Some(("dracut-core", "112-")),
                pool: &[],
                releases: &[
                    ("sid", &["dracut-core", "util-linux-extra"]),
                    ("forky", &["dracut-core", "util-linux-extra"]),
                ],
            },
            Self::InitramfsTools(InitramfsTools::V0151) => Recipe {
                name: "initramfs-tools-0.151",
                version: Some(("initramfs-tools-core", "0.151")),
                pool: &[],
                releases: &[
                    ("sid", &["initramfs-tools-core", "busybox", "zstd"]),
                    ("forky", &["initramfs-tools-core", "busybox", "zstd"]),
                ],
            },
            Self::InitramfsTools(InitramfsTools::V0142) | Self::Cpio => Recipe {
                name: "initramfs-tools",
                version: None,
                pool: &[],
                releases: &[
                    ("bookworm", &["initramfs-tools-core", "busybox", "zstd"]),
                    ("trixie", &["initramfs-tools-core", "busybox", "zstd"]),
                ],
            },
            Self::Mkosi => Recipe {
                name: "mkosi-27.1",
                version: Some(("mkosi", "27.1-")),
                pool: &super::mkosi::PACKAGES,
                releases: &[("sid", &["mkosi"]), ("forky", &["mkosi"])],
            },
            // Current versions want files of a systemd that Debian 13 has not.
            Self::Mkinitcpio(..) => Recipe {
                name: "mkinitcpio",
                version: None,
                pool: &[],
                releases: &[
                    (
                        "forky",
                        &["busybox", "libarchive-tools", "util-linux-extra", "zstd"],
                    ),
                    (
                        "sid",
                        &["busybox", "libarchive-tools", "util-linux-extra", "zstd"],
                    ),
                ],
            },
        }
    }

    /// Tells the tool in `root` which drivers to force and what the root file system needs.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn configure(&self, root: &Path) -> Result<()> {
        match self {
            Self::Dracut(_, systemd) => {
                let mut text = format!(
                    "filesystems+=\" ext4 \"\nadd_drivers+=\" {} \"\nforce_drivers+=\" {} \"\n",
                    ROOT.join(" "),
                    FORCED.join(" ")
                );
                if *systemd {
                    let place = "etc/modules-load.d/native.conf";
                    write(root, place, &lines(&FORCED))?;
                    text += &format!("install_items+=\" /{place} \"\n");
                }
                write(root, "etc/dracut.conf.d/test.conf", &text)
            }
            Self::InitramfsTools(_) | Self::Cpio => {
                let mut modules = [&ROOT[..], &FORCED].concat();
                if *self == Self::Cpio {
                    // As docs/install.md says.
                    modules.extend(["vfio_pci", "vfio_iommu_type1"]);
                }
                write(root, "etc/initramfs-tools/modules", &lines(&modules))?;
                let quick = "COMPRESS=gzip\nCOMPRESSLEVEL=1\n";
                write(root, "etc/initramfs-tools/conf.d/test", quick)
            }
            Self::Mkosi => super::mkosi::configure(root),
            Self::Mkinitcpio(program, systemd) => {
                super::mkinitcpio::prepare(root, program, *systemd)
            }
        }
    }

    /// Puts our hook where it would lose the race, for a tool that lets its user do so.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn list_hook_last(&self, root: &Path) -> Result<()> {
        match self {
            Self::Mkinitcpio(..) => write(
                root,
                "etc/mkinitcpio.conf.d/last.conf",
                "HOOKS+=(vfio-bind)\n",
            ),
            _ => Ok(()),
        }
    }

    /// What a case's boot adds to the command line.
    #[must_use]
    pub fn words(&self, case: Case) -> &'static str {
        match (case, self) {
            // For the last `root=` counts. dracut's queue acts after two thirds of this.
            (Case::SlowRoot, Self::Dracut(..)) => "root=/dev/late rd.retry=60",
            (Case::SlowRoot, Self::Mkinitcpio(_, false)) => "root=/dev/late rootdelay=30",
            (Case::SlowRoot, _) => "root=/dev/late",
            (Case::RootTaken, Self::Dracut(..)) => "rd.retry=15",
            (Case::RootTaken, Self::Mkinitcpio(..)) => "rootdelay=3",
            _ => "",
        }
    }

    /// Whether its images have our unit that waits for the root device.
    #[must_use]
    pub fn has_units(&self) -> bool {
        matches!(self, Self::Dracut(_, true))
    }

    /// Has our unit that waits for the root device wait less.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn hurry(&self, root: &Path) -> Result<()> {
        let place = "etc/systemd/system/vfio-bind-root.target.d/test.conf";
        write(root, place, "[Unit]\nJobTimeoutSec=20\n")?;
        dracut_installs(root, &format!("/{place}"))
    }

    /// Has the root's disk called /dev/late, ten seconds after the image has begun to look for it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn delay_root(&self, root: &Path) -> Result<()> {
        let (place, text) = LATE_RULE;
        match self {
            Self::InitramfsTools(_) => delay_by_script(
                root,
                "etc/initramfs-tools/scripts/init-premount/late",
                "[ \"$1\" != prereqs ] || exit 0\n",
            ),
            Self::Dracut(_, false) => {
                let place = "usr/lib/dracut/hooks/pre-trigger/late.sh";
                delay_by_script(root, place, "")?;
                dracut_installs(root, &format!("/{place}"))
            }
            Self::Dracut(_, true) => {
                write(root, place, text)?;
                dracut_installs(root, &format!("/{place} {SLEEP}"))
            }
            Self::Mkosi => super::mkosi::add_file(root, place, text),
            Self::Mkinitcpio(..) => {
                write(root, place, text)?;
                let text = format!("FILES+=(/{place})\nBINARIES+=({SLEEP})\n");
                write(root, "etc/mkinitcpio.conf.d/late.conf", &text)
            }
            // Its images wait for no root.
            Self::Cpio => Ok(()),
        }
    }

    /// Has initramfs-tools, which alone is asked for it, call the root's disk /dev/carried once the NIC has its
    /// driver, as one is there that comes over it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn carry_root(&self, root: &Path) -> Result<()> {
        const RULE: &str = "etc/udev/rules.d/99-carried.rules";
        let modules = [&ROOT[..], &FORCED, &[NIC_DRIVER]].concat();
        write(root, "etc/initramfs-tools/modules", &lines(&modules))?;
        let rule = format!(
            "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"{NIC_DRIVER}\", \
             RUN+=\"/bin/ln -s vda /dev/carried\"\n"
        );
        write(root, RULE, &rule)?;
        let hook = format!(
            "#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\nmkdir -p \"$DESTDIR/etc/udev/rules.d\"\n\
             cp /{RULE} \"$DESTDIR/{RULE}\"\n"
        );
        let place = root.join("etc/initramfs-tools/hooks/carried");
        files::write(&place, hook.as_bytes(), 0o755)
    }

    /// The command that builds an image for `release` at [`IMAGE`]; uncompressed where we have a hook, for
    /// cases look into it and change it.
    #[must_use]
    pub fn command(&self, release: Release<'_>) -> Vec<String> {
        let words: Vec<&str> = match self {
            Self::Dracut(_, systemd) => {
                // Not `--quiet`, which hides warnings since 112.
                let mut words = vec!["dracut", "--force", "--kver", release];
                words.extend(["--hostonly", "--no-hostonly-cmdline"]);
                words.extend(["--no-early-microcode", "--no-compress", "--modules"]);
                // Named, or this machine's own devices would decide.
                words.push(if *systemd {
                    "systemd systemd-initrd systemd-modules-load systemd-udevd systemd-journald \
                     systemd-tmpfiles dracut-systemd base rootfs-block kernel-modules fs-lib udev-rules"
                } else {
                    "bash base rootfs-block kernel-modules fs-lib udev-rules"
                });
                words.push("/tmp/image");
                words
            }
            Self::InitramfsTools(_) => vec![
                "sh",
                "-c",
                "mkinitramfs -o /tmp/image.gz \"$0\" && gzip -dc /tmp/image.gz >/tmp/image",
                release,
            ],
            Self::Cpio => vec!["mkinitramfs", "-o", "/tmp/image", release],
            Self::Mkosi => super::mkosi::command(release),
            Self::Mkinitcpio(..) => vec![
                "sh",
                "-c",
                // It wants both indexes of udev's hardware database.
                "systemd-hwdb update && systemd-hwdb --usr update \
                 && exec mkinitcpio --kernel \"$0\" --generate /tmp/image",
                release,
            ],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Puts the kernel's modules, and what else a tool wants of a kernel, into `root`.
    ///
    /// # Errors
    /// Where something cannot be linked.
    pub fn add_kernel(
        &self,
        root: &Path,
        kernel: &crate::kernel::Kernel,
        modules: &Path,
    ) -> Result<()> {
        files::link_tree(&modules.join("lib/modules"), &root.join("usr/lib/modules"))?;
        if matches!(self, Self::InitramfsTools(_) | Self::Cpio) {
            // It wants to know which compression the kernel understands.
            let name = format!("config-{}", kernel.release);
            let config = kernel.image.with_file_name(&name);
            ensure!(
                config.is_file(),
                "{}: no such file; initramfs-tools needs the kernel's configuration beside its image",
                config.display()
            );
            let text = fs::read(&config).with_context(|| format!("read({})", config.display()))?;
            files::write(&root.join("boot").join(name), &text, 0o644)?;
        }
        Ok(())
    }
}

/// Has dracut put files into its images.
fn dracut_installs(root: &Path, items: &str) -> Result<()> {
    let text = format!("install_items+=\" {items} \"\n");
    write(root, "etc/dracut.conf.d/root.conf", &text)
}

/// Has a script of an image call the root's disk /dev/late, ten seconds after it is run.
fn delay_by_script(root: &Path, place: &str, head: &str) -> Result<()> {
    let text = format!("#!/bin/sh\n{head}(sleep 10; ln -s vda /dev/late) </dev/null &\n");
    files::write(&root.join(place), text.as_bytes(), 0o755)
}

fn lines(modules: &[&str]) -> String {
    modules.join("\n") + "\n"
}

/// Writes a text file in `root`.
fn write(root: &Path, place: &str, text: &str) -> Result<()> {
    files::write(&root.join(place), text.as_bytes(), 0o644)
}

//! Images, each built once by the real tool, in the variants that the cases need.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::boot_case::{Case, FORCED, MODPROBE, NIC_DRIVER, POLICY, PROTECTED, ROOT};
use qemu_tests::hotplug;

use super::mkosi;
use super::plug;
use super::repack::{self, Instead};
use super::tool::{IMAGE, Tool};
use crate::appended;
use crate::files::{self, link_tree};
use crate::initrd::{self, Archive, Choice, FOLDER};
use crate::lack::Memo;
use crate::program;
use crate::progress::say;
use crate::rig::Rig;
use crate::supply::{AGENT, COMMAND, Executables, Program};
use crate::system::{self, ARCHITECTURE};

/// Where an image has the functions that its builder's system needs to boot.
pub(super) const PROTECTED_PLACE: &str = "etc/vfio-bind/protected.conf";

/// What an image holds of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    /// Nothing.
    Bare,
    /// Nothing of ours, and a script that has a card plugged in.
    BarePlugged,
    /// Our module with the command, and that script.
    Plugged,
    /// Our module, without the command that tells what to protect.
    Ours,
    /// Our module and the command, a policy and modprobe.d.
    Configured,
    /// Our module, and a root that is late: see [`Tool::delay_root`].
    Late,
    /// Our module, with a unit that waits for the root less than it should: see [`Tool::hurry`].
    Hurried,
    /// Our module, and a root that comes over a NIC: see [`Tool::carry_root`].
    Carried,
}

impl Variant {
    /// Whether our module is in it.
    fn has_ours(self) -> bool {
        !matches!(self, Self::Bare | Self::BarePlugged)
    }

    /// Whether our module is in it without the command.
    fn is_alone(self) -> bool {
        self.has_ours() && !matches!(self, Self::Configured | Self::Plugged)
    }
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image, uncompressed.
    pub path: PathBuf,
    /// How long the tool took.
    pub time: Duration,
}

/// Builds images, each once.
pub struct Builds<'a> {
    rig: &'a Rig<'a>,
    modules: Memo<(), PathBuf>,
    command: Memo<(), PathBuf>,
    images: Memo<(String, Variant), Built>,
}

impl<'a> Builds<'a> {
    /// Builds with the parts of a rig.
    #[must_use]
    pub fn new(rig: &'a Rig<'a>) -> Self {
        Self {
            rig,
            modules: Memo::default(),
            command: Memo::default(),
            images: Memo::default(),
        }
    }

    /// The modules of all images: all modules of a kernel would only make images slow to build and to
    /// boot.
    fn modules(&self) -> Result<PathBuf> {
        self.modules.get((), || {
            // Among the last are two that mkinitcpio's `systemd` asks for by name.
            let more = ["nvme", "lz4", "lzo", NIC_DRIVER];
            let natives = [&FORCED[..], &ROOT, &more, &hotplug::MODULES].concat();
            let choice = Choice {
                natives: &natives,
                ..Choice::default()
            };
            let staged = initrd::stage_modules(&self.rig.kernel(None, ARCHITECTURE)?, &choice)?;
            let to = self.rig.folder().join("modules");
            link_tree(staged.path(), &to)?;
            Ok(to)
        })
    }

    /// Stands in for the command, which would tell of this machine and not of the one that boots.
    fn command(&self) -> Result<PathBuf> {
        self.command.get((), || {
            let command = self.rig.folder().join("vfio-bind");
            stand_in(&command, PROTECTED)?;
            Ok(command)
        })
    }

    /// The image of `tool` for `case`.
    ///
    /// # Errors
    /// Where the tool fails, with what it said.
    pub fn image(&self, tool: &Tool, case: Case) -> Result<Built> {
        let variant = match case {
            Case::WithoutUs => Variant::Bare,
            Case::Configured => Variant::Configured,
            Case::SlowRoot => Variant::Late,
            Case::NetworkRoot => Variant::Carried,
            Case::RootTaken if tool.has_units() => Variant::Hurried,
            _ => Variant::Ours,
        };
        let built = self.variant(tool, variant)?;
        let crash = || -> Result<Vec<u8>> {
            let path = self.rig.program(Program::Crash, ARCHITECTURE)?;
            fs::read(&path).with_context(|| format!("read({})", path.display()))
        };
        let (instead, bytes) = match case {
            Case::NoAgent => (None, Vec::new()),
            Case::NotExecutable => (Some(initrd::DATA), crash()?),
            Case::Crashing => (Some(initrd::PROGRAM), crash()?),
            _ => return Ok(built),
        };
        let instead = instead.map_or(Instead::Nothing, |mode| Instead::File(mode, &bytes));
        let name = format!("{}-{}.img", tool.name(), case.name());
        let path = self.rig.folder().join(name);
        repack::replace(&built.path, &path, AGENT, instead)?;
        Ok(Built { path, ..built })
    }

    /// The image of `tool` with a script that has a card plugged in where the command line says so.
    ///
    /// # Errors
    /// Where the tool fails, with what it said.
    pub fn plugged_image(&self, tool: &Tool, ours: bool) -> Result<Built> {
        let variant = if ours {
            Variant::Plugged
        } else {
            Variant::BarePlugged
        };
        self.variant(tool, variant)
    }

    /// The image of `tool` in a variant, built by who wants it first.
    fn variant(&self, tool: &Tool, variant: Variant) -> Result<Built> {
        self.images
            .get((tool.name(), variant), || self.build(tool, variant))
    }

    /// Runs mkinitcpio's hooks under its documented functions, in a system with everything installed.
    ///
    /// # Errors
    /// Where they do not do what they must, with all of it.
    pub fn exercise_hooks(&self) -> Result<()> {
        const HARNESS: &[u8] = include_bytes!("documented.sh");
        let root = self.rig.folder().join("hooks.root");
        link_tree(&self.rig.system(Tool::HOOKS.recipe())?, &root)?;
        self.install(&root)?;
        files::write(&root.join("tmp/documented.sh"), HARNESS, 0o755)?;
        program::output(&mut system::command(
            &root,
            &["bash", "/tmp/documented.sh"],
        )?)?;
        fs::remove_dir_all(&root).with_context(|| format!("remove({})", root.display()))
    }

    fn install(&self, root: &Path) -> Result<()> {
        let executables = Executables {
            agent: &self.rig.agent(ARCHITECTURE)?,
            command: &self.command()?,
        };
        self.rig.supply().install(executables, root)
    }

    /// The release of the kernel that images are for.
    pub(super) fn release(&self) -> Result<String> {
        Ok(self.rig.kernel(None, ARCHITECTURE)?.release)
    }

    /// A system with the tool and, in its place, all of ours.
    pub(super) fn installed(&self, tool: &Tool, name: &str) -> Result<PathBuf> {
        let root = self.system(tool, &format!("{}-{name}", tool.name()))?;
        self.install(&root)?;
        Ok(root)
    }

    /// A system with the tool, told what an image has to hold.
    fn system(&self, tool: &Tool, name: &str) -> Result<PathBuf> {
        let root = self.rig.folder().join(format!("{name}.root"));
        link_tree(&self.rig.system(tool.recipe())?, &root)?;
        let kernel = self.rig.kernel(None, ARCHITECTURE)?;
        tool.add_kernel(&root, &kernel, &self.modules()?)?;
        tool.configure(&root)?;
        Ok(root)
    }

    fn build(&self, tool: &Tool, variant: Variant) -> Result<Built> {
        let folder = self.rig.folder();
        let kernel = self.rig.kernel(None, ARCHITECTURE)?;
        let name = format!("{}-{variant:?}", tool.name()).to_lowercase();
        let root = self.system(tool, &name)?;
        if variant.has_ours() && *tool != Tool::Cpio {
            self.install(&root)?;
        }
        match variant {
            Variant::Late => tool.delay_root(&root)?,
            Variant::Hurried => tool.hurry(&root)?,
            Variant::Carried => tool.carry_root(&root)?,
            Variant::Plugged | Variant::BarePlugged => plug::add_script(tool, &root)?,
            _ => {}
        }
        if variant.is_alone() && tool.asks_the_command() {
            let command = root.join(COMMAND);
            fs::remove_file(&command).with_context(|| format!("remove({})", command.display()))?;
        }
        let policy = root.join("etc/vfio-bind/policy.conf");
        if variant == Variant::Configured {
            let conf = root.join("etc/modprobe.d/vfio.conf");
            files::write(&policy, POLICY.as_bytes(), 0o644)?;
            files::write(&conf, MODPROBE.as_bytes(), 0o644)?;
            tool.list_hook_last(&root)?;
        }
        if variant.has_ours() && *tool == Tool::Mkosi {
            mkosi::add_ours(&root, variant == Variant::Configured)?;
        }
        let started = Instant::now();
        let words = tool.command(&kernel.release);
        let words = ["sh", "-c", "exec \"$0\" \"$@\" 2>&1"]
            .into_iter()
            .chain(words.iter().map(String::as_str));
        let words: Vec<_> = words.collect();
        let said = program::output(&mut system::command(&root, &words)?);
        let time = started.elapsed();
        let said = said.with_context(|| format!("{} builds no image", tool.name()))?;
        say(format_args!(
            "built the image {name} in {:.1} s",
            time.as_secs_f64()
        ));
        let path = folder.join(format!("{name}.img"));
        fs::rename(root.join(IMAGE), &path)
            .with_context(|| format!("rename({IMAGE}, {})", path.display()))?;
        if tool.asks_the_command() {
            check_protected(&path, variant, &said)?;
        }
        if *tool == Tool::Cpio && variant.has_ours() {
            let policy = (variant == Variant::Configured).then_some(policy.as_path());
            self.append_archive(&path, policy)?;
        }
        fs::remove_dir_all(&root).with_context(|| format!("remove({})", root.display()))?;
        Ok(Built { path, time })
    }

    /// Appends what `cargo xtask cpio` makes to an image, as `cat` does, and the node of the kernel log that
    /// images of dracut have: a /dev that is not empty is still none with VFIO's nodes. An archive has no
    /// builder to ask: with a policy goes what its owner has asked for.
    fn append_archive(&self, image: &Path, policy: Option<&Path>) -> Result<()> {
        let [path, list, nodes] = ["archive", "list", "nodes"].map(|end| image.with_extension(end));
        files::write(&list, PROTECTED.as_bytes(), 0o644)?;
        let content = appended::Content {
            agent: &self.rig.agent(ARCHITECTURE)?,
            policy,
            protected: policy.map(|_| list.as_path()),
        };
        appended::write(&path, content)?;
        appended::wrap(&nodes, &|plain| {
            let mut archive = Archive::create(plain)?;
            archive.add("dev/", FOLDER, b"")?;
            archive.add_node("dev/kmsg", 1, 11)?;
            archive.finish()
        })?;
        let append = || -> std::io::Result<()> {
            let mut out = fs::OpenOptions::new().append(true).open(image)?;
            for part in [&path, &nodes] {
                std::io::copy(&mut fs::File::open(part)?, &mut out)?;
            }
            Ok(())
        };
        append().with_context(|| format!("append({})", image.display()))
    }
}

/// Writes what stands in for the command `vfio-bind` where images are built: of what is to be protected
/// it says `list`, and it knows one mistake of a policy.
pub(super) fn stand_in(command: &Path, list: &str) -> Result<()> {
    const CHECK: &str = "sed -n /vfio.bnid/= /etc/vfio-bind/policy.conf | \
                         sed 's|.*|/etc/vfio-bind/policy.conf:&: vfio.bnid is no parameter|'";
    let script = format!(
        "#!/bin/sh\ncase $1 in\nprotected) cat <<'END'\n{list}END\n;;\ncheck) {CHECK};;\n*) exit 1;;\nesac\n"
    );
    files::write(command, script.as_bytes(), 0o755)
}

/// Whether an image has the list of protected functions, or its builder has warned that it has not.
fn check_protected(image: &Path, variant: Variant, said: &str) -> Result<()> {
    let list = repack::content(image, PROTECTED_PLACE)?;
    let list = list.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let expected = (variant.has_ours() && !variant.is_alone()).then_some(PROTECTED);
    ensure!(
        list.as_deref() == expected,
        "{PROTECTED_PLACE} in the image is {list:?}, not {expected:?}; its builder said:\n{said}"
    );
    let warned = said.contains("vfio-bind: the image does not protect the boot disk");
    ensure!(
        warned == variant.is_alone(),
        "the builder of an image with the list {list:?} said:\n{said}"
    );
    Ok(())
}

//! Images, each built once by the real tool, in the variants that the cases need.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use qemu_tests::image::{Case, FORCED, MODPROBE, POLICY, PROTECTED, ROOT};

use super::ARCHITECTURE;
use super::repack::{self, Instead};
use super::root::{self, link_tree};
use super::tool::{IMAGE, Tool};
use crate::archive;
use crate::bench::Bench;
use crate::cache::Cache;
use crate::cargo::Executable;
use crate::command;
use crate::image::{self, Choice, Programs};
use crate::install::{self, Executables};
use crate::progress::say;

/// Where an image has the functions that its builder's system needs to boot.
const PROTECTED_PLACE: &str = "etc/vfio-bind/protected.conf";

/// What an image holds of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    /// Nothing.
    Bare,
    /// Our module, without the command that tells what to protect.
    Ours,
    /// Our module and the command, a policy and modprobe.d.
    Configured,
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image, uncompressed.
    pub path: PathBuf,
    /// How long the tool took.
    pub time: Duration,
}

/// Why an image could not be built; shown for each case that needs it.
type Outcome = Result<Built, String>;
/// By tool and variant; who comes second waits for the first.
type Images = BTreeMap<(String, Variant), Arc<OnceLock<Outcome>>>;

/// Builds images.
pub struct Builds<'a> {
    bench: &'a Bench,
    programs: &'a Programs,
    cache: Cache,
    modules: tempfile::TempDir,
    crash: Vec<u8>,
    /// Stands in for the command, which would tell of this machine and not of the one that boots.
    command: PathBuf,
    images: Mutex<Images>,
}

impl<'a> Builds<'a> {
    /// Prepares what all builds share.
    ///
    /// # Errors
    /// Where modules cannot be collected or a program not be built.
    pub fn new(bench: &'a Bench) -> Result<Self> {
        // The last two are what mkinitcpio's `systemd` asks for by name.
        let natives = [&FORCED[..], &ROOT, &["nvme", "lz4", "lzo"]].concat();
        let choice = Choice {
            natives: &natives,
            ..Choice::default()
        };
        let crash = Executable::guest("crash").build()?;
        let command = bench.folder.path().join("vfio-bind");
        let script =
            format!("#!/bin/sh\n[ \"$*\" = protected ] || exit 1\ncat <<'END'\n{PROTECTED}END\n");
        install::write(&command, script.as_bytes(), 0o755)?;
        Ok(Self {
            bench,
            programs: bench.programs(ARCHITECTURE)?,
            cache: Cache::open()?,
            // All modules of a kernel would only make images slow to build and to boot.
            modules: image::stage_modules(&bench.kernel, &choice)?,
            crash: fs::read(&crash).with_context(|| format!("read({})", crash.display()))?,
            command,
            images: Mutex::default(),
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
            _ => Variant::Ours,
        };
        let built = self.variant(tool, variant)?;
        let instead = match case {
            Case::NoAgent => Instead::Nothing,
            Case::NotExecutable => Instead::File(image::DATA, &self.crash),
            Case::Crashing => Instead::File(image::PROGRAM, &self.crash),
            _ => return Ok(built),
        };
        let name = format!("{}-{}.img", tool.name(), case.name());
        let path = self.bench.folder.path().join(name);
        repack::replace(&built.path, &path, instead)?;
        Ok(Built { path, ..built })
    }

    /// The image of `tool` in a variant, built by who wants it first.
    fn variant(&self, tool: &Tool, variant: Variant) -> Result<Built> {
        let key = (tool.name(), variant);
        let cell = {
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(images.entry(key).or_default())
        };
        let outcome = cell.get_or_init(|| {
            let built = self.build(tool, variant);
            built.map_err(|error| format!("{error:#}"))
        });
        outcome.clone().map_err(|error| anyhow!(error))
    }

    /// Runs mkinitcpio's hooks under its documented functions, in a system with everything installed.
    ///
    /// # Errors
    /// Where they do not do what they must, with all of it.
    pub fn exercise_hooks(&self) -> Result<()> {
        const HARNESS: &[u8] = include_bytes!("documented.sh");
        let root = self.bench.folder.path().join("hooks.root");
        link_tree(&Tool::InitramfsTools.recipe().get(&self.cache)?, &root)?;
        install::install(self.executables(), &root)?;
        install::write(&root.join("tmp/documented.sh"), HARNESS, 0o755)?;
        command::output(&mut root::command(&root, &["bash", "/tmp/documented.sh"])?)?;
        fs::remove_dir_all(&root).with_context(|| format!("remove({})", root.display()))
    }

    fn executables(&self) -> Executables<'_> {
        Executables {
            agent: &self.programs.agent,
            command: &self.command,
        }
    }

    fn build(&self, tool: &Tool, variant: Variant) -> Result<Built> {
        let folder = self.bench.folder.path();
        let name = format!("{}-{variant:?}", tool.name()).to_lowercase();
        let root = folder.join(format!("{name}.root"));
        link_tree(&tool.recipe().get(&self.cache)?, &root)?;
        tool.add_kernel(&root, &self.bench.kernel, self.modules.path())?;
        tool.configure(&root)?;
        if variant != Variant::Bare && *tool != Tool::Cpio {
            install::install(self.executables(), &root)?;
        }
        if variant == Variant::Ours && *tool != Tool::Cpio {
            let command = root.join(install::COMMAND);
            fs::remove_file(&command).with_context(|| format!("remove({})", command.display()))?;
        }
        let policy = root.join("etc/vfio-bind/policy.conf");
        if variant == Variant::Configured {
            let conf = root.join("etc/modprobe.d/vfio.conf");
            // An archive has no builder to ask: its owner puts the list into the policy.
            let list = if *tool == Tool::Cpio { PROTECTED } else { "" };
            let text = format!("{POLICY}{list}");
            install::write(&policy, text.as_bytes(), 0o644)?;
            install::write(&conf, MODPROBE.as_bytes(), 0o644)?;
            tool.list_hook_last(&root)?;
        }
        let started = Instant::now();
        let words = tool.command(&self.bench.kernel.release);
        let words = ["sh", "-c", "exec \"$0\" \"$@\" 2>&1"]
            .into_iter()
            .chain(words.iter().map(String::as_str));
        let words: Vec<_> = words.collect();
        let said = command::output(&mut root::command(&root, &words)?);
        let time = started.elapsed();
        let said = said.with_context(|| format!("{} builds no image", tool.name()))?;
        say(format_args!(
            "built the image {name} in {:.1} s",
            time.as_secs_f64()
        ));
        let path = folder.join(format!("{name}.img"));
        fs::rename(root.join(IMAGE), &path)
            .with_context(|| format!("rename({IMAGE}, {})", path.display()))?;
        if *tool != Tool::Cpio {
            check_protected(&path, variant, &said)?;
        }
        if *tool == Tool::Cpio && variant != Variant::Bare {
            let policy = (variant == Variant::Configured).then_some(policy.as_path());
            self.append_archive(&path, policy)?;
        }
        fs::remove_dir_all(&root).with_context(|| format!("remove({})", root.display()))?;
        Ok(Built { path, time })
    }

    /// Appends what `cargo xtask cpio` makes to an image.
    fn append_archive(&self, image: &Path, policy: Option<&Path>) -> Result<()> {
        let path = image.with_extension("archive");
        archive::write(&path, &self.programs.agent, policy)?;
        archive::pad(image)?;
        let append = || -> std::io::Result<()> {
            let mut out = fs::OpenOptions::new().append(true).open(image)?;
            std::io::copy(&mut fs::File::open(&path)?, &mut out).map(drop)
        };
        append().with_context(|| format!("append({})", image.display()))
    }
}

/// Whether an image has the list of protected functions, or its builder has warned that it has not.
fn check_protected(image: &Path, variant: Variant, said: &str) -> Result<()> {
    let list = repack::content(image, PROTECTED_PLACE)?;
    let list = list.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let expected = (variant == Variant::Configured).then_some(PROTECTED);
    ensure!(
        list.as_deref() == expected,
        "{PROTECTED_PLACE} in the image is {list:?}, not {expected:?}; its builder said:\n{said}"
    );
    let warned = said.contains("vfio-bind: the image does not protect the boot disk");
    ensure!(
        warned == (variant == Variant::Ours),
        "the builder of an image with the list {list:?} said:\n{said}"
    );
    Ok(())
}

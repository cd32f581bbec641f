//! All that a scenario needs in order to run, prepared once for many.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;
use qemu_tests::judge::{self, Evidence, Judgement};
use qemu_tests::scenario::{BUILT_IN, Scenario};

use crate::cache::Cache;
use crate::cargo::Executable;
use crate::firmware;
use crate::image::{self, Choice, Programs};
use crate::kernel::{self, Kernel};
use crate::modules::Index;
use crate::progress::say;
use crate::test_module;
use crate::toolchain;
use crate::tools::{self, DEPMOD, DPKG_DEB, Tool, XZ, qemu};
use crate::userland;
use crate::vm::Boot;

/// What to boot, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Of Debian's kernels 5.10, 6.1, 6.12 or `newest`; or `built-in`, a kernel with vfio-pci in it,
    /// built from Debian's source when it is first wanted; or the path of an image.
    #[arg(long, value_name = "PATH|VERSION", default_value = kernel::DEFAULT)]
    pub kernel: String,
    /// The folder with modules.dep that belongs to an image named by its path.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub modules: Option<PathBuf>,
    /// QEMU's accelerator: kvm is faster where it works.
    #[arg(long, value_parser = ["tcg", "kvm"], default_value = "tcg")]
    pub accel: String,
    /// An agent to test instead of building one, on machines of this one's architecture.
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// A program for guests that stands in for the agent.
    #[arg(skip)]
    pub stand_in: Option<&'static str>,
    /// The wall-clock limit of one machine.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}

impl Options {
    /// Why a scenario cannot be run with these options, if it cannot.
    #[must_use]
    pub fn obstacle(&self, scenario: &Scenario) -> Option<&'static str> {
        if self.agent.is_some() && Architecture::host() != Some(scenario.architecture()) {
            Some("it runs on another architecture than the agent: omit --agent")
        } else if self.modules.is_none() {
            None
        } else if scenario.needs().is_some() {
            Some("its test module is built with the headers of a packaged kernel: omit --modules")
        } else if scenario.kernel.is_some() || scenario.efi {
            Some("it is about certain packages of kernel and firmware: omit --modules")
        } else {
            None
        }
    }

    /// The programs without which nothing can be booted on machines of these architectures.
    #[must_use]
    pub fn tools(&self, architectures: &BTreeSet<Architecture>) -> Vec<Tool> {
        let mut tools: Vec<_> = architectures.iter().copied().map(qemu).collect();
        tools.push(DEPMOD);
        if self.modules.is_none() {
            tools.extend([DPKG_DEB, XZ]);
        }
        tools
    }
}

/// A kernel, the programs of the guest and a place to work.
#[derive(Debug)]
pub struct Bench {
    /// The kernel that is booted.
    pub kernel: Kernel,
    /// Whether that is [`BUILT_IN`].
    built_in: bool,
    /// What images hold, by the architecture of the machine.
    programs: BTreeMap<Architecture, Programs>,
    /// QEMU's accelerator.
    pub accelerator: String,
    /// The wall-clock limit of one machine.
    pub limit: Duration,
    /// Where consoles are kept.
    pub logs: PathBuf,
    /// Where images are made.
    pub folder: tempfile::TempDir,
    /// What packages were unpacked to.
    cache: Cache,
    /// The kernels of scenarios that want one of their own, by version.
    kernels: Mutex<BTreeMap<(&'static str, Architecture), Kernel>>,
    /// Images without orders.
    images: Mutex<BTreeMap<ImageKey, PathBuf>>,
}

/// Architecture and release of an image's kernel, the native drivers in it, the modules that it lacks, and the test
/// module in it.
type ImageKey = (
    Architecture,
    String,
    Vec<&'static str>,
    Vec<&'static str>,
    Option<&'static str>,
);

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the machine left.
    pub evidence: Evidence,
    /// What is to be said of it.
    pub judgement: Judgement,
    /// Wall-clock time of the machine.
    pub elapsed: Duration,
    /// The file with its command and its console.
    pub log: PathBuf,
}

impl Bench {
    /// Installs, builds and downloads what is missing for machines of these architectures.
    ///
    /// # Errors
    /// Where something cannot be had.
    pub fn prepare(options: &Options, architectures: &BTreeSet<Architecture>) -> Result<Self> {
        tools::ensure_all(&options.tools(architectures))?;
        if let Some(agent) = &options.agent {
            ensure!(agent.is_file(), "--agent {}: no such file", agent.display());
        }
        let cache = Cache::open()?;
        let architecture = Architecture::default();
        let modules = options.modules.as_deref();
        let kernel = Kernel::get(&options.kernel, modules, architecture, &cache)?;
        let mut programs = BTreeMap::new();
        for architecture in architectures {
            let all = prepare_programs(options, *architecture, &cache)
                .with_context(|| format!("programs for {architecture}"))?;
            programs.insert(*architecture, all);
        }
        let work = workspace().join("target/qemu-tests");
        let logs = work.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("mkdir({})", logs.display()))?;
        Ok(Self {
            kernel,
            built_in: options.kernel == BUILT_IN,
            programs,
            accelerator: options.accel.clone(),
            limit: Duration::from_secs(options.timeout),
            logs,
            // Here and not in /tmp: `cargo clean` removes what a killed run leaves.
            folder: tempfile::tempdir_in(&work).context("a folder for images")?,
            cache,
            kernels: Mutex::default(),
            images: Mutex::default(),
        })
    }

    /// What images for machines of `architecture` hold.
    ///
    /// # Errors
    /// Where nothing was prepared for it.
    pub fn programs(&self, architecture: Architecture) -> Result<&Programs> {
        let programs = self.programs.get(&architecture);
        programs.with_context(|| format!("nothing was prepared for {architecture}"))
    }

    /// Why a scenario cannot be run on this kernel, if it cannot.
    #[must_use]
    pub fn obstacle(&self, scenario: &Scenario) -> Option<&'static str> {
        if scenario.kernel.is_some() || !self.built_in {
            return None;
        }
        let as_module = scenario.without.contains(&"vfio_pci")
            || !scenario.ids.is_empty()
            || scenario.cmdline.contains("pci.ids=");
        if as_module {
            Some("it is about vfio-pci as a module, which is part of this kernel")
        } else if self.lacks_a_module(scenario) {
            Some("it preloads or needs a module that this kernel does not have")
        } else {
            None
        }
    }

    /// Whether a scenario preloads what this kernel does not have; test modules need headers.
    fn lacks_a_module(&self, scenario: &Scenario) -> bool {
        // A kernel without indexes fails in what needs them, and says so there.
        Index::read(&self.kernel.modules).is_ok_and(|index| {
            scenario.needs().is_some() || index.closure(&scenario.preload).is_err()
        })
    }

    /// The kernel of a scenario, got when it is first wanted.
    fn kernel_of(&self, scenario: &Scenario) -> Result<Kernel> {
        let Some(version) = scenario.kernel else {
            return Ok(self.kernel.clone());
        };
        let key = (version, scenario.architecture());
        let kernels = || self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels().get(&key) {
            return Ok(kernel.clone());
        }
        // Nobody else waits while this one is downloaded or built: the cache has a lock for each.
        let kernel = Kernel::get(version, None, key.1, &self.cache)?;
        kernels().insert(key, kernel.clone());
        Ok(kernel)
    }

    /// Boots a scenario and judges it; shows `watch` the console as it grows.
    ///
    /// # Errors
    /// Where no machine could be started: that says nothing about the agent.
    pub fn run(&self, scenario: &Scenario, watch: impl FnMut(&str)) -> Result<Outcome> {
        let mut scenario = Cow::Borrowed(scenario);
        if self.built_in && scenario.kernel.is_none() {
            // It decides which native drivers there are.
            scenario.to_mut().kernel = Some(BUILT_IN);
        }
        let scenario = scenario.as_ref();
        let machine = scenario.machine();
        let kernel = self.kernel_of(scenario)?;
        let base = self.base_image(&kernel, machine.natives, scenario)?;
        let firmware = scenario
            .efi
            .then(|| firmware::edk2(kernel.architecture, &self.cache))
            .transpose()?;
        let image = self.folder.path().join(format!("{}.cpio", scenario.name));
        image::write_with_orders(&image, &base, &scenario.orders(), &scenario.files)?;
        let log = self.logs.join(format!("{}.log", scenario.name));
        let boot = Boot {
            machine: &machine,
            kernel: &kernel,
            image: &image,
            firmware: firmware.as_deref(),
            disk: None,
            cmdline: &scenario.cmdline,
            accelerator: &self.accelerator,
            limit: self.limit,
            log: &log,
        };
        let started = Instant::now();
        let evidence = boot.start()?.finish(watch)?;
        let elapsed = started.elapsed();
        fs::remove_file(&image).with_context(|| format!("remove({})", image.display()))?;
        let judgement = judge::judge(scenario, &evidence);
        Ok(Outcome {
            evidence,
            judgement,
            elapsed,
            log,
        })
    }

    /// The image without orders, made when it is first wanted.
    fn base_image(
        &self,
        kernel: &Kernel,
        natives: &'static [&'static str],
        scenario: &Scenario,
    ) -> Result<PathBuf> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (
            kernel.architecture,
            kernel.release.clone(),
            natives.to_vec(),
            scenario.without.to_vec(),
            scenario.needs(),
        );
        if let Some(path) = images.get(&key) {
            return Ok(path.clone());
        }
        let path = self
            .folder
            .path()
            .join(format!("base-{}.cpio", images.len()));
        let module = scenario
            .needs()
            .map(|name| test_module::build(name, kernel, &self.cache))
            .transpose()?;
        let choice = Choice {
            natives,
            without: scenario.without,
            extra: module.as_deref(),
        };
        let programs = self.programs(kernel.architecture)?;
        image::write_base(&path, kernel, programs, &choice)?;
        images.insert(key, path.clone());
        Ok(path)
    }
}

/// Builds and downloads the programs of images for machines of `architecture`.
fn prepare_programs(
    options: &Options,
    architecture: Architecture,
    cache: &Cache,
) -> Result<Programs> {
    let target = toolchain::other(architecture);
    let kmod = match options.modules {
        Some(_) => userland::own_kmod(architecture)?,
        None => userland::packaged_kmod(architecture, cache)?,
    };
    let agent = match (&options.agent, options.stand_in) {
        (Some(path), _) => path.clone(),
        (None, Some(name)) => Executable::guest(name).target(target).build()?,
        (None, None) => {
            say(format_args!("building the agent for {architecture}"));
            Executable::agent(target).build()?
        }
    };
    say(format_args!("building the guest's init for {architecture}"));
    let init = Executable::guest("guest-init").target(target).build()?;
    Ok(Programs { init, agent, kmod })
}

/// The top folder of the repository.
#[must_use]
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

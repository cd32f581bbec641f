//! The rig: all that a row needs in order to run, got once for many.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;
use qemu_tests::judge::{self, Evidence, Judgement};
use qemu_tests::scenario::{BUILT_IN, Scenario};

use crate::debian::Debian;
use crate::firmware;
use crate::initrd::{self, Choice, Programs};
use crate::kernel::modules::Index;
use crate::kernel::{Kernel, test_module};
use crate::lack::{Memo, Trouble, Unavailable};
use crate::logs;
use crate::part::Part;
use crate::program;
use crate::schedule::Stock;
use crate::supply::{Executables, Program, Supply};
use crate::system::{ARCHITECTURE, Recipe};
use crate::tools::{self, CHECKERS, DEPMOD, DISK_TOOLS, DPKG_DEB, IMAGE_TOOLS, XZ, qemu};
use crate::userland::{self, Files};
use crate::vm::Boot;

/// Room for a kernel to start when this one has crashed: half of what a machine has.
const CRASH_MEMORY: &str = "crashkernel=256M";

/// What to boot, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A packaged kernel's version, [`BUILT_IN`], or the path of an image.
    pub kernel: String,
    /// The folder with modules.dep that belongs to an image named by its path.
    pub modules: Option<PathBuf>,
    /// QEMU's accelerator.
    pub accelerator: String,
    /// An agent to test instead of building one, on machines of this one's architecture.
    pub agent: Option<PathBuf>,
    /// What is built in the agent's place.
    pub stand_in: Option<Program>,
    /// The wall-clock limit of one machine.
    pub limit: Duration,
    /// The folder to work in.
    pub work: PathBuf,
}

impl Settings {
    /// Why a scenario cannot be run with these, if it cannot.
    #[must_use]
    pub fn obstacle(&self, scenario: &Scenario) -> Option<&'static str> {
        if self.agent.is_some() && Architecture::host() != Some(scenario.architecture()) {
            Some("it runs on another architecture than the agent: omit --agent")
        } else if self.modules.is_none() {
            self.obstacle_of_version(scenario)
        } else if scenario.needs().is_some() {
            Some("its test module is built with the headers of a packaged kernel: omit --modules")
        } else if scenario.kernel.is_some() || scenario.efi {
            Some("it is about certain packages of kernel and firmware: omit --modules")
        } else {
            None
        }
    }

    /// Why a scenario cannot be run on the kernel of this version, if it cannot.
    fn obstacle_of_version(&self, scenario: &Scenario) -> Option<&'static str> {
        let as_module = || {
            scenario.without.contains(&"vfio_pci")
                || !scenario.ids.is_empty()
                || scenario.cmdline.contains("pci.ids=")
        };
        if self.kernel == BUILT_IN && scenario.kernel.is_none() && as_module() {
            Some("it is about vfio-pci as a module, which is part of this kernel")
        } else if self.kernel == BUILT_IN && scenario.crashes {
            Some("it crashes, and this kernel starts no other")
        } else {
            None
        }
    }
}

/// What came of a boot.
#[derive(Clone, Debug)]
pub struct Booted {
    /// What the machine left.
    pub evidence: Evidence,
    /// What is to be said of it.
    pub judgement: Judgement,
    /// Wall-clock time of the machine.
    pub elapsed: Duration,
    /// The file with its command and its console.
    pub log: PathBuf,
}

/// What an image without orders is made of: its kernel, the native drivers in it, the modules that it
/// lacks, and the test module in it.
type ImageKey = (
    Option<&'static str>,
    Architecture,
    Vec<&'static str>,
    Vec<&'static str>,
    Option<&'static str>,
);

/// The parts that have been got so far, and a place to work.
pub struct Rig<'a> {
    /// What to boot, and how.
    pub settings: Settings,
    supply: &'a dyn Supply,
    debian: &'a Debian,
    /// Where images are made.
    folder: tempfile::TempDir,
    parts: Memo<Part, ()>,
    kernels: Memo<(Option<&'static str>, Architecture), Kernel>,
    modules: Memo<(&'static str, Option<&'static str>, Architecture), (Kernel, PathBuf)>,
    programs: Memo<(Program, Architecture), PathBuf>,
    kmods: Memo<Architecture, Files>,
    firmware: Memo<Architecture, PathBuf>,
    systems: Memo<Recipe, PathBuf>,
    installed: Memo<Recipe, PathBuf>,
    images: Memo<ImageKey, PathBuf>,
}

impl<'a> Rig<'a> {
    /// A rig without anything in it yet.
    ///
    /// # Errors
    /// Where a file that the settings name is not there, or there is no place to work.
    pub fn new(settings: Settings, supply: &'a dyn Supply, debian: &'a Debian) -> Result<Self> {
        if let Some(agent) = &settings.agent {
            ensure!(agent.is_file(), "--agent {}: no such file", agent.display());
        }
        fs::create_dir_all(&settings.work)
            .with_context(|| format!("mkdir({})", settings.work.display()))?;
        // Here and not in /tmp: `cargo clean` removes what a killed run leaves.
        let folder = tempfile::tempdir_in(&settings.work).context("a folder for images")?;
        Kernel::check_name(&settings.kernel, settings.modules.as_deref())?;
        Ok(Self {
            settings,
            supply,
            debian,
            folder,
            parts: Memo::default(),
            kernels: Memo::default(),
            modules: Memo::default(),
            programs: Memo::default(),
            kmods: Memo::default(),
            firmware: Memo::default(),
            systems: Memo::default(),
            installed: Memo::default(),
            images: Memo::default(),
        })
    }

    /// Where images are made.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who builds programs.
    pub(crate) fn supply(&self) -> &dyn Supply {
        self.supply
    }

    /// Debian's archive.
    pub(crate) fn debian(&self) -> &Debian {
        self.debian
    }

    /// What a scenario wants.
    #[must_use]
    pub fn wants(&self, scenario: &Scenario) -> Vec<Part> {
        let architecture = scenario.architecture();
        let kernel = scenario.kernel;
        let mut parts = self.machine_parts(kernel, architecture);
        parts.extend(scenario.efi.then_some(Part::Firmware(architecture)));
        let module = scenario.needs();
        parts.extend(module.map(|name| Part::Module(name, kernel, architecture)));
        parts
    }

    /// What every boot of a machine wants.
    #[must_use]
    pub fn machine_parts(
        &self,
        kernel: Option<&'static str>,
        architecture: Architecture,
    ) -> Vec<Part> {
        vec![
            Part::Machine(architecture),
            Part::Kmod(architecture),
            Part::Kernel(kernel, architecture),
            Part::Compiler(architecture),
            Part::Programs(architecture),
        ]
    }

    /// Gets parts now, one after another.
    ///
    /// # Errors
    /// That of the first that cannot be had or fails.
    pub fn prepare_all(&self, parts: &[Part]) -> Result<()> {
        let mut all = parts.iter();
        all.try_for_each(|part| self.parts.get(part.clone(), || self.get(part)))
    }

    /// Gets a part, unless somebody has: what came of it.
    fn get(&self, part: &Part) -> Result<()> {
        match part {
            Part::Machine(architecture) => {
                let mut all = vec![qemu(*architecture), DEPMOD];
                if self.settings.modules.is_none() {
                    all.extend([DPKG_DEB, XZ]);
                }
                tools::ensure_all(&all)
            }
            Part::Compiler(architecture) => self.supply.prepare(*architecture),
            Part::Programs(architecture) => {
                self.prepare_all(&[Part::Compiler(*architecture)])?;
                self.program(Program::GuestInit, *architecture)?;
                self.agent(*architecture).map(drop)
            }
            Part::Kmod(architecture) => self.kmod(*architecture).map(drop),
            Part::Kernel(version, architecture) => self.kernel(*version, *architecture).map(drop),
            Part::Module(name, version, architecture) => {
                self.module(name, *version, *architecture).map(drop)
            }
            Part::Firmware(architecture) => self.firmware(*architecture).map(drop),
            Part::ImageTools => tools::ensure_all(&IMAGE_TOOLS),
            Part::DiskTools => tools::ensure_all(&DISK_TOOLS),
            Part::System(recipe) => self.system(*recipe).map(drop),
            Part::Installed(recipe) => self.installed(*recipe).map(drop),
            Part::Checker(program) => {
                let all = CHECKERS.iter().filter(|tool| tool.program == *program);
                tools::ensure_all(&all.copied().collect::<Vec<_>>())
            }
        }
    }

    /// The kernel of this version, or the run's.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn kernel(
        &self,
        version: Option<&'static str>,
        architecture: Architecture,
    ) -> Result<Kernel> {
        self.kernels.get((version, architecture), || {
            let own = (
                self.settings.kernel.as_str(),
                self.settings.modules.as_deref(),
            );
            let (name, modules) = version.map_or(own, |version| (version, None));
            Kernel::get(name, modules, architecture, self.debian)
        })
    }

    /// A test module, and the kernel that it is for: the current build, where an older one is in the
    /// cache whose headers the archive has no more.
    fn module(
        &self,
        name: &'static str,
        version: Option<&'static str>,
        architecture: Architecture,
    ) -> Result<(Kernel, PathBuf)> {
        self.modules.get((name, version, architecture), || {
            let kernel = self.kernel(version, architecture)?;
            let error = match test_module::build(name, &kernel, self.debian) {
                Ok(path) => return Ok((kernel, path)),
                Err(error) => error,
            };
            if Unavailable::behind(&error).is_none() {
                return Err(error);
            }
            let version = version.unwrap_or(&self.settings.kernel);
            match Kernel::current(version, architecture, self.debian) {
                Ok(current) if current.release != kernel.release => {
                    let path = test_module::build(name, &current, self.debian)?;
                    Ok((current, path))
                }
                _ => Err(error),
            }
        })
    }

    /// A program for guests of `architecture`.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn program(&self, program: Program, architecture: Architecture) -> Result<PathBuf> {
        self.programs.get((program, architecture), || {
            self.supply.build(program, architecture)
        })
    }

    /// The agent, or what is tested in its place.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn agent(&self, architecture: Architecture) -> Result<PathBuf> {
        match (&self.settings.agent, self.settings.stand_in) {
            (Some(path), _) => Ok(path.clone()),
            (None, stand_in) => self.program(stand_in.unwrap_or(Program::Agent), architecture),
        }
    }

    fn kmod(&self, architecture: Architecture) -> Result<Files> {
        self.kmods
            .get(architecture, || match self.settings.modules {
                Some(_) => userland::own_kmod(architecture),
                None => userland::packaged_kmod(architecture, self.debian),
            })
    }

    /// EFI firmware.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn firmware(&self, architecture: Architecture) -> Result<PathBuf> {
        self.firmware
            .get(architecture, || firmware::edk2(architecture, self.debian))
    }

    /// EFI firmware, and what a new machine's remembers.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn firmware_with_variables(&self, architecture: Architecture) -> Result<firmware::Split> {
        firmware::edk2_with_variables(architecture, self.debian)
    }

    /// A system with a tool that builds images.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn system(&self, recipe: Recipe) -> Result<PathBuf> {
        self.systems.get(recipe, || recipe.get(self.debian))
    }

    /// A system that dpkg can change a copy of.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn installed(&self, recipe: Recipe) -> Result<PathBuf> {
        self.installed.get(recipe, || recipe.install(self.debian))
    }

    /// Such a copy, which becomes the folder `to`. Scripts of packages change files in place: it has no links to those
    /// of the other one.
    ///
    /// # Errors
    /// Where it cannot be had or written.
    pub fn copy_installed(&self, recipe: Recipe, to: &Path) -> Result<()> {
        let folder = to.parent().unwrap_or(to);
        fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto", "--no-target-directory"]);
        program::output(copy.arg(self.installed(recipe)?).arg(to)).map(drop)
    }

    /// Lays every file of an installation in its place under `root`.
    ///
    /// # Errors
    /// Where something cannot be built or written.
    pub fn install(&self, root: &Path) -> Result<()> {
        let executables = Executables {
            agent: &self.agent(ARCHITECTURE)?,
            command: &self.program(Program::Command, ARCHITECTURE)?,
        };
        self.supply().install(executables, root)
    }

    /// What images for machines of `architecture` hold.
    ///
    /// # Errors
    /// Where something cannot be had or built.
    pub fn image_programs(&self, architecture: Architecture) -> Result<Programs> {
        Ok(Programs {
            init: self.program(Program::GuestInit, architecture)?,
            agent: self.agent(architecture)?,
            kmod: self.kmod(architecture)?,
        })
    }

    /// Why a scenario does not suit the kernel that boots, if it does not.
    ///
    /// # Errors
    /// Where there is no kernel.
    pub fn obstacle(&self, scenario: &Scenario) -> Result<Option<&'static str>> {
        if self.settings.kernel != BUILT_IN || scenario.kernel.is_some() {
            return Ok(None);
        }
        // A kernel without indexes fails in what needs them, and says so there.
        let index = Index::read(&self.kernel(None, scenario.architecture())?.modules)?;
        let lacks = scenario.needs().is_some() || index.closure(&scenario.preload).is_err();
        Ok(lacks.then_some("it preloads or needs a module that this kernel does not have"))
    }

    /// Boots a scenario and judges it; shows `watch` the console as it grows.
    ///
    /// # Errors
    /// Where no machine could be started: that says nothing about the agent.
    pub fn run(&self, scenario: &Scenario, watch: impl FnMut(&str)) -> Result<Booted> {
        let version = scenario.kernel;
        let mut scenario = Cow::Borrowed(scenario);
        if self.settings.kernel == BUILT_IN && scenario.kernel.is_none() {
            // It decides which native drivers there are.
            scenario.to_mut().kernel = Some(BUILT_IN);
        }
        let scenario = scenario.as_ref();
        let machine = scenario.machine();
        let architecture = machine.architecture;
        let (kernel, module) = match scenario.needs() {
            Some(name) => {
                let (kernel, path) = self.module(name, version, architecture)?;
                (kernel, Some(path))
            }
            None => (self.kernel(version, architecture)?, None),
        };
        let base = self.base_image(
            &kernel,
            module.as_deref(),
            machine.natives,
            version,
            scenario,
        )?;
        let firmware = scenario
            .efi
            .then(|| self.firmware(architecture))
            .transpose()?;
        let image = self.folder().join(format!("{}.cpio", scenario.name));
        let (orders, files) = (scenario.orders(), &scenario.files);
        initrd::write_with_orders(&image, &base, &orders, files, scenario.list)?;
        let mut cmdline = Cow::Borrowed(&*scenario.cmdline);
        if scenario.crashes {
            initrd::wrap_in_crash(&image, &base, &scenario.name, &kernel.packed)?;
            // In front: a bare `--` ends the kernel's part.
            cmdline = format!("{CRASH_MEMORY} {cmdline}").into();
        }
        let log = logs::folder()?.join(format!("{}.log", scenario.name));
        let boot = Boot {
            machine: &machine,
            kernel: &kernel,
            image: Some(&image),
            firmware: firmware.as_deref(),
            variables: None,
            disk: None,
            nodes: &[],
            cmdline: &cmdline,
            accelerator: &self.settings.accelerator,
            limit: self.settings.limit,
            log: &log,
        };
        let started = Instant::now();
        let evidence = boot.start()?.finish(watch)?;
        let elapsed = started.elapsed();
        fs::remove_file(&image).with_context(|| format!("remove({})", image.display()))?;
        let judgement = judge::judge(scenario, &evidence);
        Ok(Booted {
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
        module: Option<&Path>,
        natives: &'static [&'static str],
        version: Option<&'static str>,
        scenario: &Scenario,
    ) -> Result<PathBuf> {
        let without = scenario.without;
        let key = (
            version,
            kernel.architecture,
            natives.to_vec(),
            without.to_vec(),
            scenario.needs(),
        );
        self.images.get(key, || {
            let path = tempfile::Builder::new()
                .prefix("base-")
                .suffix(".cpio")
                .tempfile_in(self.folder())
                .and_then(|file| Ok(file.keep()?.1))
                .context("a file for an image")?;
            let choice = Choice {
                natives,
                without,
                extra: module,
            };
            let programs = self.image_programs(kernel.architecture)?;
            initrd::write_base(&path, kernel, &programs, &choice)?;
            Ok(path)
        })
    }
}

impl Stock for Rig<'_> {
    fn prepare(&self, part: &Part) {
        // Whoever wants it is told of what came of it.
        let _ = self.parts.get(part.clone(), || self.get(part));
    }

    fn state(&self, part: &Part) -> Option<Result<(), Trouble>> {
        self.parts.peek(part)
    }
}

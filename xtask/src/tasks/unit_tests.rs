//! The unit and property tests; for another architecture than this machine's, the agent's under
//! qemu-user.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::debian::Debian;
use lab::progress::say;
use lab::{elf, program, tools};

use crate::build::cargo;
use crate::build::executable::Executable;
use crate::build::toolchain::{self, Libc};
use crate::checks::{self, passed_tests};

/// Run the unit and property tests, for another architecture under qemu-user.
///
/// For another one, only the agent's; and what its executable prints is compared with this
/// machine's. qemu-user, a cross compiler and a C library are installed or named where they are
/// missing; without libraries of rustc's for the target, Debian's compiler goes into the cache
/// folder (200 MB to download, 760 MB on disk).
#[derive(Clone, Debug, clap::Args)]
pub struct UnitTests {
    /// For another machine than this one.
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
}

/// Runs them.
///
/// # Errors
/// Where something cannot be had or built, or a test fails.
pub fn run(options: &UnitTests, debian: &Debian) -> Result<bool> {
    match options.target.as_deref() {
        None => say(checks::unit_tests()?),
        Some(target) => emulated(target, debian)?,
    }
    Ok(true)
}

/// Builds the agent and the programs of test guests for `target`, compares what the agents for
/// `target` and for this machine print, and runs the unit and property tests for `target`.
fn emulated(target: &str, debian: &Debian) -> Result<()> {
    let architecture = toolchain::architecture(Some(target))?;
    let emulator = tools::qemu_user(architecture);
    tools::ensure_all(&[emulator])?;
    let emulator = emulator.find().context(emulator.program)?;

    let agent = Executable::agent(Some(target)).build(debian)?;
    let size = elf::check_agent(&agent, architecture)?;
    say(format_args!("the agent is static and has {size} bytes"));
    for bin in ["guest-init", "do-nothing", "crash"] {
        let path = Executable::guest(bin).target(Some(target)).build(debian)?;
        let needs = elf::needs(&path)?;
        ensure!(
            needs == elf::Needs::default(),
            "{} is not static: it needs {needs:?}",
            path.display()
        );
    }
    say("the programs of test guests are static");
    compare(&emulator, &agent, debian)?;
    say("this machine's agent and that one answer alike");
    say(format_args!(
        "running the unit and property tests under {}, which takes minutes",
        emulator.display()
    ));
    let passed = tests(target, architecture.gnu(), &emulator, debian)?;
    say(format_args!("{passed} tests passed"));
    Ok(())
}

/// Runs both agents on the same machines.
fn compare(emulator: &Path, agent: &Path, debian: &Debian) -> Result<()> {
    let own = Executable::agent(None).build(debian)?;
    let commands = format!(
        "{}\n{}\t{}",
        own.display(),
        emulator.display(),
        agent.display()
    );
    let mut cargo = cargo::cargo();
    cargo.args(["test", "--package", "vfio-bind-agent", "--test", "machine"]);
    cargo.args(["executable::", "--", "--ignored"]);
    let text = program::output(cargo.env("VFIO_BIND_EXECUTABLES", commands))?;
    ensure!(
        passed_tests(&text) == 1,
        "cargo test did not compare them:\n{text}"
    );
    Ok(())
}

/// Runs the agent's unit and property tests; gives their number.
fn tests(target: &str, gnu: &str, emulator: &Path, debian: &Debian) -> Result<usize> {
    let mut cargo = cargo::cargo();
    cargo.envs(toolchain::settings(Some(target), Libc::Static, debian)?.variables);
    let runner = toolchain::variable(target, "RUNNER");
    if env::var_os(&runner).is_none() {
        cargo.env(runner, with_libraries(emulator, gnu));
    }
    // Emulated, unoptimised code takes minutes for what takes seconds here.
    cargo.env("CARGO_PROFILE_TEST_OPT_LEVEL", "1");
    cargo.args(["test", "--package", "vfio-bind-agent", "--lib", "--tests"]);
    cargo.args(["--no-fail-fast", "--target", target]);
    let text = program::output(&mut cargo)?;
    let passed = passed_tests(&text);
    ensure!(passed > 0, "cargo test ran no test:\n{text}");
    Ok(passed)
}

/// The emulator with the C library that Debian has for cross compilers; elsewhere QEMU_LD_PREFIX
/// names one.
fn with_libraries(emulator: &Path, gnu: &str) -> OsString {
    let mut command = emulator.as_os_str().to_owned();
    let folder = Path::new("/usr").join(gnu);
    if folder.is_dir() {
        command.push(" -L ");
        command.push(folder);
    }
    command
}

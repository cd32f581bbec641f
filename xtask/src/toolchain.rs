//! What cargo needs in order to build for a target: compiler, libraries, linker, flags.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::architecture::Architecture;
use serde_json::Value;

use crate::apt::Apt;
use crate::cache::Cache;
use crate::cargo::cargo;
use crate::command;
use crate::progress::say;
use crate::tools::{self, APT_GET, DPKG_DEB};

/// What an executable wants of the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// It has none.
    None,
    /// It is in the executable.
    Static,
    /// It is on the machine that the executable runs on.
    Shared,
}

/// The architecture of a target; without one, of this machine.
///
/// # Errors
/// Where it is none that vfio-bind starts on.
pub fn architecture(target: Option<&str>) -> Result<Architecture> {
    let found = match target {
        None => Architecture::host(),
        Some(target) => Architecture::ALL.into_iter().find(|architecture| {
            let rest = target.strip_prefix(architecture.name());
            rest.is_some_and(|rest| rest.starts_with('-') && rest.contains("-linux-"))
        }),
    };
    found.with_context(|| {
        let target = target.unwrap_or(env::consts::ARCH);
        let known = Architecture::ALL.map(Architecture::triple).join(", ");
        format!("vfio-bind cannot start on `{target}`; it can on {known}")
    })
}

/// The target to name where something is built for `architecture`: none on a machine of the same.
#[must_use]
pub fn other(architecture: Architecture) -> Option<&'static str> {
    (Architecture::host() != Some(architecture)).then(|| architecture.triple())
}

/// The environment for a cargo that builds for `target`, or for this machine without one. What the
/// user set for compiler flags and linkers stays.
///
/// # Errors
/// Where the target's libraries, or a linker for it, are not to be had; the message says what to
/// install.
pub fn settings(target: Option<&str>, libc: Libc) -> Result<Vec<(String, OsString)>> {
    let get = |name: &str| env::var_os(name);
    let mut settings = Vec::new();
    let Some(target) = target else {
        if libc == Libc::None {
            let architecture = architecture(None)?;
            settings.extend(flags(architecture.triple(), architecture, libc, &get));
        }
        return Ok(settings);
    };
    let architecture = architecture(Some(target))?;
    let packaged =
        Architecture::host().filter(|_| APT_GET.find().is_some() && DPKG_DEB.find().is_some());
    if source(target, architecture, installed(target)?, packaged.is_some())? == Source::Debian {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            say(format_args!(
                "this machine's rustc has no libraries for {target}: building with Debian's compiler"
            ));
        });
        let compiler = debian(&Cache::open()?).with_context(|| {
            format!(
                "Debian's compiler and its libraries for {target} could not be had; without them run \
                 `rustup target add {target}`"
            )
        })?;
        settings.push(("RUSTC".to_owned(), compiler.into()));
        // Another compiler would have everything rebuilt that the machine's own built, and back.
        let folder = target_folder()?.join("cross");
        settings.push(("CARGO_TARGET_DIR".to_owned(), folder.into()));
    }
    if Architecture::host() != Some(architecture) {
        if libc == Libc::Static && APT_GET.find().is_some() {
            tools::ensure_all(&[tools::cross_libc(architecture)])?;
        }
        if !has_linker(target) {
            let gcc = tools::cross_gcc(architecture);
            tools::ensure_all(&[gcc])?;
            settings.push((variable(target, "LINKER"), gcc.program.into()));
        }
    }
    settings.extend(flags(target, architecture, libc, &get));
    Ok(settings)
}

/// Whose compiler and libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// This machine's own.
    Own,
    /// Debian's, in the cache.
    Debian,
}

/// Chooses. `installed` tells whether rustc has libraries for `target`, and `packaged` whether this
/// machine can get and run Debian's.
fn source(
    target: &str,
    architecture: Architecture,
    installed: bool,
    packaged: bool,
) -> Result<Source> {
    let gnu = architecture.triple();
    if installed {
        return Ok(Source::Own);
    }
    if target == gnu {
        ensure!(
            packaged,
            "rustc has no libraries for `{target}`: run `rustup target add {target}`, or install your \
             distribution's package of them. On Debian this command gets Debian's by itself"
        );
        return Ok(Source::Debian);
    }
    bail!(
        "rustc has no libraries for `{target}`: run `rustup target add {target}`, or build for \
         `{gnu}`: the agent uses no C library, so it is the same freestanding executable"
    )
}

/// Whether rustc has libraries for `target`.
fn installed(target: &str) -> Result<bool> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", target]);
    let folder = command::output(&mut rustc).with_context(|| {
        format!("rustc knows no target `{target}`: see `rustc --print target-list`")
    })?;
    Ok(Path::new(folder.trim()).is_dir())
}

/// The name of cargo's variable for `key` of a target.
#[must_use]
pub fn variable(target: &str, key: &str) -> String {
    let target = target.to_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{target}_{key}")
}

/// Whether the user chose a linker for a target. A variable of ours would displace it.
fn has_linker(target: &str) -> bool {
    if env::var_os(variable(target, "LINKER")).is_some() {
        return true;
    }
    // Cargo tells of its configuration under an unstable option only; where it will not, files that
    // name a linker are not respected.
    let key = format!("target.{target}.linker");
    let mut cargo = cargo();
    cargo.args(["config", "get", "-Zunstable-options", &key]);
    command::output(cargo.env("RUSTC_BOOTSTRAP", "1")).is_ok()
}

/// The variables with the flags that every crate needs in order to do without a C library, behind
/// those of the user that `get` finds.
fn flags(
    target: &str,
    architecture: Architecture,
    libc: Libc,
    get: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<(String, OsString)> {
    if architecture != Architecture::S390x {
        return Vec::new();
    }
    // rustix makes system calls itself, instead of through libc, only where it is told to.
    let ours = ["--cfg", "rustix_use_experimental_asm"];
    // Cargo takes the first of these that is set, and none but that.
    let name = ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"]
        .map(str::to_owned)
        .into_iter()
        .find(|name| get(name).is_some())
        .unwrap_or_else(|| variable(target, "RUSTFLAGS"));
    let separator = if name.contains("ENCODED") {
        "\x1f"
    } else {
        " "
    };
    let mut value = get(&name).unwrap_or_default();
    for flag in ours {
        if !value.is_empty() {
            value.push(separator);
        }
        value.push(flag);
    }
    let mut flags = vec![(name, value)];
    if libc == Libc::None {
        // syscalls asks for a feature by name that has long been stable; a stable compiler lets only
        // crates that are named here do so. Build scripts of other packages look at this, too, and
        // would have them built anew.
        let bootstrap = get("RUSTC_BOOTSTRAP").unwrap_or_else(|| "syscalls".into());
        flags.push(("RUSTC_BOOTSTRAP".to_owned(), bootstrap));
    }
    flags
}

/// Where cargo puts what it builds.
fn target_folder() -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = command::output(&mut cargo)?;
    let metadata: Value = serde_json::from_str(&text).context("what cargo metadata said")?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder
        .context("cargo metadata names no target_directory")?
        .into())
}

/// The release with one version of Rust for every architecture; it is new enough for the workspace.
const RELEASE: &str = "trixie";
/// Rust as Debian packages it to build browsers, newer than its `rustc`.
const COMPILER: &str = "rustc-web";
const LIBRARIES: &str = "libstd-rust-web-dev";
/// The script that starts the compiler.
const SCRIPT: &str = "rustc";

/// Debian's compiler for this machine, with libraries for every architecture: rustc takes none that
/// another version made, so they are fetched together. Gives what to run as rustc.
///
/// # Errors
/// Where they cannot be had.
fn debian(cache: &Cache) -> Result<PathBuf> {
    let host = Architecture::host().context("Debian has no compiler for this machine")?;
    let name = format!("debian-{RELEASE}-{}-{COMPILER}", host.debian());
    let folder = cache.folder(&name, has_all, |root| fill(host, root))?;
    Ok(folder.join(SCRIPT))
}

/// Where libraries for an architecture lie below the folder.
fn libraries(root: &Path, architecture: Architecture) -> PathBuf {
    let rustlib = root.join("usr/lib/rustlib");
    rustlib.join(architecture.triple()).join("lib")
}

fn has_all(root: &Path) -> Result<()> {
    let libraries = Architecture::ALL.map(|architecture| libraries(root, architecture));
    for path in libraries.into_iter().chain([root.join(SCRIPT)]) {
        ensure!(path.exists(), "there is no {}", path.display());
    }
    Ok(())
}

fn fill(host: Architecture, root: &Path) -> Result<()> {
    let apt = Apt::without_updates(RELEASE, host)?;
    let mut packages = apt.closure(LIBRARIES)?;
    packages.push(COMPILER.to_owned());
    apt.unpack(&packages, root)?;
    for other in Architecture::ALL {
        if other != host {
            Apt::without_updates(RELEASE, other)?.unpack(&[LIBRARIES.to_owned()], root)?;
        }
    }
    let script = root.join(SCRIPT);
    fs::write(&script, start(host)).with_context(|| format!("write({})", script.display()))?;
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).context("chmod(rustc)")?;
    // An archive in the middle of an update has different versions for a day or so.
    let empty = root.join("empty.rs");
    fs::write(&empty, "#![no_std]\n").with_context(|| format!("write({})", empty.display()))?;
    for architecture in Architecture::ALL {
        let mut rustc = Command::new(&script);
        rustc.args(["--crate-type=lib", "--emit=metadata", "--target"]);
        rustc.args([OsStr::new(architecture.triple()), empty.as_os_str()]);
        command::output(rustc.arg("--out-dir").arg(root)).with_context(|| {
            format!(
                "Debian's compiler cannot use its libraries for {architecture}; try again later"
            )
        })?;
    }
    Ok(())
}

/// The script: the compiler on the loader and the libraries of its own release, which the system's
/// may be older than. Nothing of that reaches the programs that the compiler starts.
fn start(host: Architecture) -> String {
    let (gnu, loader) = match host {
        Architecture::X86_64 => (host.gnu(), "ld-linux-x86-64.so.2"),
        Architecture::Aarch64 => (host.gnu(), "ld-linux-aarch64.so.1"),
        Architecture::S390x => (host.gnu(), "ld64.so.1"),
    };
    format!(
        "#!/bin/sh\n\
         usr=${{0%/*}}/usr\n\
         exec \"$usr/lib/{gnu}/{loader}\" --library-path \"$usr/lib/{gnu}\" \
         \"$usr/bin/rustc\" --sysroot \"$usr\" \"$@\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Architecture::{Aarch64, S390x, X86_64};

    #[test]
    fn an_architecture_without_start_up_code_is_named() {
        for (target, found) in [
            ("x86_64-unknown-linux-musl", X86_64),
            ("aarch64-unknown-linux-gnu", Aarch64),
            ("s390x-ibm-linux-gnu", S390x),
        ] {
            assert_eq!(architecture(Some(target)).unwrap(), found);
        }
        for target in [
            "moon-unknown-none",
            "aarch64_be-unknown-linux-gnu",
            "x86_64-pc-windows-gnu",
            "aarch64",
        ] {
            let error = architecture(Some(target)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{target}`")), "{error}");
            assert!(error.contains("s390x-unknown-linux-gnu"), "{error}");
        }
        architecture(None).unwrap();
    }

    #[test]
    fn installed_libraries_come_first_and_debians_second() {
        let gnu = "s390x-unknown-linux-gnu";
        assert_eq!(source(gnu, S390x, true, true).unwrap(), Source::Own);
        assert_eq!(source(gnu, S390x, false, true).unwrap(), Source::Debian);
        let musl = "aarch64-unknown-linux-musl";
        assert_eq!(source(musl, Aarch64, true, false).unwrap(), Source::Own);
    }

    #[test]
    fn where_neither_is_to_be_had_both_ways_are_told() {
        let error = source("s390x-unknown-linux-gnu", S390x, false, false).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`rustup target add s390x-unknown-linux-gnu`"));
        assert!(error.contains("Debian"), "{error}");
        let error = source("aarch64-unknown-linux-musl", Aarch64, false, true).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`rustup target add aarch64-unknown-linux-musl`"));
        assert!(error.contains("`aarch64-unknown-linux-gnu`"), "{error}");
    }

    #[test]
    fn a_target_that_rustc_does_not_know_is_named() {
        let error = format!("{:#}", installed("s390x-moon-linux-gnu").unwrap_err());
        assert!(error.contains("`s390x-moon-linux-gnu`"), "{error}");
    }

    #[test]
    fn the_users_own_flags_stay() {
        let target = S390x.triple();
        let with = |name: &'static str, value: &'static str| {
            let get = move |asked: &str| (asked == name).then(|| value.into());
            flags(target, S390x, Libc::None, &get)
        };
        let bootstrap = ("RUSTC_BOOTSTRAP".to_owned(), "syscalls".into());
        let ours = "--cfg rustix_use_experimental_asm";
        let name = "CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUSTFLAGS";
        let expected = |name: &str, value: &str| (name.to_owned(), value.into());
        assert_eq!(with("", ""), [expected(name, ours), bootstrap.clone()]);
        assert_eq!(
            with(name, "-g"),
            [expected(name, &format!("-g {ours}")), bootstrap.clone()]
        );
        assert_eq!(
            with("RUSTFLAGS", "-g"),
            [
                expected("RUSTFLAGS", &format!("-g {ours}")),
                bootstrap.clone()
            ]
        );
        assert_eq!(
            with("CARGO_ENCODED_RUSTFLAGS", "-C\x1fx"),
            [
                expected(
                    "CARGO_ENCODED_RUSTFLAGS",
                    "-C\x1fx\x1f--cfg\x1frustix_use_experimental_asm"
                ),
                bootstrap
            ]
        );
        assert_eq!(
            with("RUSTC_BOOTSTRAP", "1")[1],
            expected("RUSTC_BOOTSTRAP", "1")
        );
        let with_libc = flags(target, S390x, Libc::Static, &|_| None);
        assert_eq!(with_libc, [expected(name, ours)]);
        assert!(flags(Aarch64.triple(), Aarch64, Libc::None, &|_| None).is_empty());
    }

    #[test]
    fn the_compiler_runs_on_its_own_loader() {
        assert_eq!(
            start(S390x),
            "#!/bin/sh\nusr=${0%/*}/usr\nexec \"$usr/lib/s390x-linux-gnu/ld64.so.1\" \
             --library-path \"$usr/lib/s390x-linux-gnu\" \"$usr/bin/rustc\" --sysroot \"$usr\" \"$@\"\n"
        );
    }
}

//! What cargo needs in order to build for a target: compiler, libraries, linker, flags.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use anyhow::{Context, Result, bail, ensure};
use lab::debian::Debian;
use lab::program;
use lab::progress::say;
use lab::tools::{self, APT_GET, DPKG_DEB};
use qemu_tests::architecture::Architecture;
use serde_json::Value;

use super::cargo::cargo;
use super::compiler::{self, Libraries};

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

/// What cargo is given in order to build for a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// For its environment.
    pub variables: Vec<(String, OsString)>,
    /// Arguments that come first.
    pub arguments: Vec<&'static str>,
}

/// What a cargo needs that builds for `target`, or for this machine without one. What the user set for
/// compiler flags and linkers stays.
///
/// # Errors
/// Where the target's libraries, or a linker for it, are not to be had; the message says what to
/// install.
pub fn settings(target: Option<&str>, libc: Libc, archive: &Debian) -> Result<Settings> {
    let get = |name: &str| env::var_os(name);
    let mut settings = Settings::default();
    let Some(target) = target else {
        if libc != Libc::Static {
            let architecture = architecture(None)?;
            settings.variables = flags(architecture.triple(), architecture, libc, &get);
        }
        return Ok(settings);
    };
    let architecture = architecture(Some(target))?;
    let packaged =
        Architecture::host().filter(|_| APT_GET.find().is_some() && DPKG_DEB.find().is_some());
    let wanted = Wanted {
        target,
        architecture,
        libc,
    };
    let libraries = source(wanted, installed(target)?, packaged.is_some())?;
    if let Some(libraries) = libraries {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            say(format_args!(
                "this machine's rustc has no libraries for {target}: building with Debian's compiler"
            ));
        });
        let compiler = compiler::with(libraries, archive).with_context(|| {
            format!(
                "Debian's compiler and its libraries for {target} could not be had; without them run \
                 `rustup target add {target}`"
            )
        })?;
        let variables = &mut settings.variables;
        variables.push(("RUSTC".to_owned(), compiler.into()));
        // Another compiler would have everything rebuilt that the machine's own built, and back.
        let folder = target_folder()?.join("cross");
        variables.push(("CARGO_TARGET_DIR".to_owned(), folder.into()));
        if libraries == Libraries::Source {
            settings.arguments = vec!["-Zbuild-std=core"];
        }
    }
    if Architecture::host() != Some(architecture) {
        if libc != Libc::None && APT_GET.find().is_some() {
            tools::ensure_all(&[tools::cross_libc(architecture)])?;
        }
        if !has_linker(target) {
            let gcc = tools::cross_gcc(architecture);
            tools::ensure_all(&[gcc])?;
            let linker = (variable(target, "LINKER"), gcc.program.into());
            settings.variables.push(linker);
        }
    }
    let variables = &mut settings.variables;
    variables.extend(flags(target, architecture, libc, &get));
    if libraries == Some(Libraries::Source) {
        // An unstable option wants a compiler that takes all of them.
        let name = "RUSTC_BOOTSTRAP";
        variables.retain(|(other, _)| other != name);
        variables.push((name.to_owned(), "1".into()));
    }
    Ok(settings)
}

/// A target, and what is built for it.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    target: &'a str,
    architecture: Architecture,
    libc: Libc,
}

/// Which libraries Debian's compiler is wanted with; none where this machine's own serves. `installed`
/// tells whether rustc has libraries for the target, and `packaged` whether this machine can get and
/// run Debian's.
fn source(wanted: Wanted<'_>, installed: bool, packaged: bool) -> Result<Option<Libraries>> {
    let Wanted {
        target,
        architecture,
        libc,
    } = wanted;
    if installed {
        return Ok(None);
    }
    ensure!(
        packaged,
        "rustc has no libraries for `{target}`: run `rustup target add {target}`, or install your \
         distribution's package of them. On Debian this command gets Debian's by itself"
    );
    if target == architecture.triple() {
        return Ok(Some(Libraries::Packaged(architecture)));
    }
    if libc == Libc::None {
        // The agent wants nothing but `core`, which is built from its source.
        return Ok(Some(Libraries::Source));
    }
    bail!(
        "rustc has no libraries for `{target}`, and Debian packages none: run `rustup target add \
         {target}`, or build for `{}`",
        architecture.triple()
    )
}

/// Whether rustc has libraries for `target`.
fn installed(target: &str) -> Result<bool> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", target]);
    let folder = program::output(&mut rustc).with_context(|| {
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
    program::output(cargo.env("RUSTC_BOOTSTRAP", "1")).is_ok()
}

/// The flags that leave the folders of cargo's packages out of an executable that is installed. It has a few
/// paths of theirs, and would be another one where its builder is at home elsewhere.
fn without_folders(get: &dyn Fn(&str) -> Option<OsString>) -> Vec<String> {
    let own = || get("HOME").map(|home| Path::new(&home).join(".cargo"));
    let Some(home) = get("CARGO_HOME").map(PathBuf::from).or_else(own) else {
        return Vec::new();
    };
    let folders = fs::read_dir(home.join("registry/src"));
    let flag = |folder: fs::DirEntry| format!("--remap-path-prefix={}=", folder.path().display());
    let flags = folders.into_iter().flatten().flatten().map(flag);
    // What has a blank, a list of flags cannot have.
    flags.filter(|flag| !flag.contains(' ')).collect()
}

/// The variables with the flags that every crate needs in order to do without a C library, behind
/// those of the user that `get` finds.
fn flags(
    target: &str,
    architecture: Architecture,
    libc: Libc,
    get: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<(String, OsString)> {
    let mut ours = Vec::new();
    if libc != Libc::Static {
        ours = without_folders(get);
    }
    if architecture == Architecture::S390x {
        // rustix makes system calls itself, instead of through libc, only where it is told to.
        ours.extend(["--cfg", "rustix_use_experimental_asm"].map(str::to_owned));
    }
    if ours.is_empty() {
        return Vec::new();
    }
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
    if libc == Libc::None && architecture == Architecture::S390x {
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
    let text = program::output(&mut cargo)?;
    let metadata: Value = serde_json::from_str(&text).context("what cargo metadata said")?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder
        .context("cargo metadata names no target_directory")?
        .into())
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

    /// Which libraries are taken for a target, in a word.
    fn taken(target: &str, libc: Libc, installed: bool, packaged: bool) -> Result<String> {
        let wanted = Wanted {
            target,
            architecture: architecture(Some(target))?,
            libc,
        };
        Ok(match source(wanted, installed, packaged)? {
            None => "own".to_owned(),
            Some(libraries) => format!("{libraries:?}"),
        })
    }

    #[test]
    fn installed_libraries_come_first_then_debians_then_its_source() {
        let (gnu, musl) = ("s390x-unknown-linux-gnu", "aarch64-unknown-linux-musl");
        for (target, libc, installed, expected) in [
            (gnu, Libc::None, true, "own"),
            (gnu, Libc::None, false, "Packaged(S390x)"),
            (gnu, Libc::Static, false, "Packaged(S390x)"),
            (musl, Libc::Static, true, "own"),
            (musl, Libc::None, false, "Source"),
            ("x86_64-unknown-linux-musl", Libc::None, false, "Source"),
        ] {
            let found = taken(target, libc, installed, true).unwrap();
            assert_eq!(found, expected, "{target} {libc:?}");
        }
    }

    #[test]
    fn where_none_is_to_be_had_the_ways_are_told() {
        let error = |target, libc, packaged| {
            taken(target, libc, false, packaged)
                .unwrap_err()
                .to_string()
        };
        let text = error("s390x-unknown-linux-gnu", Libc::None, false);
        assert!(text.contains("`rustup target add s390x-unknown-linux-gnu`"));
        assert!(text.contains("Debian"), "{text}");
        let text = error("aarch64-unknown-linux-musl", Libc::Static, true);
        assert!(text.contains("`rustup target add aarch64-unknown-linux-musl`"));
        assert!(text.contains("`aarch64-unknown-linux-gnu`"), "{text}");
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
}

//! Executables, and the call of cargo that builds each, as data.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use lab::debian::Debian;
use lab::elf;
use lab::program;

use super::cargo::cargo;
use super::toolchain::{self, Libc, Settings};

/// One `cargo rustc` of an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    package: &'static str,
    bin: &'static str,
    features: Option<&'static str>,
    release: bool,
    target: Option<String>,
    libc: Libc,
    /// For rustc, and only for the executable itself: build scripts and macros run on the host.
    flags: Vec<&'static str>,
}

impl Executable {
    /// The agent: freestanding, so neither C start-up code nor libc nor a loader.
    #[must_use]
    pub fn agent(target: Option<&str>) -> Self {
        let mut flags = vec!["-C", "relocation-model=static"];
        // Found by trying: a kilobyte less than without, and every kilobyte counts here.
        flags.extend(["-C", "llvm-args=-inline-threshold=15"]);
        flags.extend(["-C", "llvm-args=-enable-machine-outliner=always"]);
        // Comparisons instead of tables of addresses: half a kilobyte.
        flags.extend(["-C", "llvm-args=-min-jump-table-entries=20"]);
        // What is computed ahead of a loop is kept in memory meanwhile, registers being few: a kilobyte.
        flags.extend(["-C", "llvm-args=-disable-machine-licm"]);
        // A table of values has eight bytes for each, most of them zero.
        flags.extend(["-C", "llvm-args=-switch-to-lookup=false"]);
        if target.is_some_and(|target| target.contains("musl")) {
            // Rust ships musl's own start-up objects and would link them.
            flags.extend(["-C", "link-self-contained=no"]);
        }
        for argument in [
            "link-arg=-nostartfiles",
            "link-arg=-nostdlib",
            "link-arg=-static",
            // Drops the unwind tables; cargo starts the linker in the workspace's root.
            "link-arg=-Wl,--no-eh-frame-hdr",
            "link-arg=-Wl,-T,agent/link.ld",
            // Nothing is relocated when it starts.
            "link-arg=-Wl,-z,norelro",
            // Data begins in the file where code ends: GNU ld would leave out up to a page for the sake of
            // one page less in memory.
            "link-arg=-Wl,-z,common-page-size=16",
            // A text that is the end of another one is kept once: by lld, and GNU ld knows the option.
            "link-arg=-Wl,-O2",
        ] {
            flags.extend(["-C", argument]);
        }
        Self {
            package: "vfio-bind-agent",
            bin: "vfio-bind-agent",
            features: Some("executable"),
            release: true,
            target: target.map(str::to_owned),
            libc: Libc::None,
            flags,
        }
    }

    /// The command for the owner of a machine, for this machine's C library.
    #[must_use]
    pub fn command() -> Self {
        Self {
            package: "vfio-bind-cli",
            bin: "vfio-bind",
            features: None,
            release: true,
            target: None,
            libc: Libc::Shared,
            flags: Vec::new(),
        }
    }

    /// A program for test guests: static, for there are no libraries.
    #[must_use]
    pub fn guest(bin: &'static str) -> Self {
        Self {
            package: "guest",
            bin,
            features: None,
            // Quick to build; nothing in a guest waits for it.
            release: false,
            target: None,
            libc: Libc::Static,
            flags: vec!["-C", "target-feature=+crt-static", "-C", "strip=symbols"],
        }
    }

    /// The command as a program for test guests.
    #[must_use]
    pub fn guest_command() -> Self {
        Self {
            package: "vfio-bind-cli",
            ..Self::guest("vfio-bind")
        }
    }

    /// The same for another machine than this one.
    #[must_use]
    pub fn target(mut self, target: Option<&str>) -> Self {
        self.target = target.map(str::to_owned);
        self
    }

    /// Gets what building it needs.
    ///
    /// # Errors
    /// Where the target's libraries or linker are not to be had.
    pub fn settings(&self, debian: &Debian) -> Result<Settings> {
        toolchain::settings(self.target.as_deref(), self.libc, debian)
    }

    /// Cargo's arguments, `first` among them.
    #[must_use]
    pub fn arguments<'a>(&'a self, first: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["rustc", "--message-format=json-render-diagnostics"];
        arguments.extend(first);
        arguments.extend(self.release.then_some("--release"));
        arguments.extend(["--package", self.package, "--bin", self.bin]);
        arguments.extend(
            self.features
                .into_iter()
                .flat_map(|list| ["--features", list]),
        );
        arguments.extend(
            self.target
                .as_deref()
                .into_iter()
                .flat_map(|name| ["--target", name]),
        );
        arguments.push("--");
        arguments.extend(&self.flags);
        arguments
    }

    /// One that is given, or else builds it; gives its path.
    ///
    /// # Errors
    /// As [`Executable::build`].
    pub fn unless(&self, given: Option<&Path>, debian: &Debian) -> Result<PathBuf> {
        given.map_or_else(|| self.build(debian), |path| Ok(path.to_owned()))
    }

    /// Builds it; gives its path.
    ///
    /// # Errors
    /// Where the target's libraries or linker are not to be had, or cargo fails: cargo has said why
    /// by then.
    pub fn build(&self, debian: &Debian) -> Result<PathBuf> {
        let settings = self.settings(debian)?;
        let mut cargo = cargo();
        cargo
            .args(self.arguments(&settings.arguments))
            .envs(settings.variables)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let line = program::line(&cargo);
        let output = cargo
            .output()
            .with_context(|| format!("`{line}` could not be started"))?;
        ensure!(
            output.status.success(),
            "`{line}` ended with {}",
            output.status
        );
        let messages = String::from_utf8_lossy(&output.stdout);
        let path = executable(&messages, self.bin)
            .with_context(|| format!("`{line}` named no executable `{}`", self.bin))?;
        if self.libc == Libc::None {
            elf::drop_sections(&path)?;
        }
        Ok(path)
    }
}

/// The executable `bin` in cargo's messages.
fn executable(messages: &str, bin: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = messages.filter(|message| message["target"]["name"] == bin);
    ours.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_for_the_host() {
        assert_eq!(
            Executable::agent(None).arguments(&[]).join(" "),
            "rustc --message-format=json-render-diagnostics --release --package vfio-bind-agent \
             --bin vfio-bind-agent --features executable -- -C relocation-model=static \
             -C llvm-args=-inline-threshold=15 -C llvm-args=-enable-machine-outliner=always \
             -C llvm-args=-min-jump-table-entries=20 -C llvm-args=-disable-machine-licm \
             -C llvm-args=-switch-to-lookup=false \
             -C link-arg=-nostartfiles -C link-arg=-nostdlib -C link-arg=-static \
             -C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,agent/link.ld \
             -C link-arg=-Wl,-z,norelro -C link-arg=-Wl,-z,common-page-size=16 -C link-arg=-Wl,-O2"
        );
    }

    #[test]
    fn the_agent_for_musl() {
        assert_eq!(
            Executable::agent(Some("aarch64-unknown-linux-musl"))
                .arguments(&[])
                .join(" "),
            "rustc --message-format=json-render-diagnostics --release --package vfio-bind-agent \
             --bin vfio-bind-agent --features executable --target aarch64-unknown-linux-musl -- \
             -C relocation-model=static -C llvm-args=-inline-threshold=15 \
             -C llvm-args=-enable-machine-outliner=always -C llvm-args=-min-jump-table-entries=20 \
             -C llvm-args=-disable-machine-licm -C llvm-args=-switch-to-lookup=false \
             -C link-self-contained=no -C link-arg=-nostartfiles \
             -C link-arg=-nostdlib -C link-arg=-static -C link-arg=-Wl,--no-eh-frame-hdr \
             -C link-arg=-Wl,-T,agent/link.ld -C link-arg=-Wl,-z,norelro -C link-arg=-Wl,-z,common-page-size=16 -C link-arg=-Wl,-O2"
        );
    }

    #[test]
    fn the_command() {
        assert_eq!(
            Executable::command().arguments(&[]).join(" "),
            "rustc --message-format=json-render-diagnostics --release --package vfio-bind-cli \
             --bin vfio-bind --"
        );
    }

    #[test]
    fn a_program_for_guests() {
        assert_eq!(
            Executable::guest("guest-init").arguments(&[]).join(" "),
            "rustc --message-format=json-render-diagnostics --package guest --bin guest-init \
             -- -C target-feature=+crt-static -C strip=symbols"
        );
        let other = Executable::guest("crash").target(Some("s390x-unknown-linux-gnu"));
        assert_eq!(
            other.arguments(&[]).join(" "),
            "rustc --message-format=json-render-diagnostics --package guest --bin crash \
             --target s390x-unknown-linux-gnu -- -C target-feature=+crt-static -C strip=symbols"
        );
        assert_eq!(
            Executable::guest_command().arguments(&[]).join(" "),
            "rustc --message-format=json-render-diagnostics --package vfio-bind-cli --bin vfio-bind \
             -- -C target-feature=+crt-static -C strip=symbols"
        );
    }

    #[test]
    fn the_executable_is_found_among_other_messages() {
        let messages = r#"not JSON
{"reason":"compiler-artifact","target":{"name":"guest"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"guest-init"},"executable":"/t/guest-init"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "guest-init"),
            Some(PathBuf::from("/t/guest-init"))
        );
        assert_eq!(executable(messages, "guest"), None);
    }
}

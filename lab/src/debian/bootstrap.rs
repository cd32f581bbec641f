//! Whole systems, with every package configured as its own scripts do it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::lists::Lists;
use crate::lack::Unavailable;
use crate::program;
use crate::progress::say;
use crate::tools::{self, MMDEBSTRAP};

impl Lists {
    /// Installs what is on every Debian system, `packages` and all that they depend on into `root`, which is
    /// empty: it can be entered and changed by dpkg.
    ///
    /// # Errors
    /// [`Unavailable`] where a package is not to be had, or who runs this is not root.
    pub fn install_system(&self, packages: &[&str], root: &Path) -> Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Unavailable {
                reason: "dpkg installs as root only".to_owned(),
                log: None,
            }
            .into());
        }
        tools::ensure_all(&[MMDEBSTRAP])?;
        if let Some(lack) = self.apt.unreachable() {
            return Err(lack.into());
        }
        say(format_args!(
            "installing a Debian system ({}) with {}: a minute or two",
            self.release(),
            packages.join(", ")
        ));
        // apt reads no list whose name has a `+`.
        let sources = root.with_extension("list");
        fs::copy(self.sources(), &sources)
            .with_context(|| format!("copy({})", sources.display()))?;
        let mut mmdebstrap = MMDEBSTRAP.command()?;
        mmdebstrap
            .args(["--mode=root", "--variant=essential", "--format=directory"])
            .arg(format!("--include={}", packages.join(",")))
            .env("LC_ALL", "C");
        for line in proxies()? {
            mmdebstrap.arg(format!("--aptopt={line}"));
        }
        mmdebstrap.arg(self.release()).arg(root).arg(&sources);
        let result = self.apt.run(&mut mmdebstrap)?;
        fs::remove_file(&sources).with_context(|| format!("rm({})", sources.display()))?;
        result.map(drop).map_err(|failure| {
            failure
                .lack()
                .map_or_else(|| failure.error(), Unavailable::into)
        })
    }
}

/// How the system's apt reaches the network, in apt's words: mmdebstrap does not read them.
fn proxies() -> Result<Vec<String>> {
    let mut config = std::process::Command::new("apt-config");
    let text = program::output(config.args(["dump", "Acquire"]))?;
    let lines = text.lines().filter(|line| line.contains("::Proxy \""));
    Ok(lines.map(str::to_owned).collect())
}

//! Kernels by the names that a command line has for them.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::architecture::Architecture;
use qemu_tests::scenario::BUILT_IN;

use super::packaged::PACKAGED;
use super::{Kernel, built};
use crate::debian::Debian;

impl Kernel {
    /// The kernel called `name`: a version that Debian packages, [`BUILT_IN`], or a path that comes
    /// with the folder of its modules.
    ///
    /// # Errors
    /// Where there is no such kernel or it cannot be had.
    pub fn get(
        name: &str,
        modules: Option<&Path>,
        architecture: Architecture,
        debian: &Debian,
    ) -> Result<Self> {
        if let Some(modules) = modules {
            return Self::own(Path::new(name), modules, architecture);
        }
        if let Some(packaged) = PACKAGED.iter().find(|packaged| packaged.version == name) {
            return packaged.get(architecture, debian);
        }
        ensure!(name == BUILT_IN, "no kernel `{name}`");
        built::get(debian)
    }

    /// Whether there is a kernel called so, before anything is got for it.
    ///
    /// # Errors
    /// Where there is none; the message has those that there are.
    pub fn check_name(name: &str, modules: Option<&Path>) -> Result<()> {
        if let Some(modules) = modules {
            return Self::own(Path::new(name), modules, Architecture::default()).map(drop);
        }
        let versions: Vec<_> = PACKAGED.iter().map(|packaged| packaged.version).collect();
        if name == BUILT_IN || versions.contains(&name) {
            return Ok(());
        }
        ensure!(
            Path::new(name).exists(),
            "no kernel `{name}`: neither a file, nor `{BUILT_IN}`, nor one of the packaged versions ({})",
            versions.join(", ")
        );
        bail!("--kernel {name} needs --modules DIR, the folder with its modules.dep")
    }

    /// The packaged kernel called `name` as the archive has it now, whatever is in the cache.
    ///
    /// # Errors
    /// Where none is packaged under that name, or it cannot be had.
    pub fn current(name: &str, architecture: Architecture, debian: &Debian) -> Result<Self> {
        let packaged = PACKAGED.iter().find(|packaged| packaged.version == name);
        let packaged = packaged.with_context(|| format!("`{name}` is no packaged kernel"))?;
        packaged.current(architecture, debian)
    }
}

//! Kernels to boot: Debian's, from the cache, or one of the user's own.

mod built;
mod bzimage;
pub mod modules;
mod named;
mod packaged;
pub mod test_module;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;

use crate::debian::Release;
pub use packaged::DEFAULT;

/// A kernel and its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `6.1.0-56-amd64`.
    pub release: String,
    /// The image to boot.
    pub image: PathBuf,
    /// The image as packaged, which is what firmware can start.
    pub packed: PathBuf,
    /// The folder with `modules.dep`.
    pub modules: PathBuf,
    /// What it runs on.
    pub architecture: Architecture,
    /// The release of Debian that it comes from, if it does.
    pub debian: Option<Release>,
}

impl Kernel {
    /// The same, as packaged: for a machine that sleeps. QEMU keeps what is not packed as a ROM and writes
    /// it to memory anew at each reset (its hw/core/loader.c), and so when the machine wakes: over the kernel
    /// that was asleep.
    #[must_use]
    pub fn as_packaged(self) -> Self {
        Self {
            image: self.packed.clone(),
            ..self
        }
    }

    /// A kernel of the user's own.
    fn own(image: &Path, modules: &Path, architecture: Architecture) -> Result<Self> {
        ensure!(
            image.is_file(),
            "--kernel {}: no such file",
            image.display()
        );
        let index = modules.join("modules.dep");
        ensure!(
            index.is_file(),
            "--modules {}: it has no modules.dep; name the folder that is called after the \
             kernel's release, and run depmod where it has none",
            modules.display()
        );
        let modules =
            fs::canonicalize(modules).with_context(|| format!("path({})", modules.display()))?;
        let release = modules
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            release,
            image: image.to_owned(),
            packed: image.to_owned(),
            modules,
            architecture,
            debian: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_ones_own_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let modules = folder.path().join("5.4.0-mine");
        let image = folder.path().join("bzImage");
        fs::create_dir(&modules).unwrap();
        let error = |image: &Path| {
            Kernel::own(image, &modules, Architecture::X86_64)
                .unwrap_err()
                .to_string()
        };
        assert!(error(&image).contains("bzImage: no such file"));
        fs::write(&image, "").unwrap();
        assert!(error(&image).contains("modules.dep"));
        fs::write(modules.join("modules.dep"), "").unwrap();
        assert_eq!(
            Kernel::own(&image, &modules, Architecture::X86_64)
                .unwrap()
                .release,
            "5.4.0-mine"
        );
    }
}

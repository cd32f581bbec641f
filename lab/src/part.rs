//! The parts that rows are made of: each is had, or not, on its own.

use std::fmt;

use qemu_tests::architecture::Architecture;

use crate::system::Recipe;

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The programs of this machine that boot guests of an architecture.
    Machine(Architecture),
    /// What cargo needs in order to build for an architecture.
    Compiler(Architecture),
    /// What is built from this repository for guests of an architecture.
    Programs(Architecture),
    /// kmod for guests of an architecture.
    Kmod(Architecture),
    /// A kernel by its version, or the one that the run is to boot, and its modules.
    Kernel(Option<&'static str>, Architecture),
    /// A test module for such a kernel.
    Module(&'static str, Option<&'static str>, Architecture),
    /// EFI firmware.
    Firmware(Architecture),
    /// The programs of this machine that builds of images need.
    ImageTools,
    /// The programs of this machine that lay out a disk for firmware.
    DiskTools,
    /// A Debian system with a tool that builds images.
    System(Recipe),
    /// A Debian system that dpkg can change.
    Installed(Recipe),
    /// A program of this machine by its name, for a check.
    Checker(&'static str),
}

impl Part {
    /// Whether cargo builds it.
    #[must_use]
    pub fn is_built(&self) -> bool {
        matches!(self, Self::Programs(_))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(architecture) => write!(f, "QEMU for {architecture}"),
            Self::Compiler(architecture) => write!(f, "a compiler for {architecture}"),
            Self::Programs(architecture) => write!(f, "the programs for {architecture}"),
            Self::Kmod(architecture) => write!(f, "kmod for {architecture}"),
            Self::Kernel(Some(version), architecture) => {
                write!(f, "the kernel {version} for {architecture}")
            }
            Self::Kernel(None, architecture) => write!(f, "the kernel for {architecture}"),
            Self::Module(name, ..) => write!(f, "the test module {name}"),
            Self::Firmware(architecture) => write!(f, "EFI firmware for {architecture}"),
            Self::ImageTools => f.write_str("mke2fs, tar, unshare, lz4, zstd and xz"),
            Self::DiskTools => f.write_str("sfdisk, mkfs.fat and mtools"),
            Self::System(recipe) | Self::Installed(recipe) => {
                write!(f, "the system of {}", recipe.name)
            }
            Self::Checker(program) => f.write_str(program),
        }
    }
}

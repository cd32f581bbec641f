//! The architectures that vfio-bind is built for, and what each project calls them.

use std::fmt;

/// An architecture of machines with PCI and an IOMMU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Architecture {
    /// PCs and their servers.
    #[default]
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// IBM Z; the only one with the most significant byte first.
    S390x,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::X86_64, Self::Aarch64, Self::S390x];

    /// The one that this program was built for, where it is one of them.
    #[must_use]
    pub fn host() -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == std::env::consts::ARCH)
    }

    /// Rust's and the kernel's name: `aarch64`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::S390x => "s390x",
        }
    }

    /// Debian's name: `arm64`.
    #[must_use]
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
            Self::S390x => "s390x",
        }
    }

    /// The folder of its libraries, and the start of its compiler's name: `aarch64-linux-gnu`.
    #[must_use]
    pub const fn gnu(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu",
            Self::Aarch64 => "aarch64-linux-gnu",
            Self::S390x => "s390x-linux-gnu",
        }
    }

    /// Rust's target with the GNU C library: `aarch64-unknown-linux-gnu`.
    #[must_use]
    pub const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::S390x => "s390x-unknown-linux-gnu",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

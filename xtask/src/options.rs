//! The options that several tasks have.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use lab::kernel;
use lab::rig::Settings;
use lab::row::Rules;

use crate::workspace;

/// A program of this machine's that builds images.
#[derive(Clone, Debug, clap::Args)]
pub struct MkinitcpioOption {
    /// The program of an installed mkinitcpio, where it is not on the PATH.
    #[arg(long = "mkinitcpio", value_name = "PATH")]
    pub program: Option<PathBuf>,
}

/// What to boot, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct MachineOptions {
    /// Of Debian's kernels 5.10, 6.1 (the default), 6.12 or `newest`; or `built-in`, a kernel with
    /// vfio-pci in it, built from Debian's source when it is first wanted; or the path of an image.
    #[arg(long, value_name = "PATH|VERSION")]
    pub kernel: Option<String>,
    /// The folder with modules.dep that belongs to an image named by its path.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub modules: Option<PathBuf>,
    /// QEMU's accelerator, tcg where none is named: kvm is faster where it works.
    #[arg(long, value_parser = ["tcg", "kvm"])]
    pub accel: Option<String>,
    /// An agent to test instead of building one, on machines of this one's architecture.
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// The wall-clock limit of one machine: 240 where none is named.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// How to run many rows.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Rows at a time: where nothing is said, one more than there are processors, for some rows wait for
    /// something; but 6 at most, for each boot wants most of a gigabyte.
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    /// Chooses the random vfio_pci.ids= values: 1 where nothing is said.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Count a row that did not run as a failure, for a release.
    #[arg(long)]
    pub strict: bool,
}

impl MachineOptions {
    /// For the rig.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            kernel: self
                .kernel
                .clone()
                .unwrap_or_else(|| kernel::DEFAULT.to_owned()),
            modules: self.modules.clone(),
            accelerator: self.accel.clone().unwrap_or_else(|| "tcg".to_owned()),
            agent: self.agent.clone(),
            stand_in: None,
            limit: Duration::from_secs(self.timeout.unwrap_or(240)),
            work: workspace::folder().join("target/qemu-tests"),
        }
    }
}

impl RunOptions {
    /// Rows at a time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(|| (processors() + 1).min(6))
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// How a run is judged.
    #[must_use]
    pub fn rules(&self, must_fail: bool) -> Rules {
        Rules {
            strict: self.strict,
            must_fail,
        }
    }
}

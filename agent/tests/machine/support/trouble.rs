//! What goes wrong on purpose.

use std::time::Duration;

use rustix::io::Errno;

#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// vfio-pci is not in the image.
    pub no_module: bool,
    /// These modules are not in the image.
    pub missing: Vec<&'static str>,
    /// modprobe does not end, although it has done its work.
    pub slow_modprobe: bool,
    /// The image has no modprobe.
    pub no_modprobe: bool,
    /// The driver's probe refuses these.
    pub probe_refuses: Vec<String>,
    /// The native driver of these does not let go before [`FakeMachine::let_go`](super::FakeMachine::let_go).
    pub stuck: Vec<String>,
    /// Somebody else unbinds these just before they are unbound.
    pub unbound_first: Vec<String>,
    /// These vanish with the first write to them.
    pub vanishing: Vec<String>,
    /// A write to a path that ends like this answers so.
    pub writes: Vec<(String, Errno)>,
    /// VFIO calls these groups not viable.
    pub not_viable: Vec<u32>,
    /// vfio-pci takes these by the IDs that kmod hands to it, unless it gets an empty list.
    pub by_ids: Vec<String>,
    /// Modules that call their driver otherwise, or have none.
    pub named: Vec<(&'static str, &'static str)>,
    /// How long the run may take.
    pub time: Option<Duration>,
    /// vfio-pci is asked before native drivers, as it is where it came first.
    pub ids_first: bool,
    /// An empty list does not get through.
    pub deaf_to_options: bool,
}

impl Trouble {
    pub fn no_module() -> Self {
        Self {
            no_module: true,
            ..Self::default()
        }
    }

    pub fn probe_refuses(address: &str) -> Self {
        Self {
            probe_refuses: vec![address.to_owned()],
            ..Self::default()
        }
    }

    pub fn stuck(address: &str) -> Self {
        Self {
            stuck: vec![address.to_owned()],
            ..Self::default()
        }
    }

    /// A write to a path that ends like this answers so.
    pub fn write_answers(path: &str, errno: Errno) -> Self {
        Self {
            writes: vec![(path.to_owned(), errno)],
            ..Self::default()
        }
    }
}

//! What the running system would miss: keyboards, the network, consoles and what they are shown on, on
//! functions that a plan takes.
//!
//! Not a list of everything that is in use: it names what leaves its owner without a way back in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use vfio_bind_agent::pci::address::Address;

/// A sentence for each function of `taken` that has a keyboard, the default route, a console, or the
/// display of the text console: no process has that open.
#[must_use]
pub fn warnings(root: &Path, taken: &[Address]) -> Vec<String> {
    let system = System { root };
    let keyboards = system.keyboards().into_iter().map(|(function, name)| {
        let text = format!("{function} has a keyboard behind it ({name}), which goes with it");
        (function, text)
    });
    let nics = system.default_nics().into_iter().map(|(function, name)| {
        let text =
            format!("{function} is the NIC of the default route ({name}), which goes with it");
        (function, text)
    });
    let consoles = system.consoles().into_iter().map(|(function, name)| {
        let text = format!("{function} has the console {name}, which goes silent with it");
        (function, text)
    });
    let displays = system
        .console_displays()
        .into_iter()
        .map(|(function, name)| {
            let text =
                format!("{function} shows the text console ({name}), which goes dark with it");
            (function, text)
        });
    let all: BTreeSet<_> = keyboards
        .chain(nics)
        .chain(consoles)
        .chain(displays)
        .collect();
    all.into_iter()
        .filter(|(function, _)| taken.contains(function))
        .map(|(_, text)| text)
        .collect()
}

/// The `sys` and `proc` of a system. What is not there, as in a captured tree, has nothing to say.
#[derive(Clone, Copy, Debug)]
pub struct System<'r> {
    /// Its root directory.
    pub root: &'r Path,
}

impl System<'_> {
    fn read(&self, path: impl AsRef<Path>) -> String {
        let bytes = fs::read(self.root.join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        entries.flatten().filter_map(name).collect()
    }

    /// The last function on the way to a device: what carries it.
    fn function(&self, link: impl AsRef<Path>) -> Option<Address> {
        let device = fs::canonicalize(self.root.join(link)).ok()?;
        let mut parts = device.components().rev();
        parts.find_map(|part| Address::parse(part.as_os_str().as_encoded_bytes()))
    }

    /// USB interfaces of HID class that boot firmware takes for a keyboard (HID 1.11, 4.2 and 4.3).
    #[must_use]
    pub fn keyboards(&self) -> Vec<(Address, String)> {
        let devices = Path::new("sys/bus/usb/devices");
        let interfaces = self.names(devices).into_iter().filter(|name| {
            let is = |file, value| self.read(devices.join(name).join(file)) == value;
            is("bInterfaceClass", "03") && is("bInterfaceProtocol", "01")
        });
        let keyboard = |name: String| {
            let device = name.split(':').next().unwrap_or_default();
            let shown = self.read(devices.join(device).join("product"));
            let shown = shown.replace(char::is_control, " ");
            let function = self.function(devices.join(&name))?;
            Some((function, if shown.is_empty() { name } else { shown }))
        };
        interfaces.filter_map(keyboard).collect()
    }

    /// The functions behind each interface with a default route: those of a bond or a bridge, too.
    #[must_use]
    pub fn default_nics(&self) -> Vec<(Address, String)> {
        let v4 = self.read("proc/net/route");
        let v6 = self.read("proc/net/ipv6_route");
        let zero = |text: Option<&&str>| text.is_some_and(|t| t.bytes().all(|byte| byte == b'0'));
        // Interface, destination, gateway, flags, use twice, metric, mask.
        let v4 = v4.lines().filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            (zero(fields.get(1)) && zero(fields.get(7))).then_some(*fields.first()?)
        });
        // Destination, its length, and the interface at the end; `lo` has what is not reachable.
        let v6 = v6.lines().filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let name = *fields.last()?;
            (zero(fields.first()) && zero(fields.get(1)) && name != "lo").then_some(name)
        });
        let mut found = Vec::new();
        for route in v4.chain(v6) {
            let mut waiting = vec![route.to_owned()];
            let mut seen = BTreeSet::new();
            while let Some(name) = waiting.pop() {
                if !seen.insert(name.clone()) {
                    continue;
                }
                let interface = Path::new("sys/class/net").join(&name);
                let lower = self.names(&interface).into_iter();
                waiting
                    .extend(lower.filter_map(|link| Some(link.strip_prefix("lower_")?.to_owned())));
                let device: PathBuf = interface.join("device");
                found.extend(
                    self.function(device)
                        .map(|function| (function, route.to_owned())),
                );
            }
        }
        found
    }

    /// The framebuffers of functions, while the text console is shown on framebuffers
    /// (Documentation/fb/fbcon.rst).
    #[must_use]
    pub fn console_displays(&self) -> Vec<(Address, String)> {
        let consoles = Path::new("sys/class/vtconsole");
        let shown = self.names(consoles).into_iter().any(|name| {
            let read = |file| self.read(consoles.join(&name).join(file));
            read("bind") == "1" && read("name").contains("frame buffer")
        });
        let displays = Path::new("sys/class/graphics");
        let display = |name: String| {
            let function = self.function(displays.join(&name).join("device"))?;
            Some((function, name))
        };
        let names = self.names(displays).into_iter().filter(|_| shown);
        names.filter_map(display).collect()
    }

    /// The terminals that the kernel writes its messages to.
    #[must_use]
    pub fn consoles(&self) -> Vec<(Address, String)> {
        let active = self.read("sys/class/tty/console/active");
        let console = |name: &str| {
            let device = Path::new("sys/class/tty").join(name).join("device");
            Some((self.function(device)?, name.to_owned()))
        };
        active.split_whitespace().filter_map(console).collect()
    }
}

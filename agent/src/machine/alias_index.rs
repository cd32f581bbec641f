//! Which vfio driver suits a function best: `vfio.driver=auto`.
//!
//! Drivers that know more of a device than vfio-pci does have aliases of their own, such as
//! `vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*` (`PCI_DRIVER_OVERRIDE_DEVICE_VFIO`, since 5.16). The
//! one with the fewest wildcards is the best, and vfio-pci matches everything
//! (Documentation/driver-api/vfio-pci-device-specific-driver-acceptance.rst).
//!
//! They are looked up in `modules.alias.bin`: the text form is not in every image. It is a radix
//! tree in a file, written by depmod (libkmod-index.c and depmod.c of kmod, format 2.1), with all
//! numbers big-endian. A node is reached by an offset whose upper bits tell what it has:
//! a prefix that ends in 0; the first and last letter of its children, and an offset for each; a
//! count of values, each a priority and a text that ends in 0.

use heapless::Vec;
use rustix::io::Errno;

use crate::machine::Root;
use crate::machine::sysfs::{Path, path};
use crate::pci::id::DeviceId;
use crate::text::glob::matches;
use crate::text::misread::split_once;
use crate::text::{Bounded, DriverName, Text, clip, name};

const MAGIC: u32 = 0xb007_f457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;
const OFFSET: u32 = 0x0fff_ffff;

/// What all aliases of vfio drivers begin with.
const KIND: &[u8] = b"vfio_pci:";

/// The longest alias that is understood: a full one has 75 letters.
const KEY: usize = 96;
/// A node with a long prefix, a child for each letter and a few values.
const NODE: usize = 1024;
/// The most nodes that are looked at; ten times as many as all vfio drivers of 7.2 have.
const MAX_NODES: u32 = 4096;

/// The index of the running kernel's modules.
pub struct Aliases<'a> {
    root: &'a dyn Root,
    pub(crate) file: Path,
    start: u32,
}

impl<'a> Aliases<'a> {
    /// Opens the index; `None` where the image has none that is understood.
    #[must_use]
    pub fn open(root: &'a dyn Root) -> Option<Self> {
        let mut buffer = [0; 128];
        let release = root.read("proc/sys/kernel/osrelease", &mut buffer).ok()?;
        let release: Bounded<64> = clip(format_args!("{}", Text(release.trim_ascii_end())));
        let file = path(format_args!("lib/modules/{release}/modules.alias.bin"));
        let mut header = [0; 12];
        let mut bytes = root.read_at(&file, 0, &mut header).ok()?;
        let known = (take_u32(&mut bytes)?, take_u32(&mut bytes)?) == (MAGIC, VERSION);
        let start = take_u32(&mut bytes).filter(|_| known)?;
        Some(Self { root, file, start })
    }

    /// The module of the best driver for a function; `None` where that is vfio-pci.
    ///
    /// # Errors
    /// What open or read answered; `EBADMSG` where the index is not what its header promises.
    pub fn best(&self, id: &DeviceId) -> Result<Option<DriverName>, Errno> {
        // Small letters and capitals are equal here.
        let wanted: Bounded<KEY> = clip(format_args!("vfio_{}", id.modalias()));
        let mut search = Search {
            aliases: self,
            wanted: wanted.as_bytes(),
            best: None,
            nodes: MAX_NODES,
        };
        search.visit(self.start, &mut Vec::new())?;
        let best = search.best.map(|(_, driver)| driver);
        Ok(best.filter(|module| module != "vfio_pci"))
    }
}

type Key = Vec<u8, KEY>;

struct Search<'a> {
    aliases: &'a Aliases<'a>,
    wanted: &'a [u8],
    /// Its wildcards, and the driver.
    best: Option<(usize, DriverName)>,
    nodes: u32,
}

impl Search<'_> {
    /// Looks at a node and at what is below it. `key` is what leads to it.
    ///
    /// The depth is that of the key, which grows with each step.
    fn visit(&mut self, place: u32, key: &mut Key) -> Result<(), Errno> {
        self.nodes = self.nodes.checked_sub(1).ok_or(Errno::BADMSG)?;
        let mut buffer = [0; NODE];
        let Aliases { root, file, .. } = self.aliases;
        let mut node = root.read_at(file, place & OFFSET, &mut buffer)?;
        let before = key.len();
        let found = self.read(place, &mut node, key);
        key.truncate(before);
        found.unwrap_or(Err(Errno::BADMSG))
    }

    /// `None` where the node ends too early.
    fn read(&mut self, place: u32, node: &mut &[u8], key: &mut Key) -> Option<Result<(), Errno>> {
        if place & HAS_PREFIX != 0 {
            let (prefix, rest) = split_once(node, 0)?;
            *node = rest;
            // A longer key is none of a vfio driver.
            if key.extend_from_slice(prefix).is_err() {
                return Some(Ok(()));
            }
        }
        if !key.iter().zip(KIND).all(|(letter, kind)| letter == kind) {
            return Some(Ok(()));
        }
        if place & HAS_CHILDREN != 0 {
            let (first, last) = (take(node)?, take(node)?);
            for letter in first..=last {
                let child = take_u32(node)?;
                if child & OFFSET == 0 || key.push(letter).is_err() {
                    continue;
                }
                let below = self.visit(child, key);
                key.pop();
                if below.is_err() {
                    return Some(below);
                }
            }
        }
        if place & HAS_VALUES != 0 && matches(key, self.wanted) {
            let wildcards = key.iter().filter(|letter| **letter == b'*').count();
            for _ in 0..take_u32(node)? {
                take_u32(node)?;
                let (module, rest) = split_once(node, 0)?;
                *node = rest;
                if self
                    .best
                    .as_ref()
                    .is_none_or(|(least, _)| wildcards < *least)
                {
                    self.best = Some((wildcards, name(module)));
                }
            }
        }
        Some(Ok(()))
    }
}

fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

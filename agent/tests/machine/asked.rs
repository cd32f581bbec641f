//! Policies, as what they mean and as people write them.
//!
//! Nothing of the library is used here: [`oracle`](crate::oracle) works with the meaning, the agent
//! with the text.

use std::fmt::{self, Display, Formatter};

use crate::oracle::Place;

/// What a selector names.
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    Function(Place),
    /// All functions of a device; the function of the place means nothing.
    Device(Place),
    /// The kernel's spelling, with the domain.
    Path(String),
    /// Vendor, device, subvendor, subdevice; any where there is none. Class and mask.
    Id([Option<u32>; 4], Option<(u32, u32)>),
    /// The first digits of a class, and how many there are.
    Class(u32, u32),
    Serial(u64),
    Slot(String),
    Label(String),
    Acpi(String),
}

/// A selector.
#[derive(Clone, Debug)]
pub struct Item {
    pub excludes: bool,
    pub target: Target,
    /// Written with `vf:`: the virtual functions of the target, by ranges of their indexes; all of them where there
    /// is none.
    pub virtuals: Option<Vec<(u16, u16)>>,
    /// What is to sit there: vendor and device.
    pub id: Option<(u32, u32)>,
    /// Without what may be left out.
    pub short: bool,
}

/// An item of `vfio_pci.ids=`: vendor, device, subvendor, subdevice, and class with mask.
pub type KernelId = ([Option<u32>; 4], Option<(u32, u32)>);

/// What follows from a mistake.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Effect {
    Told,
    BindsNothing,
}

#[derive(Clone, Debug)]
pub enum Word {
    Bind(Vec<Item>),
    Protect(Vec<Item>),
    Ids(Vec<KernelId>),
    Group(&'static str),
    Force(bool),
    Off,
    Unprotected(&'static str),
    Mistake(&'static str, Effect),
    /// Of no consequence for what is taken.
    Other(&'static str),
}

/// A policy, with all that stands beside it in an image.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub line: Vec<Word>,
    pub file: Vec<Word>,
    /// What the image says that its system boots from, if it does.
    pub recorded: Option<Vec<Word>>,
    pub modprobe: Option<Vec<KernelId>>,
    pub modules: Option<Vec<KernelId>>,
}

fn any_or(digits: Option<u32>) -> String {
    digits.map_or("*".to_owned(), |value| format!("{value:04x}"))
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let place = |place: &Place| match self.short && place.domain == 0 {
            true => format!("{:02x}:{:02x}", place.bus, place.device),
            false => format!(
                "{:04x}:{:02X}:{:02x}",
                place.domain, place.bus, place.device
            ),
        };
        f.write_str(if self.excludes { "!" } else { "" })?;
        f.write_str(if self.virtuals.is_some() { "vf:" } else { "" })?;
        match &self.target {
            Target::Function(at) => write!(f, "{}.{}", place(at), at.function),
            Target::Device(at) => {
                write!(f, "{}{}", place(at), ["", ".*"][at.function as usize % 2])
            }
            Target::Path(path) => f.write_str(match self.short {
                true => path.strip_prefix("0000:").unwrap_or(path),
                false => path,
            }),
            Target::Id(ids, class) => {
                let last = if class.is_some() || ids[2].is_some() || ids[3].is_some() {
                    4
                } else {
                    2
                };
                f.write_str(
                    &ids[..last]
                        .iter()
                        .map(|id| any_or(*id))
                        .collect::<Vec<_>>()
                        .join(":"),
                )?;
                match class {
                    Some((class, 0xff_ffff)) if self.short => write!(f, ":{class:06x}"),
                    Some((class, mask)) => write!(f, ":{class:06x}:{mask:08x}"),
                    None => Ok(()),
                }
            }
            Target::Class(class, digits) => {
                write!(f, "class:{class:0width$x}", width = *digits as usize)
            }
            Target::Serial(serial) => {
                let bytes = serial.to_be_bytes().map(|byte| format!("{byte:02x}"));
                write!(f, "dsn:{}", bytes.join("-"))
            }
            Target::Slot(name) => write!(f, "slot:{name}"),
            Target::Label(name) => write!(f, "label:{name}"),
            Target::Acpi(name) => write!(f, "acpi:{name}"),
        }?;
        if let Some((vendor, device)) = self.id {
            write!(f, "@{vendor:04x}:{device:04x}")?;
        }
        let ranges = self
            .virtuals
            .iter()
            .flatten()
            .zip(["#"].into_iter().chain([","; 9]));
        for ((first, last), mark) in ranges {
            match first == last {
                true => write!(f, "{mark}{first}")?,
                false => write!(f, "{mark}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn joined<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(",")
}

/// As the kernel's `%x` reads it, without leading zeros.
fn kernel_id((ids, class): &KernelId) -> String {
    let last = if class.is_some() {
        4
    } else {
        ids.iter()
            .rposition(Option::is_some)
            .map_or(2, |at| at.max(1) + 1)
    };
    let mut fields: Vec<_> = ids[..last]
        .iter()
        .map(|id| format!("{:x}", id.unwrap_or(u32::MAX)))
        .collect();
    if let Some((class, mask)) = class {
        fields.push(format!("0x{class:x}"));
        if *mask != 0 {
            fields.push(format!("{mask:x}"));
        }
    }
    fields.join(":")
}

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let list = |name: &str, items: &[Item]| {
            let items = joined(items, Item::to_string);
            match items.contains(' ') {
                true => format!("\"{name}={items}\""),
                false => format!("{name}={items}"),
            }
        };
        match self {
            Self::Bind(items) => f.write_str(&list(
                if items[0].short {
                    "rd.vfio.bind"
                } else {
                    "vfio.bind"
                },
                items,
            )),
            Self::Protect(items) => f.write_str(&list("vfio.protect", items)),
            Self::Ids(ids) => write!(
                f,
                "vfio{}pci.ids={}",
                if ids.len() % 2 == 0 { '-' } else { '_' },
                joined(ids, kernel_id)
            ),
            Self::Group(mode) => write!(f, "vfio.group={mode}"),
            Self::Force(true) => f.write_str("vfio.force"),
            Self::Force(false) => f.write_str("vfio.force=0"),
            Self::Off => f.write_str("vfio.bind=off"),
            Self::Unprotected(what) => write!(f, "vfio.unprotected=\"{what}\""),
            Self::Mistake(text, _) | Self::Other(text) => f.write_str(text),
        }
    }
}

fn text(words: &[Word], between: &str) -> String {
    words
        .iter()
        .map(Word::to_string)
        .collect::<Vec<_>>()
        .join(between)
}

impl Policy {
    /// The kernel command line.
    pub fn line(&self) -> String {
        text(&self.line, " ")
    }

    /// The files of the image, with what is in them.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let mut files = vec![(
            "etc/vfio-bind/policy.conf",
            text(&self.file, "  # as always\n"),
        )];
        if let Some(words) = &self.recorded {
            files.push(("etc/vfio-bind/protected.conf", text(words, "  # /: sda\n")));
        }
        if let Some(ids) = &self.modprobe {
            files.push((
                "etc/modprobe.d/vfio.conf",
                format!("options vfio-pci ids={}\n", joined(ids, kernel_id)),
            ));
        }
        if let Some(ids) = &self.modules {
            files.push((
                "conf/modules",
                format!("vfio_pci ids={}\n", joined(ids, kernel_id)),
            ));
        }
        files
    }

    /// All words, as they are read: what the image recorded stands apart.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.file.iter().chain(&self.line)
    }
}

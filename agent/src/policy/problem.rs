//! What is wrong with a policy, in words that tell its owner what to do.

use core::fmt;

use rustix::io::Errno;

use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::policy::kernel_ids::{self, Quirk};
use crate::policy::lookalike;
use crate::policy::modprobe_conf::Line;
use crate::policy::nearest::Nothing;
use crate::policy::selector::{MAX_SELECTORS, Source, Written};
use crate::policy::setting::MAX_SETTINGS;
use crate::text::errno::Answer;
use crate::text::misread::{Misread, split_once};
use crate::text::{Dec, Plain, Text};

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Some of what was written has no effect.
    Error,
    /// It has an effect, perhaps not the one that was meant.
    Warning,
}

/// Something in the policy that its owner should look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem<'a> {
    /// A selector that was not understood.
    Selector {
        /// Where it was written.
        source: Source,
        /// As written.
        text: &'a [u8],
        /// Where and why.
        misread: Misread<'a>,
    },
    /// More selectors than there is room for.
    TooManySelectors,
    /// More settings, or more words about virtual functions, than there is room for.
    TooManySettings,
    /// A parameter without a selector.
    NamesNothing(Source),
    /// A name that more than one device has; whether it excludes something.
    Ambiguous(&'a [u8], bool),
    /// What is to be left alone and matches nothing, with what comes nearest.
    ExcludesNothing(Source, &'a [u8], Option<(Address, DeviceId)>),
    /// What is to be left alone is not where it was said to be, and is known by its ID; what is there.
    Moved(Source, &'a [u8], Option<DeviceId>),
    /// What was recorded is not there, and nobody knows what it was.
    Lost(&'a [u8]),
    /// An item of `vfio_pci.ids=` that the kernel rejects as `invalid id string`.
    InvalidId(&'a [u8]),
    /// An item of `vfio_pci.ids=` with a surprising effect.
    OddId(&'a [u8], Quirk),
    /// A list of IDs that is too long for the kernel; its length.
    IdsTooLong(Place, usize),
    /// The parameter for one without a value.
    IdsWithoutValue(Place),
    /// An earlier and different one, which the last one replaces.
    IdsRepeated(Place),
    /// A part of a list, torn off by a space; whether it excludes something.
    TornOff(Source, &'a [u8], bool),
    /// A line of modprobe.d that modprobe ignores.
    IgnoredLine(&'a Line),
    /// An `install` line for vfio-pci in modprobe.d.
    InstallLine(&'a Line),
    /// More in modprobe.d than is read.
    ModprobeTooLong,
    /// A parameter behind a bare `--`.
    AfterDashes(&'a [u8]),
    /// A value that is none of the possible ones.
    BadValue {
        /// The parameter.
        name: &'a [u8],
        /// What was written; `None` without a `=`.
        value: Option<&'a [u8]>,
        /// What could have been written.
        expected: &'static str,
        /// What is done instead.
        instead: Instead,
    },
    /// What the machine boots from and the list of it does not cover, in the list's own words.
    Unprotected(&'a [u8]),
    /// A parameter that looks like ours and is none; whether it excludes something.
    UnknownName(&'a [u8], bool),
    /// A physical slot without power.
    SlotOff(&'a [u8]),
    /// A text that was not read to its end.
    TooLong(&'static str),
    /// A file that is there and cannot be read.
    Unreadable(&'static str, Errno),
}

impl Problem<'_> {
    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::OddId(_, Quirk::Address) => Severity::Error,
            Self::OddId(..)
            | Self::IdsRepeated(_)
            | Self::InstallLine(_)
            | Self::ModprobeTooLong
            | Self::AfterDashes(_)
            | Self::NamesNothing(_)
            | Self::Unprotected(_)
            | Self::Moved(Source::Recorded, ..)
            | Self::Lost(_)
            | Self::SlotOff(_) => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// Whether it may hide what must be left alone, so that binding anything could bind too much.
    #[must_use]
    pub fn forbids_binding(&self) -> bool {
        match self {
            Self::Selector { source, text, .. } => {
                source.protects() || *source == Source::Set || text.starts_with(b"!")
            }
            Self::Ambiguous(_, excludes)
            | Self::UnknownName(_, excludes)
            | Self::TornOff(_, _, excludes) => *excludes,
            Self::ExcludesNothing(..)
            | Self::TooManySelectors
            | Self::TooManySettings
            | Self::TooLong(_)
            | Self::Unreadable(..) => true,
            Self::BadValue { instead, .. } => *instead == Instead::BindsNothing,
            _ => false,
        }
    }
}

impl Problem<'_> {
    /// The word of the policy, the parameter or the file that it is about, as far as it is about one.
    pub fn word(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| match self {
            Self::Selector { text, .. }
            | Self::Ambiguous(text, _)
            | Self::ExcludesNothing(_, text, _)
            | Self::Moved(_, text, _)
            | Self::Lost(text)
            | Self::InvalidId(text)
            | Self::OddId(text, _)
            | Self::TornOff(_, text, _)
            | Self::AfterDashes(text)
            | Self::BadValue { name: text, .. }
            | Self::Unprotected(text)
            | Self::UnknownName(text, _)
            | Self::SlotOff(text) => write!(f, "{}", Text(text)),
            Self::NamesNothing(source) => write!(f, "{source}"),
            Self::IdsTooLong(place, _)
            | Self::IdsWithoutValue(place)
            | Self::IdsRepeated(place) => write!(f, "{place}"),
            Self::IgnoredLine(line) | Self::InstallLine(line) => write!(f, "{}", line.text),
            Self::TooLong(name) | Self::Unreadable(name, _) => f.write_str(name),
            Self::TooManySelectors | Self::TooManySettings | Self::ModprobeTooLong => Ok(()),
        })
    }

    /// What follows from a selector that cannot be used.
    fn excuse(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forbids_binding() {
            f.write_str("; what it excludes is unknown, so nothing is bound")?;
        }
        Ok(())
    }
}

/// Where vfio-pci may be given a list of IDs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Place {
    /// The kernel command line, or the policy file, which is written alike.
    #[default]
    Line,
    /// `options vfio-pci` in modprobe.d.
    Modprobe,
    /// The list of modules in an image of initramfs-tools.
    Modules,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "vfio_pci.ids",
            Self::Modprobe => "modprobe.d: ids of vfio-pci",
            Self::Modules => "conf/modules: ids of vfio_pci",
        })
    }
}

/// What is done in place of what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instead {
    /// Anything else could bind too much.
    BindsNothing,
    /// This value counts.
    Uses(&'static str),
}

/// What is at a place.
struct There(Option<DeviceId>);

impl fmt::Display for There {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "{id} is there now"),
            None => f.write_str("nothing is there now"),
        }
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BindsNothing => f.write_str("nothing is bound"),
            Self::Uses(value) => write!(f, "{} is used", Plain(value)),
        }
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selector {
                source,
                text,
                misread,
            } => {
                write!(f, "{source}: `{}`: {misread}", Text(text))?;
                match source {
                    Source::Set => f.write_str("; nothing is bound without it"),
                    Source::Sriov => f.write_str("; no virtual functions are made by it"),
                    _ => self.excuse(f),
                }
            }
            Self::Ambiguous(text, _) => {
                write!(
                    f,
                    "`{}` is the name of more than one device of this machine; use an address",
                    Text(text)
                )?;
                self.excuse(f)
            }
            Self::TooManySelectors => write!(
                f,
                "more than {} selectors; nothing is bound; use an ID or a whole slot in place of \
                 single functions",
                Dec(MAX_SELECTORS as u64)
            ),
            Self::TooManySettings => write!(
                f,
                "more than {} vfio.set= or vfio.sriov=; nothing is bound; write a whole slot or an ID \
                 in place of single functions",
                Dec(MAX_SETTINGS as u64)
            ),
            Self::NamesNothing(source) => write!(f, "{source} names no function"),
            Self::ExcludesNothing(source, text, near) => {
                write!(f, "{} {}", Written(*source, text), Nothing(*near))?;
                self.excuse(f)?;
                f.write_str("; give it its ID (@10de:1b80) where it may be missing")
            }
            Self::Moved(source, text, there) => {
                write!(f, "{}: {}; every ", Written(*source, text), There(*there))?;
                let id = split_once(text, b'@').map_or(&b"such function"[..], |(_, id)| id);
                write!(f, "{} of this machine is left alone", Text(id))?;
                if *source == Source::Recorded {
                    f.write_str("; build the image anew")?;
                }
                Ok(())
            }
            Self::Lost(text) => write!(
                f,
                "{}: {}, and what was is not known: what stores is taken only where it is named one \
                 by one; build the image anew",
                Written(Source::Recorded, text),
                There(None)
            ),
            Self::InvalidId(item) => write!(
                f,
                "vfio_pci.ids: `{}`: invalid id string, the kernel skips it; write vendor:device",
                Text(item)
            ),
            Self::OddId(item, quirk) => write!(f, "vfio_pci.ids: `{}`: {quirk}", Text(item)),
            Self::IdsTooLong(place, length) => write!(
                f,
                "{place}: {} bytes; the kernel rejects {} or more, and vfio-pci does not load with \
                 it; use vfio.bind=",
                Dec(*length as u64),
                Dec(kernel_ids::VALUE_LIMIT as u64)
            ),
            Self::IdsWithoutValue(place) => write!(
                f,
                "{place} has no value; the kernel does not load vfio-pci with it; remove it"
            ),
            Self::IdsRepeated(place) => write!(
                f,
                "{place} is given more than once; the kernel uses the last one"
            ),
            Self::TornOff(source, text, _) => {
                write!(
                    f,
                    "`{}` stands alone and is ignored; write {source}= as one list without spaces",
                    Text(text)
                )?;
                self.excuse(f)
            }
            Self::IgnoredLine(line) => write!(
                f,
                "{}: modprobe ignores such lines; write `options vfio-pci ids=` and the whole list in \
                 one line",
                line.text
            ),
            Self::InstallLine(line) => {
                let so = if line.forbids {
                    "this keeps vfio-pci from being loaded; remove it"
                } else {
                    "this is not run, for the agent loads vfio-pci by itself; name by vfio.bind= what \
                     it binds"
                };
                write!(f, "{}: {}", line.text, Plain(so))
            }
            Self::ModprobeTooLong => f.write_str(
                "modprobe.d or conf/modules has more than is read (files of 16 and 4 KiB, options of 4 \
                 KiB); vfio-pci gets an empty list of IDs",
            ),
            Self::AfterDashes(name) => write!(
                f,
                "{} stands behind `--`, where the kernel leaves all to init; it is ignored, put it \
                 in front",
                Text(name)
            ),
            Self::BadValue {
                name,
                value,
                expected,
                instead,
            } => {
                write!(f, "{}", Text(name))?;
                match value {
                    Some(value) => write!(f, "=`{}`", Text(value))?,
                    None => f.write_str(" has no value")?,
                }
                write!(f, ": expected {}; {instead}", Plain(expected))
            }
            Self::Unprotected(what) => write!(
                f,
                "what the machine boots from is not all known: {}; name its function with \
                 vfio.protect=",
                Text(what)
            ),
            Self::UnknownName(name, _) => {
                write!(
                    f,
                    "{} is no parameter of vfio-bind and is ignored; ",
                    Text(name)
                )?;
                match lookalike::meant(name) {
                    Some(meant) => write!(f, "write {}=", Plain(meant))?,
                    None => f.write_str("see vfio-bind-agent(8) for the list")?,
                }
                self.excuse(f)
            }
            Self::SlotOff(name) => write!(
                f,
                "slot {0} is off, so nothing is in it; echo 1 > /sys/bus/pci/slots/{0}/power, and \
                 run `vfio-bind bind`",
                Text(name)
            ),
            Self::TooLong(name) => write!(
                f,
                "{} is longer than {} bytes; nothing is bound",
                Plain(name),
                Dec(crate::text::cmdline::MAX_LEN as u64)
            ),
            Self::Unreadable(name, errno) => {
                let (name, answer) = (Plain(name), Answer(*errno));
                write!(f, "{name}: {answer}; nothing is bound")
            }
        }
    }
}

//! The options of the commands.

use core::ffi::CStr;
use core::time::Duration;

use crate::work::USUAL_TIME;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::text::digits::decimal;
use vfio_bind_agent::text::one_of;

/// What a command was given.
pub struct Options<'a> {
    pub with: Option<&'a CStr>,
    pub within: Duration,
    pub line: Option<&'a [u8]>,
    pub root: &'a CStr,
    /// The function that has come, and which is all that a run is about.
    pub only: Option<Address>,
    pub json: bool,
}

#[derive(Clone, Copy)]
pub enum Given {
    With,
    Within,
    Line,
    Root,
    Only,
    Json,
}

/// The options of `apply`.
pub const APPLY: &[(&str, Given)] = &[
    ("--with", Given::With),
    ("--within", Given::Within),
    ("--only", Given::Only),
];

/// The options of `plan`.
pub const PLAN: &[(&str, Given)] = &[
    ("--cmdline", Given::Line),
    ("--root", Given::Root),
    ("--json", Given::Json),
];

pub enum Misuse<'a> {
    NotFirst,
    Unknown(&'a [u8]),
    NoValue(&'a [u8]),
    NoSeconds,
    NoAddress,
}

impl<'a> Options<'a> {
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn read(
        arguments: &mut dyn Iterator<Item = &'a CStr>,
        known: &[(&str, Given)],
    ) -> Result<Self, Misuse<'a>> {
        let mut options = Self {
            with: None,
            within: USUAL_TIME,
            line: None,
            root: c"/",
            only: None,
            json: false,
        };
        while let Some(argument) = arguments.next() {
            let name = argument.to_bytes();
            let given = one_of(name, known).ok_or(Misuse::Unknown(name))?;
            let mut value = || arguments.next().ok_or(Misuse::NoValue(name));
            match given {
                Given::With => options.with = Some(value()?),
                Given::Within => {
                    let seconds = arguments.next().and_then(seconds);
                    options.within = seconds.ok_or(Misuse::NoSeconds)?;
                }
                Given::Line => options.line = Some(value()?.to_bytes()),
                Given::Root => options.root = value()?,
                Given::Only => options.only = Some(address(arguments.next())?),
                Given::Json => options.json = true,
            }
        }
        Ok(options)
    }
}

/// The address of a function, as sysfs spells it.
pub fn address<'a>(argument: Option<&CStr>) -> Result<Address, Misuse<'a>> {
    let address = argument.and_then(|text| Address::parse(text.to_bytes()));
    address.ok_or(Misuse::NoAddress)
}

/// A number of seconds from 1 to 9999.
fn seconds(text: &CStr) -> Option<Duration> {
    let text = text.to_bytes();
    let seconds = decimal(text).filter(|seconds| *seconds > 0 && text.len() <= 4)?;
    Some(Duration::from_secs(seconds.into()))
}

//! `vfio.set=`: a function is made ready while no driver has it, read back, and given back as it was.

use core::fmt;

use heapless::Vec;
use rustix::io::Errno;

use crate::bind::controls::DRIVER_LIMIT;
use crate::machine::inventory::Function;
use crate::machine::sysfs::{Path, attribute, path};
use crate::machine::{Controls, Root};
use crate::pci::address::Address;
use crate::policy::Policy;
use crate::policy::setting::{Setting, Size};
use crate::text::digits::{decimal, hex};
use crate::text::errno::Answer;
use crate::text::misread::split;
use crate::text::{Bounded, Dec, Plain, Text, clip};

/// The most attributes that a run sets: what would have to be undone must be known.
pub const MAX_PREPARED: usize = 128;

/// The value of an attribute. The longest is a list of reset methods.
pub type Value = Bounded<64>;

/// An attribute of a function that was set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// The function.
    pub address: Address,
    /// Which attribute.
    pub attribute: Attribute,
    /// What it was.
    pub before: Value,
    /// What it was set to.
    pub now: Value,
}

/// What was set in a run, in this order.
pub type AllPrepared = Vec<Prepared, MAX_PREPARED>;

/// What can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// `reset_method` (`reset_method_store` in drivers/pci/pci.c).
    ResetMethod,
    /// `d3cold_allowed`.
    D3cold,
    /// `resourceN_resize` (`__resource_resize_store` in drivers/pci/pci-sysfs.c); its value is an exponent,
    /// for MiB.
    Rebar(u8),
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResetMethod => f.write_str("reset_method"),
            Self::D3cold => f.write_str("d3cold_allowed"),
            Self::Rebar(bar) => write!(f, "rebar.{}", Dec(u64::from(*bar))),
        }
    }
}

impl Attribute {
    /// Its file in sysfs.
    #[must_use]
    pub fn file(self, address: Address) -> Path {
        match self {
            Self::ResetMethod => attribute(address, "reset_method"),
            Self::D3cold => attribute(address, "d3cold_allowed"),
            Self::Rebar(bar) => {
                let (name, bar) = (attribute(address, "resource"), Dec(u64::from(bar)));
                path(format_args!("{name}{bar}_resize"))
            }
        }
    }

    /// What it is now.
    fn read(self, host: &impl Controls, address: Address) -> Result<Value, Errno> {
        if let Self::Rebar(bar) = self {
            let exponent = bar_size(host, address, bar)?;
            return Ok(clip(format_args!("{}", Dec(u64::from(exponent)))));
        }
        let mut buffer = [0; 256];
        let text = host.read_within(&self.file(address), &mut buffer, DRIVER_LIMIT)?;
        Ok(clip(format_args!("{}", Text(text.trim_ascii_end()))))
    }

    fn write(self, host: &impl Controls, address: Address, value: &Value) -> Result<(), Errno> {
        host.write_within(&self.file(address), value.as_bytes(), DRIVER_LIMIT)
    }

    /// A value of it, as people write it.
    pub fn show(self, value: &str) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| match self {
            Self::Rebar(_) => {
                let exponent = decimal(value.as_bytes()).unwrap_or_default();
                write!(f, "{}", Size(u8::try_from(exponent).unwrap_or(u8::MAX)))
            }
            _ => f.write_str(value),
        })
    }
}

/// The attribute of a setting, and the value that the kernel wants for it.
#[must_use]
pub fn wanted(setting: Setting<'_>) -> (Attribute, Value) {
    match setting {
        Setting::ResetMethod(methods) => {
            let value = fmt::from_fn(|f| {
                for (at, method) in split(methods, b'+').enumerate() {
                    let space = Plain(if at == 0 { "" } else { " " });
                    write!(f, "{space}{}", Text(method))?;
                }
                Ok(())
            });
            (Attribute::ResetMethod, clip(format_args!("{value}")))
        }
        Setting::D3cold(allowed) => (
            Attribute::D3cold,
            clip(format_args!("{}", Dec(u64::from(allowed)))),
        ),
        Setting::Rebar(bar, exponent) => (
            Attribute::Rebar(bar),
            clip(format_args!("{}", Dec(u64::from(exponent)))),
        ),
    }
}

/// Sets all that the policy asks for a function that has no driver, or the one it is to have; whether all
/// of it is so then. What is not has been told.
pub fn prepare(
    host: &impl Controls,
    policy: &Policy<'_>,
    function: &Function,
    done: &mut AllPrepared,
) -> bool {
    let mut all = true;
    for setting in policy.settings_of(function) {
        all &= set(host, function.address, setting, done);
    }
    all
}

#[inline(never)] // Inlined, it makes the executable larger.
fn set(
    host: &impl Controls,
    address: Address,
    setting: Setting<'_>,
    done: &mut AllPrepared,
) -> bool {
    let (attribute, now) = wanted(setting);
    let tell = |why: fmt::Arguments<'_>| {
        error!(address; "{address}: {setting}: {why}");
        false
    };
    let before = match attribute.read(host, address) {
        Ok(before) if before == now => return true,
        Ok(before) => before,
        Err(Errno::NOENT) => {
            let since = Plain(match attribute {
                Attribute::ResetMethod => "it can be reset by nothing, or Linux is before 5.15",
                Attribute::D3cold => "this kernel cannot take its power",
                Attribute::Rebar(_) => "it has no such BAR",
            });
            return tell(format_args!("there is no {attribute}: {since}"));
        }
        Err(errno) => return tell(format_args!("read: {}", Answer(errno))),
    };
    if let Setting::Rebar(bar, exponent) = setting {
        match offered(host, address, bar) {
            Ok(sizes) if sizes.has(exponent) => {}
            Ok(sizes) => return tell(format_args!("its sizes are {sizes}")),
            Err(errno) => {
                let answer = Answer(errno);
                return tell(format_args!(
                    "{answer}; its size cannot be changed, or Linux is before 5.19"
                ));
            }
        }
    }
    let undo = Prepared {
        address,
        attribute,
        before: before.clone(),
        now: now.clone(),
    };
    if done.push(undo).is_err() {
        let most = Dec(MAX_PREPARED as u64);
        return tell(format_args!("more than {most} attributes are set"));
    }
    if let Err(errno) = attribute.write(host, address, &now) {
        let (answer, offer) = (Answer(errno), attribute.show(&before));
        return match errno {
            Errno::INVAL => tell(format_args!("{answer}; the kernel offers `{offer}`")),
            Errno::NOSPC => tell(format_args!(
                "{answer}; what is above it has no room for that; look for a word like `Above 4G \
                 decoding` in the firmware setup"
            )),
            Errno::BUSY => tell(format_args!("{answer}; a driver has it already")),
            _ => tell(format_args!("{answer}")),
        };
    }
    match attribute.read(host, address) {
        Ok(is) if is == now => {
            let (was, is) = (attribute.show(&before), attribute.show(&now));
            info!(address; "{address}: {attribute} is {is}, was {was}");
            true
        }
        Ok(is) => tell(format_args!("written, and {} is read", attribute.show(&is))),
        Err(errno) => tell(format_args!("read: {}", Answer(errno))),
    }
}

/// Makes a function that goes back to its native driver what it was before; nothing has it now. Whether it is
/// that; what is not has been told.
pub fn undo(host: &impl Controls, address: Address, done: &mut AllPrepared) -> bool {
    let mut all = true;
    while let Some(at) = done.iter().rposition(|one| one.address == address) {
        let one = done.remove(at);
        let answer = attribute_as(host, address, &one);
        if let Err(errno) = answer {
            let (attribute, answer) = (one.attribute, Answer(errno));
            let before = attribute.show(&one.before);
            error!(address; "{address}: {attribute} was {before} and is not again: {answer}");
            all = false;
        }
    }
    all
}

/// Writes what an attribute was; nothing where it is that.
fn attribute_as(host: &impl Controls, address: Address, one: &Prepared) -> Result<(), Errno> {
    if one.attribute.read(host, address)? == one.before {
        return Ok(());
    }
    one.attribute.write(host, address, &one.before)
}

/// The exponent of the size of a BAR, for MiB; `ENOENT` where there is none, `EINVAL` where it has less than
/// that.
fn bar_size(root: &dyn Root, address: Address, bar: u8) -> Result<u8, Errno> {
    // A line of 57 letters for each BAR, the expansion ROM, and what a bridge or a PF has besides.
    let mut buffer = [0; 1024];
    let text = root.read(&attribute(address, "resource"), &mut buffer)?;
    let mut words = split(split(text, b'\n').nth(bar.into()).unwrap_or_default(), b' ');
    let mut number = || {
        words
            .next()
            .and_then(|word| long_hex(word.strip_prefix(b"0x")?))
    };
    let (start, end) = number().zip(number()).ok_or(Errno::INVAL)?;
    let size = end.saturating_sub(start).saturating_add(1);
    if end == 0 {
        return Err(Errno::NOENT);
    }
    let exponent = size.trailing_zeros().checked_sub(20);
    exponent
        .and_then(|exponent| u8::try_from(exponent).ok())
        .ok_or(Errno::INVAL)
}

/// The sizes that a BAR may have: bit 0 is 1 MiB, bit 1 is 2 MiB.
///
/// # Errors
/// What the system answered; `EINVAL` where that is no number.
pub fn offered(root: &dyn Root, address: Address, bar: u8) -> Result<Sizes, Errno> {
    let mut buffer = [0; 32];
    let file = Attribute::Rebar(bar).file(address);
    let text = root.read(&file, &mut buffer)?;
    long_hex(text.trim_ascii_end())
        .map(Sizes)
        .ok_or(Errno::INVAL)
}

/// Sixteen hexadecimal digits.
fn long_hex(text: &[u8]) -> Option<u64> {
    let (high, low) = text.split_at_checked(8)?;
    let (high, low) = (hex(high, 8, 8)?, hex(low, 8, 8)?);
    Some(u64::from(high) << 32 | u64::from(low))
}

/// Sizes of a BAR, as [`offered`] gives them.
#[derive(Clone, Copy)]
pub struct Sizes(pub u64);

impl Sizes {
    /// Whether a size is one of them, by its exponent.
    #[must_use]
    pub fn has(self, exponent: u8) -> bool {
        let shifted = self.0.checked_shr(exponent.into());
        shifted.is_some_and(|sizes| sizes & 1 == 1)
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for exponent in (0..40).filter(|exponent| self.has(*exponent)) {
            write!(f, "{}{}", Plain(comma), Size(exponent))?;
            comma = ", ";
        }
        Ok(())
    }
}

//! `vfio.set=TARGET:NAME=VALUE[,NAME=VALUE...]`: what a function is to be before it is lent.
//!
//! The names are those of the attributes in sysfs (Documentation/ABI/testing/sysfs-bus-pci), `rebar.N` but
//! for `resourceN_resize`. Only these: a file that anything may be written to is no policy.

use core::fmt;

use crate::policy::grammar;
use crate::policy::selector::{Selector, Source};
use crate::text::digits::decimal;
use crate::text::misread::{Fault, Misread, field, split, split_last, split_once};
use crate::text::{Dec, Plain, Text, one_of};

/// The most such words of a policy.
pub const MAX_SETTINGS: usize = 32;

/// The settings that one word asks for.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The functions that are meant.
    pub selector: Selector<'a>,
    /// Well-formed: `reset_method=bus,d3cold_allowed=0`.
    values: &'a [u8],
}

/// How many attributes there are to set: [`Setting::is_like`] tells them apart.
pub const KINDS: usize = 8;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting<'a> {
    /// `reset_method`, since Linux 5.15: which resets are tried, in this order; `bus` or `flr+bus`.
    ResetMethod(&'a [u8]),
    /// `d3cold_allowed`: whether the function may lose its power when it sleeps.
    D3cold(bool),
    /// `resourceN_resize`, since Linux 5.19: the size of a BAR as a power of two, in MiB.
    Rebar(u8, u8),
}

impl Setting<'_> {
    /// Whether another one is about the same attribute.
    #[must_use]
    pub fn is_like(&self, other: &Setting<'_>) -> bool {
        match (self, other) {
            (Self::ResetMethod(_), Setting::ResetMethod(_))
            | (Self::D3cold(_), Setting::D3cold(_)) => true,
            (Self::Rebar(bar, _), Setting::Rebar(other, _)) => bar == other,
            _ => false,
        }
    }
}

impl fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResetMethod(methods) => write!(f, "reset_method={}", Text(methods)),
            Self::D3cold(allowed) => write!(f, "d3cold_allowed={}", Dec(u64::from(*allowed))),
            Self::Rebar(bar, exponent) => {
                write!(f, "rebar.{}={}", Dec(u64::from(*bar)), Size(*exponent))
            }
        }
    }
}

/// A size of a BAR: a power of two, in MiB.
#[derive(Clone, Copy)]
pub struct Size(pub u8);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tens, rest) = (self.0.div_euclid(10), self.0.rem_euclid(10));
        let unit = match tens {
            0 => "M",
            1 => "G",
            2 => "T",
            _ => "P",
        };
        write!(f, "{}{}", Dec(1 << u64::from(rest)), Plain(unit))
    }
}

impl<'a> Settings<'a> {
    /// Reads the value of `vfio.set=`.
    ///
    /// # Errors
    /// Where reading stopped, and what should have stood there.
    pub fn parse(text: &'a [u8]) -> Result<Self, Misread<'a>> {
        const FORM: &str = "TARGET:NAME=VALUE, as 42:00.0:reset_method=bus";
        // A target has colons of its own: the last one before the first `=` ends it.
        let split = text.iter().position(|byte| *byte == b'=').and_then(|end| {
            let (target, name) = split_last(text.get(..end)?, b':')?;
            let begin = end.checked_sub(name.len())?;
            Some((target, text.get(begin..)?))
        });
        let (target, values) = field(text, FORM, split)?;
        let selector = grammar::parse(target)?;
        if selector.excludes {
            return Err(Misread {
                at: target,
                fault: Fault::Expected("functions that are bound"),
            });
        }
        for value in split_values(values) {
            parse_one(value)?;
        }
        Ok(Self {
            selector: Selector {
                text,
                source: Source::Set,
                ..selector
            },
            values,
        })
    }

    /// What is asked for, in the order written.
    pub fn each(&self) -> impl Iterator<Item = Setting<'a>> + use<'a> {
        split_values(self.values).filter_map(|value| parse_one(value).ok())
    }
}

fn split_values(values: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(values, b',')
}

fn parse_one(text: &[u8]) -> Result<Setting<'_>, Misread<'_>> {
    #[derive(Clone, Copy)]
    enum Name {
        ResetMethod,
        D3cold,
    }
    const NAMES: &str = "reset_method=, d3cold_allowed= or rebar.N= (N from 0 to 5)";
    let (name, value) = field(text, NAMES, split_once(text, b'='))?;
    if let [b'r', b'e', b'b', b'a', b'r', b'.', bar @ b'0'..=b'5'] = name {
        let exponent = field(
            value,
            "a size that is a power of two, from 1M to 512P",
            size(value),
        )?;
        return Ok(Setting::Rebar(bar & 7, exponent));
    }
    const KNOWN: &[(&str, Name)] = &[
        ("reset_method", Name::ResetMethod),
        ("d3cold_allowed", Name::D3cold),
    ];
    match field(text, NAMES, one_of(name, KNOWN))? {
        Name::ResetMethod => {
            // An empty list would leave the function without any reset, and the kernel takes it.
            let is_method = |method: &[u8]| {
                let letter = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
                !method.is_empty() && method.iter().all(letter)
            };
            let good = value.len() <= METHODS_LEN && split(value, b'+').all(is_method);
            let what = "names of reset methods with `+` between them, as flr+bus";
            field(value, what, good.then_some(Setting::ResetMethod(value)))
        }
        Name::D3cold => match value {
            b"0" => Ok(Setting::D3cold(false)),
            b"1" => Ok(Setting::D3cold(true)),
            _ => field(value, "0 or 1", None),
        },
    }
}

/// The longest list of reset methods; all that Linux 6.12 knows have 41 letters.
const METHODS_LEN: usize = 64;

/// `256M`, `16G`: the exponent of a power of two, in MiB.
fn size(text: &[u8]) -> Option<u8> {
    let (unit, digits) = text.split_last()?;
    let tens = match unit {
        b'M' => 0u8,
        b'G' => 10,
        b'T' => 20,
        b'P' => 30,
        _ => return None,
    };
    let number = decimal(digits)?;
    let exponent = u8::try_from(number.trailing_zeros()).ok()?;
    (number.is_power_of_two() && exponent < 10).then(|| tens.saturating_add(exponent))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn shown(text: &str) -> Result<(String, Vec<String>), String> {
        let settings = Settings::parse(text.as_bytes()).map_err(|misread| misread.to_string())?;
        let values = settings.each().map(|setting| setting.to_string());
        Ok((settings.selector.to_string(), values.collect()))
    }

    #[test]
    fn every_target_and_every_name() {
        for (text, values) in [
            ("42:00.0:reset_method=bus", &["reset_method=bus"][..]),
            ("0000:42:00:reset_method=flr+bus", &["reset_method=flr+bus"]),
            (
                "10de:2204:d3cold_allowed=0,rebar.1=16G",
                &["d3cold_allowed=0", "rebar.1=16G"],
            ),
            ("0000:00:1c.0/00.0:rebar.0=256M", &["rebar.0=256M"]),
            ("class:03:d3cold_allowed=1", &["d3cold_allowed=1"]),
            ("slot:4@10de:2204:rebar.5=1T", &["rebar.5=1T"]),
        ] {
            let expected = values.iter().map(|value| (*value).to_string()).collect();
            assert_eq!(shown(text), Ok((format(text), expected)), "{text}");
        }
    }

    fn format(text: &str) -> String {
        std::format!("vfio.set={text}")
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, told) in [
            (
                "",
                "expected TARGET:NAME=VALUE, as 42:00.0:reset_method=bus at the end",
            ),
            (
                "42:00.0",
                "expected TARGET:NAME=VALUE, as 42:00.0:reset_method=bus at `42:00.0`",
            ),
            (
                "=",
                "expected TARGET:NAME=VALUE, as 42:00.0:reset_method=bus at `=`",
            ),
            (
                "42:00.0:=",
                "expected reset_method=, d3cold_allowed= or rebar.N= (N from 0 to 5) at `=`",
            ),
            (
                "42:00.0:numa_node=1",
                "expected reset_method=, d3cold_allowed= or rebar.N= (N from 0 to 5) at `numa_node=1`",
            ),
            (
                "42:00.0:reset_method=bus,",
                "expected reset_method=, d3cold_allowed= or rebar.N= (N from 0 to 5) at the end",
            ),
            (
                "42:00.0:reset_method=",
                "expected names of reset methods with `+` between them, as flr+bus at the end",
            ),
            (
                "42:00.0:reset_method=flr+",
                "expected names of reset methods with `+` between them, as flr+bus at `flr+`",
            ),
            ("42:00.0:d3cold_allowed=2", "expected 0 or 1 at `2`"),
            (
                "42:00.0:rebar.6=1G",
                "expected reset_method=, d3cold_allowed= or rebar.N= (N from 0 to 5) at `rebar.6=1G`",
            ),
            (
                "42:00.0:rebar.1=3G",
                "expected a size that is a power of two, from 1M to 512P at `3G`",
            ),
            (
                "42:00.0:rebar.1=1024M",
                "expected a size that is a power of two, from 1M to 512P at `1024M`",
            ),
            (
                "!42:00.0:d3cold_allowed=0",
                "expected functions that are bound at `!42:00.0`",
            ),
            (
                "4z:00.0:d3cold_allowed=0",
                "expected a bus of two digits at `4z`",
            ),
        ] {
            assert_eq!(shown(text), Err(told.to_string()), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for (exponent, shown) in [
            (0, "1M"),
            (9, "512M"),
            (10, "1G"),
            (15, "32G"),
            (39, "512P"),
        ] {
            assert_eq!(Size(exponent).to_string(), shown);
            assert_eq!(size(shown.as_bytes()), Some(exponent));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_named(text: Vec<u8>) {
            let _ = Settings::parse(&text);
        }

        #[test]
        fn what_is_shown_is_read_again(exponent in 0u8..40, bar in 0u8..6, allowed: bool) {
            for setting in [Setting::Rebar(bar, exponent), Setting::D3cold(allowed)] {
                let text = setting.to_string();
                prop_assert_eq!(parse_one(text.as_bytes()), Ok(setting));
            }
        }
    }
}

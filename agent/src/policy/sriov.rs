//! `vfio.sriov=TARGET:N`: how many virtual functions are made of what.

use crate::policy::grammar;
use crate::policy::selector::{Selector, Source};
use crate::text::digits::decimal;
use crate::text::misread::{Fault, Misread, field, split_last};

/// The most such words of a policy.
pub const MAX_MAKINGS: usize = 32;

/// What one word asks for.
#[derive(Clone, Debug)]
pub struct Making<'a> {
    /// The physical functions that are meant.
    pub selector: Selector<'a>,
    /// How many virtual functions of each.
    pub count: u16,
}

impl<'a> Making<'a> {
    /// Reads the value of `vfio.sriov=`.
    ///
    /// # Errors
    /// Where reading stopped, and what should have stood there.
    pub fn parse(text: &'a [u8]) -> Result<Self, Misread<'a>> {
        const FORM: &str = "TARGET:NUMBER, as 03:00.0:7";
        // A target has colons of its own.
        let (target, number) = field(text, FORM, split_last(text, b':'))?;
        let count = decimal(number).and_then(|count| u16::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        let count = field(number, "a number of virtual functions, 1 to 65535", count)?;
        let selector = grammar::parse(target)?;
        if selector.excludes || selector.virtual_functions.is_some() {
            return Err(Misread {
                at: target,
                fault: Fault::Expected("what virtual functions are made of"),
            });
        }
        Ok(Self {
            selector: Selector {
                text,
                source: Source::Sriov,
                ..selector
            },
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_is_made_of_what() {
        for (text, target, count) in [
            ("03:00.0:7", "0000:03:00.0", 7),
            ("0000:03:00.0@8086:10c9:65535", "0000:03:00.0", 65535),
            ("8086:10c9:1", "8086:10c9", 1),
            ("slot:4:2", "slot:4", 2),
            ("0000:00:1c.0/00.0:16", "0000:00:1c.0/00.0", 16),
        ] {
            let making = Making::parse(text.as_bytes()).unwrap();
            assert_eq!(
                (making.selector.target.to_string().as_str(), making.count),
                (target, count)
            );
            assert_eq!(
                making.selector.to_string(),
                std::format!("vfio.sriov={text}")
            );
        }
        let number = "a number of virtual functions, 1 to 65535";
        let maker = "what virtual functions are made of";
        for (text, told) in [
            ("", "expected TARGET:NUMBER, as 03:00.0:7 at the end".into()),
            ("7", "expected TARGET:NUMBER, as 03:00.0:7 at `7`".into()),
            ("03:00.0", std::format!("expected {number} at `00.0`")),
            ("03:00.0:", std::format!("expected {number} at the end")),
            ("03:00.0:0", std::format!("expected {number} at `0`")),
            (
                "03:00.0:65536",
                std::format!("expected {number} at `65536`"),
            ),
            ("03:00.0:-1", std::format!("expected {number} at `-1`")),
            ("!03:00.0:7", std::format!("expected {maker} at `!03:00.0`")),
            (
                "vf:03:00.0:7",
                std::format!("expected {maker} at `vf:03:00.0`"),
            ),
        ] {
            let misread = Making::parse(text.as_bytes()).unwrap_err();
            assert_eq!(misread.to_string(), told, "{text}");
        }
    }
}

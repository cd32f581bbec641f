//! Numbers that are written in digits, and in nothing else.

/// A hexadecimal number of `min` to `max` digits, at most eight.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn hex(text: &[u8], min: usize, max: usize) -> Option<u32> {
    if text.len() < min || text.len() > max {
        return None;
    }
    text.iter().try_fold(0, |value, digit| {
        Some((value << 4) | char::from(*digit).to_digit(16)?)
    })
}

/// Exactly two hexadecimal digits.
pub(crate) fn hex_byte(text: &[u8]) -> Option<u8> {
    // Two digits always fit.
    hex(text, 2, 2).map(|byte| byte.to_le_bytes()[0])
}

/// A decimal number.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::{format, str};

    #[test]
    fn a_number_is_digits_alone_and_as_many_as_are_wanted() {
        for (text, expected) in [
            ("", None),
            ("0", None),
            ("00", Some(0)),
            ("fF", Some(0xff)),
            ("123", Some(0x123)),
            ("1234", None),
            ("+1", None),
            ("1 ", None),
            ("0x1", None),
            ("1g", None),
        ] {
            assert_eq!(hex(text.as_bytes(), 2, 3), expected, "{text}");
        }
        for (text, expected) in [
            ("", None),
            ("0", Some(0)),
            ("007", Some(7)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("42949672950", None),
            ("+1", None),
            ("1 ", None),
            ("a", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u32, text: std::vec::Vec<u8>) {
            prop_assert_eq!(hex(format!("{number:08x}").as_bytes(), 8, 8), Some(number));
            prop_assert_eq!(decimal(number.to_string().as_bytes()), Some(number));
            let number = str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            prop_assert!(text.starts_with(b"+") || decimal(&text) == number);
        }
    }
}

//! Messages for people: how one is sent, and the form it has in the kernel log.

use core::fmt;

use log::{Level, Record};

use crate::text::{Bounded, Plain, clip};

/// The longest name of what a message is about, in bytes; a longer one ends in `…`.
pub const ABOUT_LEN: usize = 128;

/// Sends a message to the logger, with what it is about as its target. `log`'s own macros put five more
/// words of data and a level check at each call: 4 KiB of the executable.
#[inline(never)]
pub fn send(level: Level, about: &dyn fmt::Display, text: fmt::Arguments<'_>) {
    if level <= log::max_level() {
        let about: Bounded<ABOUT_LEN> = clip(format_args!("{about}"));
        let message = Record::builder()
            .level(level)
            .target(&about)
            .args(text)
            .build();
        log::logger().log(&message);
    }
}

/// Sends a message of a level: `say!(Level::Info, ABOUT; "text {}", value)`. `ABOUT` is the function, the
/// group, the file or the word of the policy that it is about; without it, it is about the run.
#[macro_export]
macro_rules! say {
    ($level:expr, $about:expr; $($text:tt)*) => {
        $crate::text::message::send($level, &$about, format_args!($($text)*))
    };
    ($level:expr, $($text:tt)*) => {
        $crate::text::message::send($level, &$crate::text::Plain(""), format_args!($($text)*))
    };
}

/// Something that was asked for is not done.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::say!(log::Level::Error, $($text)*) };
}

/// Something may not be as it was meant.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => { $crate::say!(log::Level::Warn, $($text)*) };
}

/// Something was done.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::say!(log::Level::Info, $($text)*) };
}

/// The longest line, in bytes: /dev/kmsg takes a little under 1000 (`PRINTKRB_RECORD_MAX` in
/// kernel/printk/printk.c) and older kernels cut the rest without a word.
pub const LINE_LEN: usize = 900;

/// What every message begins with.
pub const PREFIX: &str = "vfio-bind: ";

/// A line with its line end.
pub type Line = Bounded<{ LINE_LEN + 1 }>;

/// A message as one line of the kernel log: the level in angle brackets (printk's, of
/// include/linux/kern_levels.h), the program, the text.
#[must_use]
pub fn line(record: &Record<'_>) -> Line {
    let level = Plain(match record.level() {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info | Level::Debug | Level::Trace => "6",
    });
    let text: Bounded<LINE_LEN> = clip(format_args!("<{level}>vfio-bind: {}", record.args()));
    // Without a line end the kernel waits for more, and shows the text only when the next message
    // comes (LOG_CONT).
    clip(format_args!("{text}\n"))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn a_line_has_its_level_and_its_limit() {
        let long = "x".repeat(2 * LINE_LEN);
        for (level, args, expected) in [
            (Level::Error, format_args!("a"), "<3>vfio-bind: a\n"),
            (Level::Warn, format_args!("b"), "<4>vfio-bind: b\n"),
            (Level::Info, format_args!("c"), "<6>vfio-bind: c\n"),
        ] {
            assert_eq!(
                line(&Record::builder().level(level).args(args).build()),
                expected
            );
        }
        let clipped = format!(
            "{}",
            line(&Record::builder().args(format_args!("{long}")).build())
        );
        assert!(clipped.len() == LINE_LEN + 1 && clipped.ends_with("x…\n"));
    }
}

//! JSON without an allocator and without a limit to its size.
//!
//! serde-json-core was here before: it encodes into a buffer of fixed size, so that long texts had
//! to be cut, and is 2 KiB larger than these few rules of RFC 8259.

use core::fmt::{self, Write};

use crate::text::output::Output;
use crate::text::{Dec, Hex, Plain};

/// A JSON document on its way out. What goes wrong with the output, the output remembers.
pub struct Json<'w, 'f> {
    output: &'w mut Output<'f>,
    first: bool,
}

impl<'w, 'f> Json<'w, 'f> {
    /// An empty document.
    pub fn new(output: &'w mut Output<'f>) -> Self {
        Self {
            output,
            first: true,
        }
    }

    /// Ends the document with a line end.
    pub fn finish(self) {
        self.output.bytes(b"\n");
    }

    /// Opens an object or a list.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn open(&mut self, bracket: u8) {
        self.first = true;
        self.output.bytes(&[bracket]);
    }

    /// Closes it.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn close(&mut self, bracket: u8) {
        self.first = false;
        self.output.bytes(&[bracket]);
    }

    /// Sets the comma in front of an element that is written in several calls.
    pub fn next(&mut self) {
        if !core::mem::take(&mut self.first) {
            self.output.bytes(b",");
        }
    }

    /// Writes the key of a field that is written in several calls.
    pub fn key(&mut self, key: &'static str) {
        self.element(&Plain(key));
        self.output.bytes(b":");
    }

    /// Writes a field whose value is a text.
    pub fn text(&mut self, key: &'static str, thing: &dyn fmt::Display) {
        self.key(key);
        self.quoted(thing);
    }

    /// Writes a field whose value is a text or nothing.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn optional(&mut self, key: &'static str, thing: Option<&dyn fmt::Display>) {
        match thing {
            Some(thing) => self.text(key, thing),
            None => self.bare(key, &Plain("null")),
        }
    }

    /// Writes a field whose value is a number.
    pub fn number(&mut self, key: &'static str, number: u64) {
        self.bare(key, &Dec(number));
    }

    /// Writes a field that counts something.
    pub fn count(&mut self, key: &'static str, count: usize) {
        self.number(key, count as u64);
    }

    /// Writes a field whose value is true or false.
    pub fn truth(&mut self, key: &'static str, truth: bool) {
        self.bare(key, &Plain(if truth { "true" } else { "false" }));
    }

    /// Writes a field whose value is a word of JSON or a number.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn bare(&mut self, key: &'static str, word: &dyn fmt::Display) {
        self.key(key);
        // An output that takes no more remembers why.
        let _ = write!(self.output, "{word}");
    }

    /// Writes an element of a list, a text.
    pub fn element(&mut self, thing: &dyn fmt::Display) {
        self.next();
        self.quoted(thing);
    }

    #[inline(never)] // Inlined, it makes the executable larger.
    fn quoted(&mut self, thing: &dyn fmt::Display) {
        self.output.bytes(b"\"");
        let _ = write!(Escaped(self.output), "{thing}");
        self.output.bytes(b"\"");
    }
}

/// The inside of a JSON string (RFC 8259, section 7).
struct Escaped<'w, 'f>(&'w mut Output<'f>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.0.bytes(&[b'\\', byte]),
                0..0x20 => write!(self.0, "\\u{}", Hex(byte.into(), 4))?,
                _ => self.0.bytes(&[byte]),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use rustix::fd::AsFd;
    use std::io::{Read, Seek};
    use std::string::String;

    fn encoded(write: &dyn Fn(&mut Json<'_, '_>)) -> String {
        let mut file = tempfile::tempfile().unwrap();
        let mut output = Output::new(file.as_fd());
        write(&mut Json::new(&mut output));
        output.finish().unwrap();
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text: String) {
            let json: serde_json::Value = serde_json::from_str(&encoded(&|json| json.element(&text))).unwrap();
            prop_assert_eq!(json, serde_json::Value::String(text));
        }

        #[test]
        fn numbers_read_back(number: u64) {
            let text = encoded(&|json| json.number("a", number));
            prop_assert_eq!(text.strip_prefix("\"a\":").unwrap().parse(), Ok(number));
        }
    }
}

//! JSON without an allocator and without a limit to its size: brackets and commas are set here, and
//! serde-json-core encodes what stands between them, one value at a time.

use core::fmt;

use heapless::String;
use serde::{Serialize, Serializer};

use crate::text::clip;
use crate::tree::Output;

/// A text is cut to this many bytes, with a `…` at its end.
const TEXT_LEN: usize = 1000;

/// Six bytes for each one of a text, if all of them must be escaped, and two quotes.
const VALUE_LEN: usize = 6 * TEXT_LEN + 2;

/// A value.
pub enum Value<'a> {
    /// What the thing displays, cut to 1000 bytes.
    Text(&'a dyn fmt::Display),
    /// A short text as it is.
    Name(&'a str),
    /// A number.
    Number(u64),
    /// True or false.
    Truth(bool),
    /// Nothing.
    Null,
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(thing) => {
                let text: String<TEXT_LEN> = clip(format_args!("{thing}"));
                serializer.serialize_str(&text)
            }
            Self::Name(name) => serializer.serialize_str(name),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Null => serializer.serialize_none(),
        }
    }
}

/// A JSON document on its way out.
pub struct Json<'w, 'f> {
    output: &'w mut Output<'f>,
    first: bool,
    fits: bool,
}

impl<'w, 'f> Json<'w, 'f> {
    /// An empty document.
    pub fn new(output: &'w mut Output<'f>) -> Self {
        Self {
            output,
            first: true,
            fits: true,
        }
    }

    /// Ends the document with a line end. What went wrong with the output, it tells itself.
    ///
    /// # Errors
    /// When a value could not be encoded.
    pub fn finish(mut self) -> fmt::Result {
        self.put("\n");
        if self.fits { Ok(()) } else { Err(fmt::Error) }
    }

    /// Opens an object or a list.
    pub fn open(&mut self, bracket: &'static str) {
        self.first = true;
        self.put(bracket);
    }

    /// Closes it.
    pub fn close(&mut self, bracket: &'static str) {
        self.first = false;
        self.put(bracket);
    }

    /// Sets the comma in front of an element that is written in several calls.
    pub fn next(&mut self) {
        if !core::mem::take(&mut self.first) {
            self.put(",");
        }
    }

    /// Writes the key of a field that is written in several calls.
    pub fn key(&mut self, key: &'static str) {
        self.element(&Value::Name(key));
        self.put(":");
    }

    /// Writes a field of an object.
    pub fn field(&mut self, key: &'static str, value: Value<'_>) {
        self.key(key);
        self.value(&value);
    }

    /// Writes a field whose value is a text.
    pub fn text(&mut self, key: &'static str, thing: &dyn fmt::Display) {
        self.field(key, Value::Text(thing));
    }

    /// Writes a field that counts something.
    pub fn count(&mut self, key: &'static str, count: usize) {
        self.field(key, Value::Number(u64::try_from(count).unwrap_or(u64::MAX)));
    }

    /// Writes an element of a list.
    pub fn element(&mut self, value: &Value<'_>) {
        self.next();
        self.value(value);
    }

    fn value(&mut self, value: &Value<'_>) {
        let mut buffer = [0; VALUE_LEN];
        let encoded = serde_json_core::to_slice(value, &mut buffer).ok();
        match encoded.and_then(|length| buffer.get(..length)) {
            Some(bytes) => self.output.bytes(bytes),
            None => self.fits = false,
        }
    }

    fn put(&mut self, text: &str) {
        self.output.bytes(text.as_bytes());
    }
}

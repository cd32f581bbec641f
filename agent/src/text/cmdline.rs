//! Words as the kernel splits them: of its command line, and of everything else that is written alike.
//!
//! Not a general argument parser: it follows `next_arg` and `parse_args` (lib/cmdline.c and
//! kernel/params.c, 5.10 to 7.2) byte for byte, including what looks odd there. What a module is loaded
//! with goes through the same two functions, so that quotes in modprobe.d and a bare `--` there mean what
//! they mean here. Files of ours have comments besides ([`line_of_file`]).

use crate::text::one_of;

/// The most bytes of a command line that are read. Kernels hold 2048 (x86) to 4096 (s390x); a boot
/// configuration appended to the initramfs adds up to 32 KiB in front.
pub const MAX_LEN: usize = 36 * 1024;

/// One `name` or `name=value` of the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameter<'a> {
    /// The name as written.
    pub name: &'a [u8],
    /// What follows the first `=`, without quotes around it; `None` without a `=`.
    pub value: Option<&'a [u8]>,
    /// Whether it stands after a bare `--`, where the kernel leaves everything to init.
    pub after_dashes: bool,
}

impl Parameter<'_> {
    /// Compares names as the kernel does: `-` and `_` are equal (`parameqn`).
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        same_name(self.name, name.as_bytes())
    }

    /// What is left of the name after `prefix`, compared in the same way.
    #[must_use]
    pub fn strip(&self, prefix: &str) -> Option<&[u8]> {
        let (head, rest) = self.name.split_at_checked(prefix.len())?;
        same_name(head, prefix.as_bytes()).then_some(rest)
    }
}

/// Whether two parameter names are one to the kernel.
#[must_use]
pub fn same_name(a: &[u8], b: &[u8]) -> bool {
    let dash = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    a.len() == b.len() && a.iter().map(dash).eq(b.iter().map(dash))
}

/// Splits a command line; what follows a NUL is not part of it.
#[must_use]
pub fn parameters(line: &[u8]) -> Parameters<'_> {
    let end = line
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(line.len());
    Parameters {
        rest: line.get(..end).unwrap_or_default(),
        after_dashes: false,
        comments: false,
    }
}

/// Splits a line of a policy file: a `#` that begins a word, outside of quotes, begins a comment.
#[must_use]
pub fn line_of_file(line: &[u8]) -> Parameters<'_> {
    Parameters {
        comments: true,
        ..parameters(line)
    }
}

/// The parameters of a command line, in order.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    rest: &'a [u8],
    after_dashes: bool,
    comments: bool,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Parameter<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest.iter().position(|byte| !is_space(*byte))?;
        let words = self.rest.get(start..)?;
        if self.comments && words.first() == Some(&b'#') {
            self.rest = &[];
            return None;
        }
        let (argument, rest) = next_argument(words);
        self.rest = rest;
        let after_dashes = self.after_dashes;
        let (name, value) = argument.split();
        if name == b"--" && value.is_none() {
            self.after_dashes = true;
        }
        Some(Parameter {
            name,
            value,
            after_dashes,
        })
    }
}

/// The kernel's `isspace` (lib/ctype.c): the C locale's, and 0xa0.
///
/// So a UTF-8 letter that contains the byte 0xa0, such as `à`, splits an argument.
#[must_use]
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0)
}

/// An argument, before its quotes are taken off.
struct Argument<'a> {
    text: &'a [u8],
    quoted: bool,
}

fn next_argument(input: &[u8]) -> (Argument<'_>, &[u8]) {
    let quoted = input.first() == Some(&b'"');
    let input = if quoted {
        input.get(1..).unwrap_or_default()
    } else {
        input
    };
    let mut in_quote = quoted;
    let end = input
        .iter()
        .position(|byte| {
            if *byte == b'"' {
                in_quote = !in_quote;
            }
            is_space(*byte) && !in_quote
        })
        .unwrap_or(input.len());
    let (text, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
    (Argument { text, quoted }, rest)
}

impl<'a> Argument<'a> {
    fn split(&self) -> (&'a [u8], Option<&'a [u8]>) {
        // A `=` in the first place belongs to the name: the kernel tests `equals == 0`.
        let equals = self.text.iter().skip(1).position(|byte| *byte == b'=');
        let split = equals.and_then(|at| {
            let (name, rest) = self.text.split_at_checked(at.checked_add(1)?)?;
            Some((name, rest.get(1..)?))
        });
        let Some((name, value)) = split else {
            return (
                if self.quoted {
                    strip_end_quote(self.text)
                } else {
                    self.text
                },
                None,
            );
        };
        // Quotes around the value and around the argument share one closing quote: the kernel
        // puts a NUL in its place the first time it meets it.
        let value = match value.strip_prefix(b"\"") {
            Some(inner) => strip_end_quote(inner),
            None if self.quoted => strip_end_quote(value),
            None => value,
        };
        (name, Some(value))
    }
}

fn strip_end_quote(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\"").unwrap_or(text)
}

/// The value of a switch such as `vfio.dry_run`: alone it is on.
///
/// # Errors
/// Returns the value that is neither on nor off.
pub fn switch(value: Option<&[u8]>) -> Result<bool, &[u8]> {
    let Some(value) = value else { return Ok(true) };
    const KNOWN: &[(&str, bool)] = &[
        ("1", true),
        ("y", true),
        ("yes", true),
        ("on", true),
        ("true", true),
        ("0", false),
        ("n", false),
        ("no", false),
        ("off", false),
        ("false", false),
    ];
    one_of(value, KNOWN).ok_or(value)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    type Pair<'a> = (&'a [u8], Option<&'a [u8]>);

    fn split(line: &[u8]) -> Vec<Pair<'_>> {
        parameters(line).map(|p| (p.name, p.value)).collect()
    }

    #[test]
    fn quotes_and_spaces_are_the_kernels() {
        let table: &[(&[u8], &[Pair<'_>])] = &[
            (b"", &[]),
            (b"  \t\n", &[]),
            (b"quiet a=b\n", &[(b"quiet", None), (b"a", Some(b"b"))]),
            (b"a=", &[(b"a", Some(b""))]),
            (b"a=b=c", &[(b"a", Some(b"b=c"))]),
            (b"=a", &[(b"=a", None)]),
            (b"=a=b", &[(b"=a", Some(b"b"))]),
            (b"a=\"b c\" d", &[(b"a", Some(b"b c")), (b"d", None)]),
            (b"\"a=b c\" d", &[(b"a", Some(b"b c")), (b"d", None)]),
            (b"\"a b\"", &[(b"a b", None)]),
            (b"a=b\" c\"d e", &[(b"a", Some(b"b\" c\"d")), (b"e", None)]),
            (b"a=\"b c", &[(b"a", Some(b"b c"))]),
            (b"\"a=\"b\" c\" d", &[(b"a", Some(b"b\" c")), (b"d", None)]),
            (b"a=\"", &[(b"a", Some(b""))]),
            (b"\"\" b", &[(b"", None), (b"b", None)]),
            (b"a=b\"", &[(b"a", Some(b"b\""))]),
            (b"a\xa0b", &[(b"a", None), (b"b", None)]),
            (
                b"a\x0bb\x0cc\rd",
                &[(b"a", None), (b"b", None), (b"c", None), (b"d", None)],
            ),
            (b"a b\0c d", &[(b"a", None), (b"b", None)]),
            (b"\xff\xfe=\xfd", &[(b"\xff\xfe", Some(b"\xfd"))]),
        ];
        for (line, expected) in table {
            assert_eq!(&split(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_comment_begins_where_a_word_does() {
        for (line, words) in [
            (&b"# a b"[..], 0),
            (b"a # b c", 1),
            (b"a#b c", 2),
            (b"a=\"b #1\" c", 2),
            (b"\"a=b #1\" #c", 1),
            (b"a=\"b\" #c d", 1),
        ] {
            let shown = line.escape_ascii();
            assert_eq!(line_of_file(line).count(), words, "{shown}");
        }
        assert_eq!(parameters(b"a # b").count(), 3, "the kernel knows none");
    }

    #[test]
    fn a_bare_double_dash_ends_the_kernels_part() {
        let after = |line: &[u8]| {
            parameters(line)
                .filter(|p| p.after_dashes)
                .map(|p| p.name.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(after(b"a -- bb ccc=1"), [2, 3]);
        assert_eq!(
            after(b"a \"--\" bb"),
            [2],
            "quotes come off before the kernel compares"
        );
        assert_eq!(
            after(b"a --=1 bb"),
            [0usize; 0],
            "with a value it is a parameter"
        );
        assert_eq!(after(b"a --bb c"), [0usize; 0]);
    }

    #[test]
    fn dashes_are_underscores_in_names() {
        let parameter = |name| Parameter {
            name,
            value: None,
            after_dashes: false,
        };
        assert!(parameter(b"vfio-pci.ids").is("vfio_pci.ids"));
        assert!(parameter(b"vfio_pci.ids").is("vfio-pci.ids"));
        assert!(!parameter(b"vfio.pci.ids").is("vfio_pci.ids"));
        assert!(!parameter(b"VFIO_pci.ids").is("vfio_pci.ids"));
        assert_eq!(
            parameter(b"vfio.dry-run").strip("vfio."),
            Some(&b"dry-run"[..])
        );
        assert_eq!(parameter(b"vf").strip("vfio."), None);
    }

    #[test]
    fn switches_are_words_or_numbers() {
        for (value, on) in [
            (None, Ok(true)),
            (Some(&b"1"[..]), Ok(true)),
            (Some(b"yes"), Ok(true)),
            (Some(b"Yes"), Err(&b"Yes"[..])),
            (Some(b"off"), Ok(false)),
            (Some(b"0"), Ok(false)),
            (Some(b"maybe"), Err(&b"maybe"[..])),
            (Some(b"\xff"), Err(b"\xff")),
        ] {
            assert_eq!(switch(value), on, "{value:?}");
        }
    }

    /// `next_arg`, written once more as the C does it: indices and a buffer that gets NULs.
    fn next_arg(args: &mut [u8], at: usize) -> (Vec<u8>, Option<Vec<u8>>, usize) {
        let get = |args: &[u8], i: usize| args.get(i).copied().unwrap_or(0);
        let text = |args: &[u8], from: usize| {
            args[from.min(args.len())..]
                .iter()
                .copied()
                .take_while(|b| *b != 0)
                .collect::<Vec<_>>()
        };
        let (mut at, mut quoted, mut in_quote, mut equals) = (at, false, false, 0);
        if get(args, at) == b'"' {
            at += 1;
            (quoted, in_quote) = (true, true);
        }
        let mut i = 0;
        while get(args, at + i) != 0 {
            let c = get(args, at + i);
            if is_space(c) && !in_quote {
                break;
            }
            if equals == 0 && c == b'=' {
                equals = i;
            }
            if c == b'"' {
                in_quote = !in_quote;
            }
            i += 1;
        }
        let end = at + i;
        let mut val = None;
        if equals != 0 {
            args[at + equals] = 0;
            val = Some(at + equals + 1);
            if get(args, at + equals + 1) == b'"' {
                val = Some(at + equals + 2);
                if args[end - 1] == b'"' {
                    args[end - 1] = 0;
                }
            }
        }
        if quoted && i > 0 && args[end - 1] == b'"' {
            args[end - 1] = 0;
        }
        let mut next = end;
        if next < args.len() {
            args[next] = 0;
            next += 1;
        }
        while is_space(get(args, next)) {
            next += 1;
        }
        (text(args, at), val.map(|v| text(args, v)), next)
    }

    proptest! {
        #[test]
        fn agrees_with_the_kernels_loop(
            line in prop::collection::vec(prop::sample::select(&b"ab=\"- \xa0\t"[..]), 0..40),
        ) {
            let mut args = line.clone();
            let mut at = line.iter().take_while(|b| is_space(**b)).count();
            let mut expected = Vec::new();
            while at < args.len() {
                let (name, value, next) = next_arg(&mut args, at);
                expected.push((name, value));
                at = next;
            }
            let actual: Vec<_> = parameters(&line)
                .map(|p| (p.name.to_vec(), p.value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(actual, expected);
        }

        #[test]
        fn no_input_panics(line: Vec<u8>) {
            prop_assert!(parameters(&line).count() <= line.len());
        }
    }
}

//! Settings that a shell reads with `.`: which commands there are, and whether a line can be added behind them.
//!
//! Not a shell: nothing is expanded or run. It follows POSIX.1-2017, 2.2 (quoting), 2.3 (tokens) and 2.4
//! (reserved words) as far as the end of each command and of each block is concerned, and says where it cannot.

use std::ops::Range;

/// A command that is no block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its line, from 1 on.
    pub line: usize,
    /// How many blocks it is in.
    pub depth: usize,
    /// Its words as they are written.
    pub words: Vec<String>,
}

/// An assignment that is not for one command only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment<'c> {
    /// The variable.
    pub name: &'c str,
    /// Whether it is `+=`, which dash does not know.
    pub appends: bool,
    /// The value as it is written.
    pub value: &'c str,
}

impl Command {
    /// The assignments that last.
    #[must_use]
    pub fn assignments(&self) -> Vec<Assignment<'_>> {
        let words = match self.words.first().map(String::as_str) {
            Some("export" | "readonly") => &self.words[1..],
            _ => &self.words[..],
        };
        let all: Option<Vec<_>> = words.iter().map(|word| assignment(word)).collect();
        all.unwrap_or_default()
    }

    /// Whether nothing behind it is read.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.depth == 0
            && matches!(
                self.words.first().map(String::as_str),
                Some("exit" | "return" | "exec")
            )
    }
}

fn assignment(word: &str) -> Option<Assignment<'_>> {
    let (name, value) = word.split_once('=')?;
    let (name, appends) = match name.strip_suffix('+') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let first = name.chars().next()?;
    let good = (first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    good.then_some(Assignment {
        name,
        appends,
        value,
    })
}

impl Assignment<'_> {
    /// Whether the old value is a part of the new one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        let plain = format!("${}", self.name);
        let used = self.value.match_indices(&plain).any(|(at, _)| {
            let next = self.value[at + plain.len()..].chars().next();
            next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
        });
        self.appends || used || self.value.contains(&format!("${{{}", self.name))
    }
}

/// What is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its line, from 1 on.
    pub line: usize,
    /// What it is.
    pub what: &'static str,
}

/// The commands of a file that a shell reads.
///
/// # Errors
/// Where a quote or a block does not end, or something is not understood: then nothing may be added.
pub fn commands(text: &[u8]) -> Result<Vec<Command>, Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        blocks: Vec::new(),
        commands: Vec::new(),
    };
    reader.read()?;
    match reader.blocks.last() {
        Some(_) => Err(reader.fault("a block does not end")),
        None => Ok(reader.commands),
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    /// What ends each block that is open.
    blocks: Vec<&'static str>,
    commands: Vec<Command>,
}

impl Reader<'_> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault {
            line: self.line,
            what,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn read(&mut self) -> Result<(), Fault> {
        let mut words: Vec<String> = Vec::new();
        let mut line = self.line;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => {
                    self.next();
                }
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.next();
                    }
                }
                b'\\' if self.text.get(self.at + 1) == Some(&b'\n') => {
                    self.next();
                    self.next();
                    if self.peek().is_none() {
                        return Err(self.fault("the last line is to go on"));
                    }
                }
                b'\n' | b';' | b'&' | b'|' => {
                    self.next();
                    self.command(&mut words, line)?;
                }
                b'<' if self.text[self.at..].starts_with(b"<<") => {
                    return Err(self.fault("a here-document"));
                }
                b'<' | b'>' => {
                    self.next();
                }
                b'(' => {
                    self.next();
                    self.command(&mut words, line)?;
                    self.blocks.push(")");
                }
                b')' => {
                    self.next();
                    match self.blocks.last() {
                        Some(&")") => {
                            self.command(&mut words, line)?;
                            self.blocks.pop();
                        }
                        // A pattern.
                        Some(&"esac") => words.clear(),
                        _ => return Err(self.fault("a `)` ends nothing")),
                    }
                }
                _ => {
                    if words.is_empty() {
                        line = self.line;
                    }
                    let word = self.word()?;
                    let text = String::from_utf8_lossy(&self.text[word]).into_owned();
                    if !words.is_empty() || !self.reserved(&text)? {
                        words.push(text);
                    }
                }
            }
        }
        self.command(&mut words, line)
    }

    fn command(&mut self, words: &mut Vec<String>, line: usize) -> Result<(), Fault> {
        if !words.is_empty() {
            self.commands.push(Command {
                line,
                depth: self.blocks.len(),
                words: std::mem::take(words),
            });
        }
        Ok(())
    }

    /// Whether a word in front of a command opens, parts or ends a block.
    fn reserved(&mut self, word: &str) -> Result<bool, Fault> {
        let end = match word {
            "if" => "fi",
            "case" => "esac",
            "while" | "until" | "for" => "done",
            "{" => "}",
            "then" | "else" | "elif" | "do" | "!" => return Ok(true),
            "fi" | "esac" | "done" | "}" => {
                return match self.blocks.pop() {
                    Some(end) if end == word => Ok(true),
                    _ => Err(self.fault("the end of a block that is not open")),
                };
            }
            _ => return Ok(false),
        };
        self.blocks.push(end);
        // `for x in ...` and `case x in` go on to the end of the line or to a pattern.
        Ok(true)
    }

    /// One word, with its quotes.
    fn word(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => {
                    break;
                }
                b'\'' => self.single()?,
                b'"' => self.double()?,
                b'`' => self.backquoted()?,
                b'$' => self.dollar()?,
                b'\\' => {
                    self.next();
                    if self.next().is_none() {
                        return Err(self.fault("the last line is to go on"));
                    }
                }
                _ => {
                    self.next();
                }
            }
        }
        Ok(start..self.at)
    }

    fn single(&mut self) -> Result<(), Fault> {
        self.next();
        while let Some(byte) = self.next() {
            if byte == b'\'' {
                return Ok(());
            }
        }
        Err(self.fault("a quote does not end"))
    }

    fn double(&mut self) -> Result<(), Fault> {
        self.next();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.next();
                    return Ok(());
                }
                b'\\' => {
                    self.next();
                    self.next();
                }
                b'`' => self.backquoted()?,
                b'$' => self.dollar()?,
                _ => {
                    self.next();
                }
            }
        }
        Err(self.fault("a quote does not end"))
    }

    fn backquoted(&mut self) -> Result<(), Fault> {
        self.next();
        while let Some(byte) = self.next() {
            match byte {
                b'`' => return Ok(()),
                b'\\' => {
                    self.next();
                }
                _ => {}
            }
        }
        Err(self.fault("a ` does not end"))
    }

    fn dollar(&mut self) -> Result<(), Fault> {
        self.next();
        let end = match self.peek() {
            Some(b'(') => b')',
            Some(b'{') => b'}',
            _ => return Ok(()),
        };
        let open = self.next();
        let mut depth = 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' if end == b')' => self.single()?,
                b'"' => self.double()?,
                b'`' => self.backquoted()?,
                b'$' => self.dollar()?,
                b'\\' => {
                    self.next();
                    self.next();
                }
                _ => {
                    self.next();
                    if Some(byte) == open {
                        depth += 1;
                    } else if byte == end {
                        depth -= 1;
                        if depth == 0 {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Err(self.fault("a ${ or $( does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let commands = commands(text.as_bytes()).unwrap();
        let all = commands.iter().flat_map(Command::assignments);
        all.map(|a| {
            format!(
                "{}{}{}",
                a.name,
                if a.appends { "+=" } else { "=" },
                a.value
            )
        })
        .collect()
    }

    #[test]
    fn assignments_are_found_in_every_way_of_writing() {
        for (text, expected) in [
            ("A=b", vec!["A=b"]),
            ("A='b c' # d\nE=f", vec!["A='b c'", "E=f"]),
            ("A=\"b # c\"d", vec!["A=\"b # c\"d"]),
            ("A+=\" x\"\n", vec!["A+=\" x\""]),
            ("A=b command\n", vec![]),
            ("export A=b C=d\n", vec!["A=b", "C=d"]),
            (
                "A=`( . /etc/os-release && echo ${N} )`\nB=1",
                vec!["A=`( . /etc/os-release && echo ${N} )`", "B=1"],
            ),
            (
                "A=$(x \"$(y ')')\")\nB=1",
                vec!["A=$(x \"$(y ')')\")", "B=1"],
            ),
            ("A=\"b\\\n c\"\nD=e", vec!["A=\"b\\\n c\"", "D=e"]),
            ("if [ -e x ]; then A=b; fi; C=d", vec!["A=b", "C=d"]),
            ("case x in a|b) A=b;; esac\nC=d", vec!["A=b", "C=d"]),
            ("f() { A=b; }\n#X=y\n  C=d\n", vec!["A=b", "C=d"]),
            ("A=it\\'s", vec!["A=it\\'s"]),
        ] {
            assert_eq!(names(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_end_takes_no_line() {
        for text in [
            "A=\"b",
            "A='b\n",
            "A=b \\\n",
            "A=b\\",
            "if x; then\n",
            "A=$(b",
            "A=`b",
            "cat <<END\nx\nEND\n",
            "fi\n",
            "f() {\n",
            "A=b)\n",
        ] {
            assert!(commands(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_ends_the_file_is_known_from_what_may() {
        let ends = |text: &str| commands(text.as_bytes()).unwrap().iter().any(Command::ends);
        assert!(ends("A=b\nexit 0\n"));
        assert!(ends("[ -e x ] && exit 0"));
        assert!(ends("return"));
        assert!(!ends("if x; then exit 0; fi\n"));
        assert!(!ends("A=exit\n# exit\n"));
    }

    #[test]
    fn an_assignment_that_keeps_the_old_value_is_told_from_one_that_does_not() {
        for (text, keeps) in [
            ("A=\"$A x\"", true),
            ("A=\"${A} x\"", true),
            ("A=\"${A:-y} x\"", true),
            ("A+=x", true),
            ("A=\"$AB x\"", false),
            ("A=x", false),
        ] {
            let commands = commands(text.as_bytes()).unwrap();
            assert_eq!(commands[0].assignments()[0].keeps(), keeps, "{text}");
        }
    }
}

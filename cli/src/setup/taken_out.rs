//! A file without what setup put there, whatever else was done to it since.

use crate::loader::sourced::MARK;

/// What a file was, is, and is made of.
#[derive(Clone, Copy, Debug)]
pub struct Edited<'a> {
    /// What it is.
    pub now: Option<&'a [u8]>,
    /// What setup wrote.
    pub with: &'a [u8],
    /// What undoing gives back.
    pub without: Option<&'a [u8]>,
    /// What of it is ours.
    pub ours: &'a str,
    /// The words in it.
    pub words: &'a [String],
}

/// It cannot be told which of it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear;

/// The file without ours; `None`: no file.
///
/// # Errors
/// Where our words are there, and not as setup wrote them, nor once each.
pub fn taken_out(edited: Edited<'_>) -> Result<Option<Vec<u8>>, Unclear> {
    let Some(now) = edited.now else {
        return Ok(None);
    };
    if now == edited.with {
        return Ok(edited.without.map(<[u8]>::to_owned));
    }
    if edited.without == Some(now) {
        return Ok(Some(now.to_owned()));
    }
    let left = match &places(now, edited.ours.as_bytes())[..] {
        [at] => {
            // The end of the line in front of ours stays where a line came behind.
            let glue =
                usize::from(edited.ours.starts_with('\n') && at + edited.ours.len() < now.len());
            cut(now, at + glue, edited.ours.len() - glue)
        }
        _ => word_by_word(edited, now)?,
    };
    // A file that was ours, with nothing of another's in it.
    if edited.without.is_none() && left.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    Ok(Some(left))
}

fn cut(text: &[u8], at: usize, length: usize) -> Vec<u8> {
    [&text[..at], &text[at + length..]].concat()
}

/// Each of the words taken out, with the blank in front of it.
fn word_by_word(edited: Edited<'_>, now: &[u8]) -> Result<Vec<u8>, Unclear> {
    let mut left = now.to_owned();
    for word in edited.words {
        let others = places(edited.without.unwrap_or_default(), word.as_bytes());
        match &places(&left, word.as_bytes())[..] {
            // Its owner took it out.
            [] => {}
            [at] if others.is_empty() => {
                let blank = at.checked_sub(1).is_some_and(|before| left[before] == b' ');
                let from = at - usize::from(blank);
                left = cut(&left, from, word.len() + usize::from(blank));
            }
            // The file's own before: as many as there were.
            all if all.len() == others.len() => {}
            _ => return Err(Unclear),
        }
    }
    let mark = format!("{MARK}\n");
    if let [at] = places(&left, mark.as_bytes())[..] {
        left = cut(&left, at, mark.len());
    }
    Ok(left)
}

/// Where a text is that no word goes on before or behind.
fn places(text: &[u8], wanted: &[u8]) -> Vec<usize> {
    let edge = |byte: Option<&u8>| {
        byte.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'".contains(byte))
    };
    let open = wanted
        .first()
        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let shut = wanted.last() == Some(&b'\n');
    let mut places = Vec::new();
    if wanted.is_empty() {
        return places;
    }
    for (at, piece) in text.windows(wanted.len()).enumerate() {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let behind = text.get(at + wanted.len());
        if piece == wanted && (open || edge(before)) && (shut || edge(behind)) {
            places.push(at);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(
        now: &str,
        with: &str,
        without: Option<&str>,
        ours: &str,
    ) -> Result<Option<String>, Unclear> {
        let words = ["vfio.bind=1:0.0".to_owned(), "vfio.group=strict".to_owned()];
        let left = taken_out(Edited {
            now: Some(now.as_bytes()),
            with: with.as_bytes(),
            without: without.map(str::as_bytes),
            ours,
            words: &words,
        })?;
        Ok(left.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn what_others_wrote_stays() {
        let ours = " vfio.bind=1:0.0 vfio.group=strict";
        let with = "root=x quiet vfio.bind=1:0.0 vfio.group=strict\n";
        let without = Some("root=x quiet\n");
        for (now, expected) in [
            (with, "root=x quiet\n"),
            ("root=x quiet\n", "root=x quiet\n"),
            (
                "root=y vfio.bind=1:0.0 vfio.group=strict more\n",
                "root=y more\n",
            ),
            (
                "root=y vfio.bind=1:0.0 more vfio.group=strict\n",
                "root=y more\n",
            ),
            ("root=y vfio.group=strict\n", "root=y\n"),
            (
                "root=y vfio.bind=1:0.0,2:0.0 vfio.group=strict\n",
                "root=y vfio.bind=1:0.0,2:0.0\n",
            ),
        ] {
            assert_eq!(
                take(now, with, without, ours),
                Ok(Some(expected.to_owned())),
                "{now}"
            );
        }
    }

    #[test]
    fn what_is_there_twice_is_not_guessed() {
        let ours = " vfio.bind=1:0.0 vfio.group=strict";
        let twice = "a vfio.bind=1:0.0 vfio.group=strict b vfio.bind=1:0.0 vfio.group=strict";
        assert_eq!(take(twice, "w", Some("wo"), ours), Err(Unclear));
        // The owner's own word from before stays.
        let now = "vfio.group=strict x vfio.bind=1:0.0 z";
        let left = take(now, "w", Some("vfio.group=strict x"), ours);
        assert_eq!(left, Ok(Some("vfio.group=strict x z".to_owned())));
    }

    #[test]
    fn a_file_of_ours_goes_unless_another_wrote_there() {
        let ours = "A=\"$A vfio.bind=1:0.0 vfio.group=strict\"\n";
        assert_eq!(take(ours, ours, None, ours), Ok(None));
        assert_eq!(take(&format!("\n{ours}\n"), ours, None, ours), Ok(None));
        assert_eq!(
            take(&format!("B=1\n{ours}"), ours, None, ours),
            Ok(Some("B=1\n".to_owned()))
        );
        let edited = "A=\"$A vfio.bind=1:0.0 vfio.group=strict quiet\"\n";
        assert_eq!(
            take(edited, ours, None, ours),
            Ok(Some("A=\"$A quiet\"\n".to_owned()))
        );
    }

    #[test]
    fn a_marked_line_goes_with_its_mark() {
        let line = format!("\n{MARK}\nA=\"$A vfio.bind=1:0.0 vfio.group=strict\"\n");
        let with = format!("A=b{line}");
        assert_eq!(
            take(&with, &with, Some("A=b"), &line),
            Ok(Some("A=b".to_owned()))
        );
        let now = format!("A=c{line}D=e\n");
        assert_eq!(
            take(&now, &with, Some("A=b"), &line),
            Ok(Some("A=c\nD=e\n".to_owned()))
        );
    }
}

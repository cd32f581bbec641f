//! What is in an image, and images with something else in the place of one file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cpio::newc;

/// What takes a file's place.
#[derive(Clone, Copy, Debug)]
pub enum Instead<'a> {
    /// Nothing.
    Nothing,
    /// A file with this mode and content.
    File(u32, &'a [u8]),
}

/// Copies the uncompressed image `from` to `to`, with `instead` in the place of the file `wanted`, named
/// without a slash in front.
///
/// # Errors
/// Where the image is not an archive, or has not exactly one such file.
pub fn replace(from: &Path, to: &Path, wanted: &str, instead: Instead<'_>) -> Result<()> {
    let whole = || format!("copy({}, {})", from.display(), to.display());
    let file = File::create(to).with_context(|| format!("create({})", to.display()))?;
    let mut output = BufWriter::new(file);
    let mut found = 0;
    entries(from, |entry, mut content| {
        let mut mode = entry.mode();
        if place(entry) == wanted {
            found += 1;
            match instead {
                Instead::Nothing => return Ok(()),
                Instead::File(other, bytes) => {
                    mode = other;
                    content = bytes.to_vec();
                }
            }
        }
        let builder = newc::Builder::new(entry.name())
            .ino(entry.ino())
            .uid(entry.uid())
            .gid(entry.gid())
            .nlink(entry.nlink())
            .mtime(entry.mtime())
            .dev_major(entry.dev_major())
            .dev_minor(entry.dev_minor())
            .rdev_major(entry.rdev_major())
            .rdev_minor(entry.rdev_minor())
            .mode(mode);
        let size = u32::try_from(content.len()).context("an entry's size")?;
        let mut writer = builder.write(&mut output, size);
        writer.write_all(&content).with_context(whole)?;
        writer.finish().map(drop).with_context(whole)
    })?;
    newc::trailer(output)
        .and_then(|mut out| out.flush())
        .with_context(whole)?;
    ensure!(
        found == 1,
        "{} has {found} files {wanted}, not one",
        from.display()
    );
    Ok(())
}

/// The content of a file in an uncompressed image, by its path without a slash in front; `None`
/// where it has no such file.
///
/// # Errors
/// Where the image is not an archive.
pub fn content(image: &Path, wanted: &str) -> Result<Option<Vec<u8>>> {
    let mut found = None;
    entries(image, |entry, content| {
        if place(entry) == wanted {
            // As the kernel unpacks it, the last one counts.
            found = Some(content);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Where an entry goes.
fn place(entry: &newc::Entry) -> &str {
    entry.name().trim_start_matches("./")
}

/// Calls `each` with every entry of an uncompressed image and its content.
fn entries(image: &Path, mut each: impl FnMut(&newc::Entry, Vec<u8>) -> Result<()>) -> Result<()> {
    let whole = || format!("read({})", image.display());
    let file = File::open(image).with_context(|| format!("open({})", image.display()))?;
    let mut input = BufReader::new(file);
    loop {
        let mut reader = newc::Reader::new(input).with_context(whole)?;
        if reader.entry().is_trailer() {
            input = reader.finish().with_context(whole)?;
            // An image may be several archives, with zeros between them.
            if skip_zeros(&mut input).with_context(whole)? {
                continue;
            }
            return Ok(());
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).with_context(whole)?;
        each(reader.entry(), bytes)?;
        input = reader.finish().with_context(whole)?;
    }
}

/// Skips zeros: whether anything else follows.
fn skip_zeros(input: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let more = zeros < buffer.len();
        input.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appended;
    use crate::supply::AGENT;

    #[test]
    fn only_the_agent_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("agent"), "the agent").unwrap();
        let agent = path("agent");
        let whole = appended::Content {
            agent: &agent,
            policy: Some(&agent),
            protected: None,
        };
        appended::pack(&path("a"), whole).unwrap();
        let text = |name: &str| {
            let bytes = std::fs::read(path(name)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let replace = |from, to, instead| replace(&path(from), &path(to), AGENT, instead);
        replace("a", "b", Instead::File(0o100_644, b"another!!")).unwrap();
        assert_eq!(text("b").len(), text("a").len());
        assert_eq!(text("b").matches("the agent").count(), 1);
        assert_eq!(text("b").matches("another!!").count(), 1);
        replace("a", "c", Instead::Nothing).unwrap();
        assert!(!text("c").contains(AGENT) && text("c").contains("policy.conf"));
        // As mkinitcpio does it: another archive in front.
        let two = [
            std::fs::read(path("c")).unwrap(),
            vec![0; 512],
            std::fs::read(path("a")).unwrap(),
        ];
        std::fs::write(path("e"), two.concat()).unwrap();
        replace("e", "f", Instead::Nothing).unwrap();
        assert_eq!(text("f").matches("policy.conf").count(), 2);
        let agent = |name: &str| content(&path(name), AGENT).unwrap();
        assert_eq!(agent("e").as_deref(), Some(&b"the agent"[..]));
        assert_eq!(agent("f"), None);
        // Now there is none to replace.
        replace("c", "d", Instead::Nothing).unwrap_err();
    }
}

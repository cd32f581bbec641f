//! An archive for images that nobody can rebuild: the agent as their first process.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};

use crate::initrd::{Archive, DATA, FOLDER, PROGRAM};
use crate::supply::AGENT;

/// The path for `rdinit=`.
pub const RDINIT: &str = "/usr/bin/vfio-bind-agent";
/// Where the agent looks for a policy.
const POLICY: &str = "etc/vfio-bind/policy.conf";
/// Where the agent looks for what its system boots from.
const PROTECTED: &str = "etc/vfio-bind/protected.conf";

/// Zeros in front of the compressed archive: the kernel passes over them, but behind an lz4 image its
/// decompressor takes whatever follows for the size of one more block, unless that is zero
/// (lib/decompress_unlz4.c).
const ZEROS: [u8; 8] = [0; 8];

/// What an archive is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// The agent.
    pub agent: &'a Path,
    /// A policy.
    pub policy: Option<&'a Path>,
    /// What `vfio-bind protected` printed on the machine that the archive is for.
    pub protected: Option<&'a Path>,
}

/// Writes it, in the one form that the kernel unpacks behind every image: an uncompressed archive has to
/// begin at a multiple of four bytes, and not every loader fills up to one; and lz4 takes one for more
/// of its own. Its size is a multiple of four, so that any image may follow.
///
/// # Errors
/// Where something cannot be read or written, or is no list of what to protect.
pub fn write(path: &Path, content: Content<'_>) -> Result<()> {
    if let Some(list) = content.protected {
        check_list(list)?;
    }
    wrap(path, &|plain| pack(plain, content))
}

/// Writes in that form what `pack` writes as an archive.
pub(crate) fn wrap(path: &Path, pack: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    let plain = tempfile::NamedTempFile::new().context("a file for an archive")?;
    pack(plain.path())?;
    let bytes = fs::read(plain.path()).context("read(archive)")?;
    let compress = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(&ZEROS)?;
        // Without a time: the same agent makes the same archive.
        let mut gzip = GzBuilder::new().write(out, Compression::best());
        gzip.write_all(&bytes)?;
        gzip.finish()?.flush()
    };
    compress().with_context(|| format!("write({})", path.display()))?;
    pad(path)
}

/// The archive as such. With a slash at its end, a folder's name leads through a link of that name: the
/// kernel then leaves the link as it is, which it would replace by a folder (`clean_path` in
/// init/initramfs.c), and the image would lose all that is found through it.
pub(crate) fn pack(path: &Path, content: Content<'_>) -> Result<()> {
    let mut archive = Archive::create(path)?;
    for folder in ["usr/", "usr/bin/"] {
        archive.add(folder, FOLDER, b"")?;
    }
    archive.add_file(AGENT, PROGRAM, content.agent)?;
    let files = [(POLICY, content.policy), (PROTECTED, content.protected)];
    if files.iter().any(|(_, file)| file.is_some()) {
        for folder in ["etc/", "etc/vfio-bind/"] {
            archive.add(folder, FOLDER, b"")?;
        }
    }
    for (place, file) in files {
        if let Some(file) = file {
            archive.add_file(place, DATA, file)?;
        }
    }
    archive.finish()
}

/// Whether a file may be what `vfio-bind protected` printed. The agent would take any other file for a
/// whole list: it knows only what stands in it.
fn check_list(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read({})", path.display()))?;
    let is_list = |line: &str| {
        ["vfio.protect=", "vfio.unprotected="]
            .iter()
            .any(|word| line.starts_with(word))
    };
    ensure!(
        text.lines().any(is_list)
            && text
                .lines()
                .all(|line| is_list(line) || line.trim().is_empty()),
        "{}: not what `vfio-bind protected` prints, which is `vfio.protect=...` or \
         `vfio.unprotected=...` in each line; run it as root on the machine that the archive is for",
        path.display()
    );
    Ok(())
}

/// Fills a file up to a multiple of four bytes: the kernel looks for an uncompressed archive only there.
fn pad(path: &Path) -> Result<()> {
    let grow = || -> std::io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        file.set_len(file.metadata()?.len().next_multiple_of(4))
    };
    grow().with_context(|| format!("pad({})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn an_archive_is_zeros_and_gzip_and_replaces_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (agent, list) = (path("agent"), path("list"));
        fs::write(&agent, "12345").unwrap();
        fs::write(&list, "vfio.protect=0000:00:05.0\n").unwrap();
        let content = Content {
            agent: &agent,
            policy: Some(&agent),
            protected: Some(&list),
        };
        write(&path("x.img"), content).unwrap();
        let bytes = fs::read(path("x.img")).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes[..10], [0, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0x8b]);
        let mut plain = Vec::new();
        let mut gzip = flate2::read::GzDecoder::new(&bytes[8..]);
        gzip.read_to_end(&mut plain).unwrap();
        let text = String::from_utf8_lossy(&plain);
        for name in [&RDINIT[1..], POLICY, PROTECTED, "TRAILER!!!"] {
            assert!(text.contains(&format!("{name}\0")), "{name}");
        }
        for folder in ["usr", "usr/bin", "etc", "etc/vfio-bind"] {
            assert!(text.contains(&format!("{folder}/\0")), "{folder}");
            assert!(!text.contains(&format!("{folder}\0")), "{folder}");
        }
    }

    #[test]
    fn another_file_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        for (text, expected) in [
            ("vfio.protect=00:1f.2@8086:1234  # /: sda\n", true),
            ("vfio.unprotected=\"/: no such disk\"\n\n", true),
            ("", false),
            ("vfio.bind=42:00.0\n", false),
            ("vfio.protect=00:1f.2\nvfio-bind: what\n", false),
        ] {
            fs::write(&list, text).unwrap();
            assert_eq!(check_list(&list).is_ok(), expected, "{text}");
        }
    }
}

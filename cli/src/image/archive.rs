//! The archives in an initramfs image: one behind another, as the kernel unpacks them, the first ones mostly without
//! compression (microcode), the last one mostly with (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use cpio::newc;

/// What of an image matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whether the agent is in it.
    pub agent: bool,
    /// Whether vfio-pci is, as a module.
    pub vfio_pci: bool,
    /// What the policy is made of, by path.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// How much of one file of a policy is kept.
const FILE_MOST: u64 = 1 << 20;

/// How compressed archives begin, and what unpacks them.
const PACKED: [(&[u8], &[&str]); 8] = [
    (b"\x1f\x8b", &["gzip", "-dc"]),
    (b"\x28\xb5\x2f\xfd", &["zstd", "-dc"]),
    (b"\xfd7zXZ", &["xz", "-dc"]),
    (b"\x02\x21\x4c\x18", &["lz4", "-dc"]),
    (b"\x04\x22\x4d\x18", &["lz4", "-dc"]),
    (b"BZh", &["bzip2", "-dc"]),
    (b"\x5d\x00\x00", &["xz", "--format=lzma", "-dc"]),
    (b"\x89LZO", &["lzop", "-dc"]),
];

/// Whether what stands at a path of an image is part of the policy there.
#[must_use]
pub fn is_policy(path: &str) -> bool {
    let in_modprobe = |folder: &str| {
        let behind = path
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix("/modprobe.d"));
        behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.starts_with("etc/vfio-bind/")
        || ["conf/modules", "etc/initramfs-tools/modules"].contains(&path)
        || ["etc", "run", "usr/local/lib", "usr/lib", "lib"]
            .into_iter()
            .any(in_modprobe)
}

/// Reads the archives of an image to their end.
///
/// # Errors
/// Where there is something else, or what unpacks it is not installed or fails.
pub fn read(image: impl Read + Send) -> Result<Contents> {
    let mut contents = Contents::default();
    read_archives(Box::new(io::BufReader::new(image)), &mut contents, true)?;
    Ok(contents)
}

impl Contents {
    /// An archive that has this and nothing else.
    ///
    /// # Errors
    /// Where a file is longer than an archive can say, 4 GiB.
    pub fn to_archive(&self) -> Result<Vec<u8>> {
        let agent = self.agent.then_some(("usr/bin/vfio-bind-agent", &[][..]));
        let module = self
            .vfio_pci
            .then_some(("usr/lib/modules/vfio-pci.ko", &[][..]));
        let files = self.files.iter();
        let files = files.map(|(path, text)| (path.as_str(), text.as_slice()));
        pack(files.chain(agent).chain(module))
    }
}

/// An archive of files, each a path and a content.
///
/// # Errors
/// Where one is longer than an archive can say, 4 GiB.
pub fn pack<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (path, content) in files {
        let length = u32::try_from(content.len()).with_context(|| path.to_owned())?;
        let mut entry = newc::Builder::new(path)
            .mode(0o100_644)
            .write(&mut bytes, length);
        entry.write_all(content)?;
        entry.finish()?;
    }
    newc::trailer(&mut bytes)?;
    Ok(bytes)
}

type Input<'i> = Box<dyn Read + Send + 'i>;

fn read_archives(mut input: Input<'_>, contents: &mut Contents, packed: bool) -> Result<()> {
    while let Some((head, rest)) = begin(input)? {
        if head.starts_with(b"07070") {
            input = read_archive(rest, contents)?;
            continue;
        }
        let known = PACKED.iter().find(|(magic, _)| head.starts_with(magic));
        return match known {
            Some((_, command)) if packed => unpack(command, rest, contents),
            _ => bail!("an archive begins with {head:02x?}, which is not known here"),
        };
    }
    Ok(())
}

/// The first bytes of the next archive, behind zeros, and all of it.
fn begin(mut input: Input<'_>) -> io::Result<Option<([u8; 6], Input<'_>)>> {
    let mut head = [0; 6];
    while head[0] == 0 {
        match input.read_exact(&mut head[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
    }
    input.read_exact(&mut head[1..])?;
    Ok(Some((head, Box::new(Cursor::new(head).chain(input)))))
}

fn read_archive<'i>(mut input: Input<'i>, contents: &mut Contents) -> Result<Input<'i>> {
    loop {
        let mut entry = newc::Reader::new(input).context("its archive is cut")?;
        if entry.entry().is_trailer() {
            return Ok(entry.finish()?);
        }
        let name = entry.entry().name();
        let name = name
            .trim_start_matches("./")
            .trim_start_matches('/')
            .to_owned();
        let is_file = entry.entry().mode() & 0o170_000 == 0o100_000;
        contents.agent |= is_file && name.ends_with("bin/vfio-bind-agent");
        let module = name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace('_', "-");
        contents.vfio_pci |= module.starts_with("vfio-pci.ko");
        if is_file && is_policy(&name) {
            let mut text = Vec::new();
            entry.by_ref().take(FILE_MOST).read_to_end(&mut text)?;
            // Each replaces what an earlier archive had there.
            contents.files.insert(name, text);
        }
        input = entry.finish().context("its archive is cut")?;
    }
}

/// Reads what a program makes of the rest of an image.
fn unpack(command: &[&str], mut rest: Input<'_>, contents: &mut Contents) -> Result<()> {
    let [program, arguments @ ..] = command else {
        return Ok(());
    };
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.with_context(|| format!("run({program}), which unpacks it"))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let read = thread::scope(|scope| {
        scope.spawn(move || {
            // A reader that has seen its end leaves the rest.
            let _ = stdin.map(|mut to| io::copy(&mut rest, &mut to));
        });
        match stdout {
            Some(stdout) => read_archives(Box::new(io::BufReader::new(stdout)), contents, false),
            None => Ok(()),
        }
    });
    let ended = child.wait().with_context(|| format!("wait({program})"))?;
    read.with_context(|| format!("unpacked by {program} ({ended})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        pack(files.iter().copied()).unwrap()
    }

    fn packed(program: &str, arguments: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut command = Command::new(program);
        let output = command.args(arguments).arg(file.path()).output().ok()?;
        output.status.success().then_some(output.stdout)
    }

    #[test]
    fn archives_are_read_one_behind_another_and_unpacked() {
        let early = archive(&[("kernel/x86/microcode/GenuineIntel.bin", b"07070")]);
        let main = archive(&[
            ("./usr/bin/vfio-bind-agent", b"x"),
            ("etc/vfio-bind/policy.conf", b"vfio.bind=42:00.0\n"),
            ("etc/modprobe.d/vfio.conf", b"options vfio-pci ids=1:2\n"),
            ("usr/lib/modules/6.1/kernel/vfio-pci.ko.xz", b""),
            ("etc/passwd", b"root"),
        ]);
        let appended = archive(&[("etc/vfio-bind/policy.conf", b"vfio.bind=off\n")]);
        let mut tried = 0;
        for (program, arguments) in [
            ("cat", &[][..]),
            ("gzip", &["-c"]),
            ("xz", &["-c", "--check=crc32"]),
            ("zstd", &["-c"]),
            ("lz4", &["-l", "-c"]),
            ("bzip2", &["-c"]),
        ] {
            let Some(main) = packed(program, arguments, &main) else {
                assert!(!["cat", "gzip"].contains(&program), "{program}");
                continue;
            };
            tried += 1;
            let image = [&early[..], &[0; 512], &main].concat();
            let contents = read(&image[..]).unwrap_or_else(|e| panic!("{program}: {e:#}"));
            assert!(contents.agent && contents.vfio_pci, "{program}");
            let files: Vec<_> = contents.files.keys().map(String::as_str).collect();
            assert_eq!(
                files,
                ["etc/modprobe.d/vfio.conf", "etc/vfio-bind/policy.conf"]
            );
            if program == "cat" {
                let image = [image, appended.clone()].concat();
                let files = read(&image[..]).unwrap().files;
                assert_eq!(files["etc/vfio-bind/policy.conf"], b"vfio.bind=off\n");
            }
        }
        assert!(tried >= 2);
    }

    #[test]
    fn what_was_read_is_written_as_it_was() {
        let contents = Contents {
            agent: true,
            vfio_pci: true,
            files: [
                ("etc/vfio-bind/policy.conf", "vfio.bind=off\n"),
                ("conf/modules", ""),
            ]
            .map(|(path, text)| (path.to_owned(), text.into()))
            .into(),
        };
        for contents in [contents, Contents::default()] {
            assert_eq!(read(&contents.to_archive().unwrap()[..]).unwrap(), contents);
        }
    }

    #[test]
    fn what_is_no_image_or_is_cut_is_an_error() {
        assert_eq!(read(&b""[..]).unwrap(), Contents::default());
        let whole = archive(&[("etc/vfio-bind/policy.conf", b"vfio.bind=42:00.0\n")]);
        let gzip = packed("gzip", &["-c"], &whole).unwrap();
        for (image, told) in [
            (&b"MZ\0\0 not an archive"[..], "is not known here"),
            (&whole[..100], "is cut"),
            (&gzip[..gzip.len() / 2], "gzip"),
        ] {
            let error = read(image).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{error:#}");
        }
    }
}

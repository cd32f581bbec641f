//! Whether the kernel unpacks the archive of [`appended`] beside images of every compression.
//!
//! Whatever a boot loader does, it hands one run of bytes to the kernel: GRUB fills each file up to four
//! bytes, `cat` and systemd-boot 252 do not, and GRUB_EARLY_INITRD_LINUX_CUSTOM puts the archive first.
//! So each compression is tried at each size modulo four that it has, and an archive stands before and behind each.
//! Images of one boot are small, and hold no more than a mark.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use qemu_tests::architecture::Architecture;
use qemu_tests::judge;
use qemu_tests::machine::{Iommu, pc};
use qemu_tests::protocol::{ORDERS_PATH, Orders, Step};

use crate::appended::{self, Content, RDINIT};
use crate::initrd::{Archive, DATA, FOLDER, LINK, PROGRAM};
use crate::logs;
use crate::rig::Rig;
use crate::row::{Row, Verdict};
use crate::supply::Program;
use crate::tools::{LZ4, XZ, ZSTD};
use crate::vm::Boot;

/// What the images are for.
const ARCHITECTURE: Architecture = Architecture::X86_64;
/// Where each image has its mark.
const MARKS: &str = "marks";
/// The list in the last archive.
const LIST: &str = "vfio.protect=0000:00:1f.2\n";
/// The agent writes it as soon as the image's init has mounted /run.
const REPORT: &str = "/run/vfio-bind/report.json";
/// An image may have links where the archive has folders, and needs what is behind them.
const LINKS: [(&str, &str); 3] = [("usr", "system"), ("system/bin", "../bin"), ("etc", "conf")];
const BEHIND_LINKS: [(&str, &str); 2] = [("bin/tool", "/usr/bin/tool"), ("conf/file", "/etc/file")];

/// How an image is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Lz4,
    Zstd,
    Xz,
}

impl Compression {
    const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("gzip", Self::Gzip),
        ("lz4", Self::Lz4),
        ("zstd", Self::Zstd),
        ("xz", Self::Xz),
    ];

    /// The bytes as the tools that build images compress them.
    fn compress(self, bytes: &[u8]) -> Result<Vec<u8>> {
        let (tool, arguments): (_, &[&str]) = match self {
            Self::None => return Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), Level::fast());
                gzip.write_all(bytes).context("gzip")?;
                return gzip.finish().context("gzip");
            }
            // The kernel knows lz4's legacy format only, and of xz's checks not the strongest.
            Self::Lz4 => (LZ4, &["-l", "-9", "-c"]),
            Self::Zstd => (ZSTD, &["-q", "-c"]),
            Self::Xz => (XZ, &["--check=crc32", "-c"]),
        };
        let mut input = tempfile::tempfile().context("a file to compress")?;
        input.write_all(bytes).context("write")?;
        std::io::Seek::rewind(&mut input).context("rewind")?;
        let mut command = tool.command()?;
        let command = command
            .args(arguments)
            .stdin(input)
            .stderr(Stdio::inherit());
        let output = command.output().with_context(|| tool.program)?;
        ensure!(
            output.status.success(),
            "{}: {}",
            tool.program,
            output.status
        );
        Ok(output.stdout)
    }

    /// How many sizes there are, modulo four. Archives as such and xz are of whole words by their formats.
    fn sizes(self) -> usize {
        match self {
            Self::None | Self::Xz => 1,
            Self::Gzip | Self::Lz4 | Self::Zstd => 4,
        }
    }

    /// Such an image with a mark in it, and of a size that leaves `remainder` when divided by four.
    fn image(self, folder: &Path, mark: &str, remainder: usize) -> Result<Vec<u8>> {
        for attempt in 0..200 {
            let path = folder.join("image");
            let mut archive = Archive::create(&path)?;
            archive.add(MARKS, FOLDER, b"")?;
            // Some of it repeats itself: what that leaves is anyone's guess.
            let word = |n: usize| (n * n * 31 + attempt * 7919) % 251;
            let content: Vec<u8> = (0..100 + attempt).map(|n| word(n % 90) as u8).collect();
            archive.add(&format!("{MARKS}/{mark}"), DATA, &content)?;
            archive.finish()?;
            let bytes = self.compress(&read(&path)?)?;
            if bytes.len() % 4 == remainder {
                return Ok(bytes);
            }
        }
        anyhow::bail!("no image of {self:?} has a size of 4 n + {remainder}")
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read({})", path.display()))
}

/// What one boot unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Images of every compression and size, an archive behind each.
    All,
    /// An archive behind one image, and nothing behind it.
    Behind(usize),
    /// An archive in front of one image, and nothing in front of it.
    InFront(usize),
}

impl Case {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let each = 0..Compression::ALL.len();
        let singles = each.flat_map(|one| [Self::Behind(one), Self::InFront(one)]);
        std::iter::once(Self::All).chain(singles).collect()
    }

    /// Whether it is a part of a run in which nobody names it. What ends with an archive ends alike, whatever is
    /// in front of that; what ends with an image ends as its compression does.
    #[must_use]
    pub fn has_unasked(self, small: bool) -> bool {
        match self {
            Self::All => true,
            Self::Behind(one) => !small && one == 0,
            Self::InFront(_) => !small,
        }
    }

    /// A name for tables and files.
    #[must_use]
    pub fn name(self) -> String {
        let compression = |at: usize| Compression::ALL.get(at).map_or("", |(name, _)| name);
        match self {
            Self::All => "cpio, beside images of each compression and size".to_owned(),
            Self::Behind(one) => format!("cpio, behind an image: {}", compression(one)),
            Self::InFront(one) => format!("cpio, in front of an image: {}", compression(one)),
        }
    }
}

/// Boots it and judges.
///
/// # Errors
/// Where an image cannot be made or no machine be started.
pub fn boot(rig: &Rig<'_>, case: Case) -> Result<Row> {
    let name = case.name();
    let folder = tempfile::tempdir_in(rig.folder()).context("a folder for images")?;
    let mut work = Work {
        rig,
        folder: folder.path(),
        policy: String::new(),
        archives: 0,
        bytes: Vec::new(),
        marks: Vec::new(),
    };
    let mut paths = match case {
        Case::All => work.all(&name)?,
        Case::Behind(at) => work.one(&name, at, false)?,
        Case::InFront(at) => work.one(&name, at, true)?,
    };
    paths.sort();
    let file = name.replace([' ', ',', ':'], "-").replace("--", "-");
    let image = folder.path().join("all.img");
    fs::write(&image, &work.bytes).with_context(|| format!("write({})", image.display()))?;
    let log = logs::folder()?.join(format!("{file}.log"));
    let boot = Boot {
        machine: &pc(Iommu::Absent),
        kernel: &rig.kernel(None, ARCHITECTURE)?,
        image: Some(&image),
        firmware: None,
        variables: None,
        disk: None,
        nodes: &[],
        cmdline: &format!("rdinit={RDINIT}"),
        accelerator: &rig.settings.accelerator,
        limit: rig.settings.limit,
        log: &log,
    };
    let started = Instant::now();
    let evidence = boot.start()?.finish(|_| {})?;
    let time = started.elapsed();
    let kept = [work.policy.as_str(), LIST].concat();
    let judgement = judge::judge_unpacked(&name, &paths, &kept, &evidence);
    let mut row = Row::passed(&name);
    row.add_boot(None, time, judgement, Verdict::Failed, &log);
    Ok(row)
}

/// The bytes of one boot, as they grow.
struct Work<'a> {
    rig: &'a Rig<'a>,
    folder: &'a Path,
    /// The policy of the last archive: each has its own.
    policy: String,
    archives: usize,
    bytes: Vec<u8>,
    marks: Vec<String>,
}

impl Work<'_> {
    /// Images of every kind, an archive behind each; what is to be found then.
    fn all(&mut self, name: &str) -> Result<Vec<String>> {
        let mut images = Vec::new();
        for (kind, compression) in Compression::ALL {
            for remainder in 0..compression.sizes() {
                let mark = format!("{kind}-{remainder}");
                images.push(compression.image(self.folder, &mark, remainder)?);
                self.marks.push(format!("/{MARKS}/{mark}"));
            }
        }
        let paths = self.paths(&BEHIND_LINKS.map(|(_, path)| path));
        let base = self.base(name, &paths, &LINKS)?;
        self.bytes.extend(base);
        for image in images {
            self.bytes.extend(image);
            self.archive()?;
        }
        Ok(paths)
    }

    /// One image, and an archive behind it or in front.
    fn one(&mut self, name: &str, at: usize, in_front: bool) -> Result<Vec<String>> {
        let (_, compression) = *Compression::ALL.get(at).context("a compression")?;
        let paths = self.paths(&[]);
        if in_front {
            self.archive()?;
        }
        let base = compression.compress(&self.base(name, &paths, &[])?)?;
        self.bytes.extend(base);
        if !in_front {
            if compression.sizes() > 1 && self.bytes.len().is_multiple_of(4) {
                // The kernel passes over zeros behind an image.
                self.bytes.push(0);
            }
            self.archive()?;
        }
        Ok(paths)
    }

    fn paths(&self, more: &[&str]) -> Vec<String> {
        let more = more.iter().chain(&[REPORT]).map(ToString::to_string);
        let mut paths: Vec<_> = self.marks.iter().cloned().chain(more).collect();
        paths.sort();
        paths
    }

    /// An image with an init, in which links stand where the archive has folders.
    fn base(&self, name: &str, paths: &[String], links: &[(&str, &str)]) -> Result<Vec<u8>> {
        let path = self.folder.join("base");
        let mut archive = Archive::create(&path)?;
        let init = self.rig.program(Program::GuestInit, ARCHITECTURE)?;
        archive.add_file("init", PROGRAM, &init)?;
        let orders = Orders {
            scenario: name.to_owned(),
            steps: vec![Step::Find(paths.to_vec()), Step::Inherit],
        };
        let text = serde_json::to_vec(&orders).context("orders as JSON")?;
        archive.add(ORDERS_PATH.trim_start_matches('/'), DATA, &text)?;
        for folder in ["bin", "conf", "system"] {
            archive.add(folder, FOLDER, b"")?;
        }
        for (link, target) in links {
            archive.add(link, LINK, target.as_bytes())?;
        }
        for (place, _) in BEHIND_LINKS {
            archive.add(place, DATA, b"")?;
        }
        archive.finish()?;
        read(&path)
    }

    /// Adds what `cargo xtask cpio` makes.
    fn archive(&mut self) -> Result<()> {
        self.archives += 1;
        self.policy = format!("vfio.bind=0000:{:02x}:00.0\n", self.archives);
        let [policy, list, path]: [PathBuf; 3] =
            ["policy", "list", "archive"].map(|name| self.folder.join(name));
        for (path, text) in [(&policy, self.policy.as_str()), (&list, LIST)] {
            let write = || File::create(path)?.write_all(text.as_bytes());
            write().with_context(|| format!("write({})", path.display()))?;
        }
        let content = Content {
            agent: &self.rig.agent(ARCHITECTURE)?,
            policy: Some(&policy),
            protected: Some(&list),
        };
        appended::write(&path, content)?;
        self.bytes.extend(read(&path)?);
        Ok(())
    }
}

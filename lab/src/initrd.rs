//! Initramfs images, made by hand: no shell, no init system, only what a scenario needs.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cpio::newc;
use qemu_tests::protocol::{CRASH_IMAGE, CRASH_KERNEL, ORDERS_PATH, Orders, Step};

use crate::kernel::Kernel;
use crate::kernel::modules::{self, Index};
use crate::program;
use crate::tools::DEPMOD;
use crate::userland::Files;

/// What guests need besides native drivers. The IOMMU part is a soft dependency of vfio, which
/// `modules.dep` does not tell.
const VFIO_MODULES: [&str; 2] = ["vfio_pci", "vfio_iommu_type1"];
/// The driver of virtio-iommu, in kernels that have it as a module.
const IOMMU_MODULE: &str = "virtio_iommu";
/// Depmod wants them; they come with the kernel.
const KERNEL_LISTS: [&str; 3] = [
    "modules.order",
    "modules.builtin",
    "modules.builtin.modinfo",
];

/// All the names under which programs look for programs and libraries.
pub const LINKS: [(&str, &str); 6] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib"),
    ("usr/lib64", "lib"),
    ("usr/sbin/modprobe", "../bin/kmod"),
];

/// The mode of a folder.
pub const FOLDER: u32 = 0o040_755;
/// The mode of a program.
pub const PROGRAM: u32 = 0o100_755;
/// The mode of any other file.
pub const DATA: u32 = 0o100_644;
/// The mode of a symbolic link.
pub const LINK: u32 = 0o120_777;

/// The programs of an image.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Process 1.
    pub init: PathBuf,
    /// The agent, or what stands in for it.
    pub agent: PathBuf,
    /// kmod and its libraries.
    pub kmod: Files,
}

/// The modules of an image, besides those of VFIO.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// Native drivers.
    pub natives: &'a [&'a str],
    /// Modules that are left out, whoever needs them.
    pub without: &'a [&'a str],
    /// A module that the kernel's package does not have.
    pub extra: Option<&'a Path>,
}

/// Writes an image for `kernel` with modules of one's `choice`, and without orders.
///
/// # Errors
/// Where something cannot be read or written, or the kernel lacks a module.
pub fn write_base(
    path: &Path,
    kernel: &Kernel,
    programs: &Programs,
    choice: &Choice<'_>,
) -> Result<()> {
    let staged = stage_modules(kernel, choice)?;
    let mut archive = Archive::create(path)?;
    for folder in ["usr", "usr/bin", "usr/lib", "usr/sbin"] {
        archive.add(folder, FOLDER, b"")?;
    }
    for (link, target) in LINKS {
        archive.add(link, LINK, target.as_bytes())?;
    }
    archive.add_file("init", PROGRAM, &programs.init)?;
    archive.add_file("usr/bin/vfio-bind-agent", PROGRAM, &programs.agent)?;
    for (place, file) in &programs.kmod {
        archive.add_file(place, PROGRAM, file)?;
    }
    for folder in ["etc", "etc/modprobe.d"] {
        archive.add(folder, FOLDER, b"")?;
    }
    let aliases = Index::read(&kernel.modules)?.aliases();
    archive.add("etc/modprobe.d/renamed.conf", DATA, aliases.as_bytes())?;
    archive.add_tree("usr/lib/modules", &staged.path().join("lib/modules"))?;
    archive.finish()
}

/// Writes the image `base` with `orders`, `files` (place and text) and the list of what is protected
/// behind it: the kernel unpacks one archive after another.
///
/// # Errors
/// Where something cannot be read or written.
pub fn write_with_orders(
    path: &Path,
    base: &Path,
    orders: &Orders,
    files: &[(&str, &str)],
    list: Option<&str>,
) -> Result<()> {
    let mut archive = Archive::ordering(path, base, orders)?;
    for (place, text) in files {
        // A folder that is there stays as it is.
        if let Some((folder, _)) = place.rsplit_once('/') {
            archive.add(folder, FOLDER, b"")?;
        }
        archive.add(place, DATA, text.as_bytes())?;
    }
    if let Some(text) = list {
        archive.add("etc/vfio-bind", FOLDER, b"")?;
        archive.add("etc/vfio-bind/protected.conf", DATA, text.as_bytes())?;
    }
    archive.finish()
}

/// Makes of the image at `path` one of `base` that crashes into it and `kernel`.
///
/// # Errors
/// Where something cannot be read or written.
pub fn wrap_in_crash(path: &Path, base: &Path, scenario: &str, kernel: &Path) -> Result<()> {
    let image = fs::read(path).with_context(|| format!("read({})", path.display()))?;
    let orders = Orders {
        scenario: scenario.to_owned(),
        steps: vec![Step::Crash],
    };
    let mut archive = Archive::ordering(path, base, &orders)?;
    archive.add("crash", FOLDER, b"")?;
    archive.add(CRASH_IMAGE.trim_start_matches('/'), DATA, &image)?;
    archive.add_file(CRASH_KERNEL.trim_start_matches('/'), DATA, kernel)?;
    archive.finish()
}

/// A folder with the wanted modules and the indexes of exactly those.
///
/// # Errors
/// Where a file cannot be copied, or the kernel lacks a module.
pub fn stage_modules(kernel: &Kernel, choice: &Choice<'_>) -> Result<tempfile::TempDir> {
    let Choice {
        natives,
        without,
        extra,
    } = *choice;
    let staged = tempfile::tempdir().context("a folder for modules")?;
    let folder = staged.path().join("lib/modules").join(&kernel.release);
    let index = Index::read(&kernel.modules)?;
    let possible = index.has(IOMMU_MODULE).then_some(IOMMU_MODULE);
    let wanted: Vec<_> = VFIO_MODULES
        .into_iter()
        .chain(possible)
        .chain(natives.iter().copied())
        .collect();
    let wanted = index.closure(&wanted)?;
    let kept = wanted
        .into_iter()
        .filter(|file| !without.contains(&modules::name(file).as_str()));
    for file in kept.chain(KERNEL_LISTS) {
        let (from, to) = (kernel.modules.join(file), folder.join(file));
        fs::create_dir_all(to.parent().unwrap_or(&folder))?;
        fs::copy(&from, &to)
            .with_context(|| format!("copy({}, {})", from.display(), to.display()))?;
    }
    if let Some(extra) = extra {
        let to = folder.join(extra.file_name().unwrap_or_default());
        fs::copy(extra, &to)
            .with_context(|| format!("copy({}, {})", extra.display(), to.display()))?;
    }
    let mut depmod = DEPMOD.command()?;
    program::output(depmod.arg("-b").arg(staged.path()).arg(&kernel.release))?;
    // The agent has to do without: busybox's modprobe does not read them.
    let soft = folder.join("modules.softdep");
    fs::remove_file(&soft).with_context(|| format!("remove({})", soft.display()))?;
    Ok(staged)
}

/// An archive being written.
pub struct Archive {
    out: BufWriter<File>,
    path: PathBuf,
}

impl Archive {
    /// Starts an archive at `path`.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create({})", path.display()))?;
        Ok(Self {
            out: BufWriter::new(file),
            path: path.to_owned(),
        })
    }

    /// Starts an archive behind the image `base`, with orders in it.
    fn ordering(path: &Path, base: &Path, orders: &Orders) -> Result<Self> {
        let mut archive = Self::behind(path, base)?;
        let text = serde_json::to_vec(orders).context("orders as JSON")?;
        archive.add(ORDERS_PATH.trim_start_matches('/'), DATA, &text)?;
        Ok(archive)
    }

    /// Starts an archive at `path` behind the image `base`.
    ///
    /// # Errors
    /// Where `base` cannot be read, or the file not be written.
    pub fn behind(path: &Path, base: &Path) -> Result<Self> {
        let mut archive = Self::create(path)?;
        let image = fs::read(base).with_context(|| format!("read({})", base.display()))?;
        // An archive starts at a multiple of four bytes.
        let padding = &[0; 3][..image.len().next_multiple_of(4) - image.len()];
        let written = archive.out.write_all(&image);
        let written = written.and_then(|()| archive.out.write_all(padding));
        written.with_context(|| format!("write({})", path.display()))?;
        Ok(archive)
    }

    /// Adds an entry: a file with its content, a link with its target, or a folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add(&mut self, place: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.add_entry(place, newc::Builder::new(place).mode(mode), content)
    }

    /// Adds a file that is the same as all others with its `number`, which is not 0; the first of them has the
    /// content, and the others none.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add_linked(&mut self, place: &str, number: u32, content: &[u8]) -> Result<()> {
        // The kernel asks no more of the number of links than whether it is greater than one.
        let entry = newc::Builder::new(place).mode(DATA).ino(number).nlink(2);
        self.add_entry(place, entry, content)
    }

    fn add_entry(&mut self, place: &str, entry: newc::Builder, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len()).with_context(|| format!("{place} is too large"))?;
        let write = || -> std::io::Result<()> {
            let mut entry = entry.write(&mut self.out, size);
            entry.write_all(content)?;
            entry.finish().map(drop)
        };
        write().with_context(|| format!("write({}, {place})", self.path.display()))
    }

    /// Adds the node of a character device, for root alone.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add_node(&mut self, place: &str, major: u32, minor: u32) -> Result<()> {
        const CHARACTER_DEVICE: u32 = 0o020_600;
        let entry = newc::Builder::new(place).mode(CHARACTER_DEVICE);
        let entry = entry.rdev_major(major).rdev_minor(minor);
        let written = entry.write(&mut self.out, 0).finish().map(drop);
        written.with_context(|| format!("write({}, {place})", self.path.display()))
    }

    /// Adds a file of this machine.
    ///
    /// # Errors
    /// Where it cannot be read, or the entry not be written.
    pub fn add_file(&mut self, place: &str, mode: u32, file: &Path) -> Result<()> {
        let content = fs::read(file).with_context(|| format!("read({})", file.display()))?;
        self.add(place, mode, &content)
    }

    /// Adds a folder and everything in it.
    fn add_tree(&mut self, place: &str, folder: &Path) -> Result<()> {
        self.add(place, FOLDER, b"")?;
        let listing =
            fs::read_dir(folder).with_context(|| format!("list({})", folder.display()))?;
        let mut entries = listing.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let place = format!("{place}/{}", entry.file_name().to_string_lossy());
            match entry.file_type()?.is_dir() {
                true => self.add_tree(&place, &entry.path())?,
                false => self.add_file(&place, DATA, &entry.path())?,
            }
        }
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(self) -> Result<()> {
        let close = || -> std::io::Result<()> { newc::trailer(self.out)?.flush() };
        close().with_context(|| format!("write({})", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read};

    /// The entries of all archives in `bytes`.
    fn entries(bytes: Vec<u8>) -> Vec<(String, u32, Vec<u8>)> {
        let (mut rest, mut entries) = (Cursor::new(bytes), Vec::new());
        while rest.position() < rest.get_ref().len() as u64 {
            assert_eq!(rest.position() % 4, 0, "an entry at an odd place");
            let mut reader = newc::Reader::new(rest).unwrap();
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            entries.push((name, mode, content));
            rest = reader.finish().unwrap();
        }
        entries
    }

    #[test]
    fn orders_come_behind_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let (base, whole) = (folder.path().join("base"), folder.path().join("whole"));
        let mut archive = Archive::create(&base).unwrap();
        archive.add("bin", LINK, b"usr/bin").unwrap();
        archive.add("init", PROGRAM, b"12345").unwrap();
        archive.finish().unwrap();
        let orders = Orders {
            scenario: "a".to_owned(),
            steps: Vec::new(),
        };
        write_with_orders(&whole, &base, &orders, &[("conf/modules", "x")], Some("")).unwrap();
        let found = entries(fs::read(&whole).unwrap());
        let names: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "bin",
                "init",
                "TRAILER!!!",
                "scenario.json",
                "conf",
                "conf/modules",
                "etc/vfio-bind",
                "etc/vfio-bind/protected.conf",
                "TRAILER!!!"
            ]
        );
        assert_eq!(found[0].1, LINK);
        assert_eq!(found[1].2, b"12345");
        assert_eq!(
            serde_json::from_slice::<Orders>(&found[3].2).unwrap(),
            orders
        );
    }
}

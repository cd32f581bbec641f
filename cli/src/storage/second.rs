//! What a file system or an array keeps on a second device.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::block::{Sysfs, entries, name};

/// The devices with journals of their own that an ext3 or ext4 on the block device `disk` may use.
///
/// jbd2 lists each journal by its device, those inside a file system with `-INODE` behind it
/// (`jbd2_journal_init_dev`, `_inode`). The thread that writes a journal is named after it, in at most
/// 15 characters before Linux 5.17.
#[must_use]
pub fn journals(sysfs: &Sysfs, disk: &str) -> Vec<PathBuf> {
    let process = sysfs.text(format!("sys/fs/ext4/{disk}/journal_task"));
    if process.as_deref() == Some("<none>") {
        return Vec::new();
    }
    let thread = process.and_then(|process| sysfs.text(format!("proc/{process}/comm")));
    let writes = |journal: &str| {
        let full = format!("jbd2/{journal}");
        thread
            .as_ref()
            .is_none_or(|name| *name == full || (name.len() == 15 && full.starts_with(name)))
    };
    let listed = entries(&sysfs.place("proc/fs/jbd2"));
    let names = listed.iter().map(|path| name(path));
    names
        .filter(|journal| journal != disk && writes(journal))
        .filter_map(|journal| sysfs.directory(Path::new("sys/class/block").join(journal)))
        .collect()
}

/// Where in an f2fs its list of devices is: behind the superblock's other fields (`struct
/// f2fs_super_block` in include/linux/f2fs_fs.h).
const F2FS_DEVICES: u64 = 1024 + 2201;
/// Its entries: a path of up to 64 bytes, and a number.
const F2FS_ENTRY: usize = 68;
const F2FS_PATH: usize = 64;
const F2FS_MOST: usize = 8;

/// The paths of all devices of the f2fs on `node`; none where it has only one.
///
/// # Errors
/// What the system answered to open, seek or read.
pub fn f2fs_devices(node: &Path) -> io::Result<Vec<PathBuf>> {
    let mut file = File::open(node)?;
    let mut list = [0; F2FS_ENTRY * F2FS_MOST];
    file.seek(SeekFrom::Start(F2FS_DEVICES))?;
    file.read_exact(&mut list)?;
    let path = |entry: &[u8]| {
        let path = entry.get(..F2FS_PATH)?.split(|byte| *byte == 0).next()?;
        let path = std::str::from_utf8(path).ok()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    Ok(list.chunks(F2FS_ENTRY).filter_map(path).collect())
}

/// Where an array keeps its bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bitmap {
    /// On its members, or nowhere.
    Inside,
    /// In this file; `None` where /proc/mdstat does not tell which.
    File(Option<PathBuf>),
}

/// Where the bitmap of the md array with this directory in sysfs is.
#[must_use]
pub fn bitmap(sysfs: &Sysfs, array: &Path) -> Bitmap {
    let location = std::fs::read_to_string(array.join("md/bitmap/location")).unwrap_or_default();
    if location.trim_end() != "file" {
        return Bitmap::Inside;
    }
    let stat = sysfs.text("proc/mdstat").unwrap_or_default();
    let head = format!("{} : ", name(array));
    let own = stat.lines().skip_while(|line| !line.starts_with(&head));
    // Up to the next array: its lines are indented, and an empty one ends them.
    let mut own = own.take_while(|line| !line.is_empty());
    let file = own.find_map(|line| Some(line.split_once(", file: ")?.1.into()));
    Bitmap::File(file)
}
